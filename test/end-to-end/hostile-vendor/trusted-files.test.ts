import { get, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { gunzipSync, gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { requestToken } from '../../../sandbox/bulk-client.ts'
import { sandboxKeys } from '../../../sandbox/state.ts'
import { patient } from './servers.ts'
import { useStage } from './stage.ts'

const stage = useStage({
  // Everything that can be done to rows is done by us.
  trusted: { retention: 'none', trustsFiles: true, supports: { params: [] } },
  looked: { retention: 'none' },
})

interface Got {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly isWhole: boolean
}

/** As it comes over the wire: `fetch` would decode it. */
const raw = async (url: string, encoding: string): Promise<Got> => {
  const { token } = await requestToken(stage().facade.base, 'demo', (await sandboxKeys()).demo)
  return new Promise((resolve, reject) => {
    get(url, { headers: { Authorization: `Bearer ${token}`, 'Accept-Encoding': encoding } }, (response) => {
      const chunks: Buffer[] = []
      const end = (): void =>
        resolve({
          status: response.statusCode,
          headers: response.headers,
          body: Buffer.concat(chunks),
          isWhole: response.complete,
        })
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('end', end).once('error', end)
    }).once('error', reject)
  })
}

type Send = (response: ServerResponse, accepted: string | undefined) => void

/** The one file of an export, as a client gets it that accepts this coding. */
const fileOf = async (source: string, name: string, send: Send, encoding = 'identity', query = ''): Promise<Got> => {
  stage().vendor.perform(name, { file: (response, _n, request) => send(response, request.headers['accept-encoding']) })
  const ending = await stage().run(source, name, query)
  const url = ending.kind === 'complete' ? ending.manifest.output[0]?.url : undefined
  return raw(url ?? '', encoding)
}

const NDJSON = { 'Content-Type': 'application/fhir+ndjson; charset=utf-8' }
const ROWS = patient('a') + patient('b')
/** What is cleaned wherever it is looked at. */
const UNCLEAN = ROWS.replaceAll('\n', '\r\n')
const PACKED = gzipSync(UNCLEAN, { level: 1 })

const plain =
  (text: string | Buffer, headers: Readonly<Record<string, string>> = NDJSON): Send =>
  (response) =>
    void response.writeHead(200, headers).end(text)

it('passes a file of a trusted source byte for byte, and looks at one of any other [FI-05]', async () => {
  const passed = await fileOf('trusted', 'plain', plain(UNCLEAN))
  expect(passed).toMatchObject({ status: 200, isWhole: true, headers: { 'content-type': 'application/fhir+ndjson' } })
  expect(String(passed.body)).toBe(UNCLEAN)
  expect(passed.headers['x-content-type-options']).toBe('nosniff')
  expect(String((await fileOf('looked', 'plain-looked', plain(UNCLEAN))).body)).toBe(ROWS)
})

it('passes gzip as it is to a client that takes it [FI-10]', async () => {
  const asked: (string | undefined)[] = []
  const send: Send = (response, accepted) => {
    asked.push(accepted)
    plain(PACKED, { ...NDJSON, 'Content-Encoding': 'gzip' })(response, accepted)
  }
  const passed = await fileOf('trusted', 'gzip', send, 'gzip')
  expect(passed.headers['content-encoding']).toBe('gzip')
  expect(passed.body.equals(PACKED)).toBe(true)
  expect(asked).toEqual(['gzip'])
})

it('decodes gzip that it did not ask for, and looks at what is in it', async () => {
  const asked: (string | undefined)[] = []
  const send: Send = (response, accepted) => {
    asked.push(accepted)
    plain(PACKED, { ...NDJSON, 'Content-Encoding': 'gzip' })(response, accepted)
  }
  const passed = await fileOf('trusted', 'unasked', send)
  expect(passed.headers['content-encoding']).toBeUndefined()
  expect(String(passed.body)).toBe(ROWS)
  expect(asked[0]).toBe('identity')
})

it('compresses what came plain for a client that wants gzip [FI-10]', async () => {
  const passed = await fileOf('trusted', 'compressed', plain(UNCLEAN), 'gzip')
  expect(passed.headers['content-encoding']).toBe('gzip')
  expect(String(gunzipSync(passed.body))).toBe(UNCLEAN)
})

it.each([
  ['a Binary', plain(JSON.stringify({ resourceType: 'Binary', data: btoa(ROWS) }), { 'Content-Type': 'application/fhir+json' })],
  ['octets', plain(UNCLEAN, { 'Content-Type': 'application/octet-stream' })],
  ['no type', plain(UNCLEAN, {})],
])('looks at what its vendor does not call NDJSON: %s [N-27]', async (name, send) => {
  expect(String((await fileOf('trusted', name.replaceAll(' ', '-'), send)).body)).toBe(ROWS)
})

it('passes on no web page [N-09]', async () => {
  const refused = await fileOf('trusted', 'page', plain('<!doctype html><p>Log in', { 'Content-Type': 'text/html' }))
  expect(refused.status).toBe(502)
  expect(String(refused.body)).not.toContain('Log in')
})

it('looks at every row where the export has work to do [PA-08]', async () => {
  const row = `${JSON.stringify({ resourceType: 'Patient', id: 'a', gender: 'other', birthDate: '1970-01-01' })}\n`
  const kept = await fileOf('trusted', 'elements', plain(row), 'identity', '_elements=Patient.gender')
  expect(String(kept.body)).toContain('"gender"')
  expect(String(kept.body)).not.toContain('birthDate')
})

it('breaks off where the vendor does, so that a cut file never looks whole', async () => {
  const cut = await fileOf('trusted', 'cut', (response) => {
    response.writeHead(200, { ...NDJSON, 'Content-Length': 1_000_000 }).write(ROWS, () => response.destroy())
  })
  expect(cut.isWhole).toBe(false)
})
