import { afterEach, describe, expect, it } from 'vitest'
import { listOf, memberOf, parseJson, stringOf, type Json } from '../../sandbox/json.ts'
import type { Oddity } from '../../sandbox/oddities.ts'
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts'
import { bearer, clientOf, outputOf, vendorOf } from './client.ts'

let sandbox: Sandbox | undefined
afterEach(() => sandbox?.close())

const worldWith = async (oddities: boolean | readonly Oddity[], id = 'generic') => {
  sandbox = await startSandbox({ patients: 3, jobSeconds: 0.02, oddities })
  const vendor = vendorOf(sandbox, id)
  const token = await bearer(vendor)
  const client = clientOf(vendor, token)
  const export$ = async (type: string) => {
    const manifest = await client.export(`/Group/${vendor.groupId}/$export?_type=${type}`)
    return Promise.all(outputOf(manifest).map(async ({ type: listed, url }) => ({ listed, response: await client.request(url) })))
  }
  return { vendor, token, client, export$ }
}

const rowsOf = (text: string): readonly Json[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => parseJson(line))
    .filter((row) => row !== undefined)

const attachmentOf = (row: Json | undefined): unknown => memberOf(listOf(row?.['content'])[0], 'attachment')

describe('rows as some servers write them', () => {
  it('names the server in every reference to a resource of its own [KO-17]', async () => {
    const { vendor, export$ } = await worldWith(['absolute-references'])
    const [file] = await export$('Condition')
    const [row] = rowsOf((await file?.response.text()) ?? '')
    expect(memberOf(row?.['subject'], 'reference')).toBe(`${vendor.fhirBase}/Patient/pat-000001`)
  })

  it.each(['absolute-attachments', 'relative-attachments'] as const)(
    'serves %s to whoever has a token [FI-14]',
    async (oddity) => {
      const { vendor, client, export$ } = await worldWith([oddity])
      const [file] = await export$('DocumentReference')
      const attachment = attachmentOf(rowsOf((await file?.response.text()) ?? '')[0])
      const url = stringOf(memberOf(attachment, 'url'))
      expect(url).toBe(`${oddity === 'absolute-attachments' ? `${vendor.fhirBase}/` : ''}Binary/doc-000001-1`)
      expect(memberOf(attachment, 'data')).toBeUndefined()
      const path = `/Binary/doc-000001-1`
      const raw = await client.request(path, { headers: { Accept: 'text/plain' } })
      expect(raw.headers.get('Content-Type')).toBe('text/plain; charset=utf-8')
      const text = await raw.text()
      expect(text).toContain('pat-000001 (synthetic)')
      const binary = parseJson(await (await client.request(path)).text())
      expect(Buffer.from(stringOf(binary?.['data']), 'base64').toString('utf8')).toBe(text)
      expect((await fetch(`${vendor.fhirBase}${path}`)).status).toBe(401)
      expect((await client.request('/Binary/nothing')).status).toBe(404)
    },
  )

  it('escapes slashes, which changes no value', async () => {
    const { export$ } = await worldWith(['escaped-slashes'])
    const [file] = await export$('Condition')
    const text = (await file?.response.text()) ?? ''
    expect(text).toContain('Patient\\/pat-000001')
    expect(memberOf(rowsOf(text)[0]?.['subject'], 'reference')).toBe('Patient/pat-000001')
  })

  it('puts two types into one file, under the name of the first [N-22]', async () => {
    const { export$ } = await worldWith(['mixed-files'])
    const files = await export$('Patient,Condition,Observation')
    const types = await Promise.all(
      files.map(async ({ listed, response }) => [
        listed,
        [...new Set(rowsOf(await response.text()).map((row) => row['resourceType']))],
      ]),
    )
    expect(types).toEqual([
      ['Patient', ['Patient', 'Condition']],
      ['Observation', ['Observation']],
    ])
  })

  it('wraps a file in a Binary [N-27]', async () => {
    const { export$ } = await worldWith(['binary-wrapped'])
    const [file] = await export$('Patient')
    expect(file?.response.headers.get('Content-Type')).toBe('application/fhir+json')
    const binary = parseJson((await file?.response.text()) ?? '')
    expect(binary?.['resourceType']).toBe('Binary')
    expect(rowsOf(Buffer.from(stringOf(binary?.['data']), 'base64').toString('utf8'))).toHaveLength(3)
  })

  it('lets each vendor write as it does, when it is told to', async () => {
    const { export$, vendor } = await worldWith(true, 'vendor-x')
    const [file] = await export$('DocumentReference')
    const [row] = rowsOf((await file?.response.text()) ?? '')
    expect(memberOf(row?.['subject'], 'reference')).toBe(`${vendor.fhirBase}/Patient/pat-000001`)
    expect(memberOf(attachmentOf(row), 'url')).toBe('Binary/doc-000001-1')
  })
})
