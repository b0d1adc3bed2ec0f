import { createHash } from 'node:crypto'
import { get, type IncomingMessage } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { ManifestFile } from '../../sandbox/bulk-client.ts'
import { exportGroup, FAST, SOURCES, useWorld } from './support.ts'

const PAGE_FILES = 3
const APP = 'https://app.example'
const world = useWorld({ oddities: false }, undefined, () => ({
  limits: { ...FAST, retrySeconds: 0.02, manifestPageFiles: PAGE_FILES },
  variables: { CORS_ORIGINS: [APP] },
}))

interface Listed extends ManifestFile {
  readonly extension?: { readonly sha256: string; readonly bytes: number }
}
interface Page {
  readonly output: readonly Listed[]
  readonly deleted: readonly Listed[]
  readonly error: readonly Listed[]
  readonly link?: readonly [{ readonly relation: string; readonly url: string }]
}

/** A group export by a client that says how it wants to be answered. @returns The kick-off's answer and the status URL. */
const start = async (id: string, query = '', prefer = '', more = {}): Promise<{ kickoff: Response; statusUrl: string }> => {
  const { demo, vendor } = world()
  const path = `/fhir/${id}/Group/${vendor(id).groupId}/$export${query}`
  const kickoff = await demo.fetch(path, { headers: { Prefer: `respond-async${prefer}`, ...more } })
  expect([kickoff.status, await kickoff.text()]).toEqual([202, expect.any(String)])
  return { kickoff, statusUrl: kickoff.headers.get('Content-Location') ?? '' }
}

const pause = (response: Response): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Number(response.headers.get('Retry-After')) * 100))

/** Polls one page until it says that the export is complete, or until it has a link. @returns All answers with their bodies. */
const followed = async (
  url: string,
  isOver: (response: Response) => boolean,
): Promise<{ response: Response; text: string }[]> => {
  const answers: { response: Response; text: string }[] = []
  for (;;) {
    const response = await world().demo.fetch(url, { headers: { Accept: 'application/json' } })
    const text = await response.text()
    answers.push({ response, text })
    if (isOver(response) || (text !== '' && (JSON.parse(text) as Page).link !== undefined)) return answers
    await pause(response)
  }
}
const isComplete = ({ status }: Response): boolean => status === 200

/** All pages, as a client reads them while the export runs. */
const pagesOf = async (statusUrl: string): Promise<{ pages: Page[]; answers: { response: Response; text: string }[] }> => {
  const pages: Page[] = []
  const all: { response: Response; text: string }[] = []
  for (let url: string | undefined = statusUrl; url !== undefined;) {
    const answers = await followed(url, isComplete)
    all.push(...answers)
    const page = JSON.parse(answers.at(-1)?.text ?? '') as Page
    pages.push(page)
    url = page.link?.[0].url
  }
  return { pages, answers: all }
}

const hashesOf = (files: readonly Listed[]): string[] =>
  files.map(({ type, extension }) => `${type} ${extension?.sha256}`).toSorted()

describe('partial manifests', () => {
  it.each(SOURCES)('of %s are together what one manifest is [PA-18, MF-16, MF-17]', async (id) => {
    const { manifest } = await exportGroup(world(), id)
    expect(manifest).not.toHaveProperty('link')
    const { statusUrl } = await start(id, '?allowPartialManifests=true')
    const { pages } = await pagesOf(statusUrl)
    expect(pages.length).toBe(Math.ceil(manifest.output.length / PAGE_FILES))
    expect(hashesOf(pages.flatMap(({ output }) => output))).toEqual(hashesOf(manifest.output))
    for (const [index, page] of pages.entries()) {
      if (index < pages.length - 1) expect(page.link).toEqual([{ relation: 'next', url: `${statusUrl}?page=${index + 2}` }])
      expect({ ...page, output: 0, deleted: 0, link: 0 }).toEqual({ ...pages[0], output: 0, deleted: 0, link: 0 })
      // All are still there, and now say the same with 200.
      const again = await world().demo.fetch(`${statusUrl}?page=${index + 1}`)
      expect([again.status, await again.json()]).toEqual([200, page])
    }
    expect((await world().demo.fetch(`${statusUrl}?page=${pages.length + 1}`)).status).toBe(404)
  })

  it('come with 202 while files are still to come, and list what can be had [ST-13, ST-14]', async () => {
    const { demo, vendor } = world()
    vendor('generic').faults.set([{ on: 'file', kind: 'answer', status: 503, after: PAGE_FILES + 1, times: 8 }])
    const { statusUrl } = await start('generic', '?allowPartialManifests=true')
    const answers = await followed(statusUrl, ({ headers }) => headers.get('Content-Type') === 'application/json')
    const { response, text } = answers.at(-1) ?? { response: new Response(), text: '' }
    expect(response.status).toBe(202)
    expect(response.headers.get('X-Progress')).toMatch(/%/)
    expect(response.headers.get('Retry-After')).toMatch(/^\d+$/)
    expect(response.headers.get('Expires')).toBeNull()
    const page = JSON.parse(text) as Page
    expect(page.output.length).toBe(PAGE_FILES)
    for (const { url, extension } of page.output) {
      const file = await demo.fetch(url, { headers: { 'Accept-Encoding': 'identity' } })
      const bytes = Buffer.from(await file.arrayBuffer())
      expect([file.status, createHash('sha256').update(bytes).digest('hex')]).toEqual([200, extension?.sha256])
    }
    const { pages, answers: later } = await pagesOf(statusUrl)
    expect(pages[0]).toEqual({ ...page, link: pages[0]?.link })
    expect(later.at(-1)?.response.headers.get('Expires')).toMatch(/GMT$/)
    vendor('generic').faults.clear()
  })
})

describe('separate-export-status', () => {
  it('tells how the export stands beside how the poll went, to the end of the export [KO-10, ST-10]', async () => {
    const { demo } = world()
    const { kickoff, statusUrl } = await start('generic', '', ', separate-export-status')
    expect(kickoff.headers.get('Preference-Applied')).toBe('respond-async, separate-export-status')
    const seen: (string | null)[] = []
    for (;;) {
      const response = await demo.fetch(statusUrl)
      seen.push(response.headers.get('X-Export-Status'))
      expect(response.status).toBe(200)
      const text = await response.text()
      if (seen.at(-1) !== '202 Accepted') {
        expect([text.startsWith('{"transactionTime"'), response.headers.get('Expires')]).toEqual([true, expect.any(String)])
        break
      }
      expect([text, response.headers.get('X-Progress')]).toEqual(['', expect.any(String)])
      await pause(response)
    }
    expect([seen[0], seen.at(-1)]).toEqual(['202 Accepted', '200 OK'])
    expect((await demo.fetch(statusUrl, { method: 'DELETE' })).status).toBe(202)
    const gone = await demo.fetch(statusUrl)
    expect([gone.status, gone.headers.get('X-Export-Status')]).toEqual([404, null])
  })

  it('can be seen by an app in a browser [KO-10, ST-10]', async () => {
    const { kickoff } = await start('generic', '', ', separate-export-status', { Origin: APP })
    const exposed = (kickoff.headers.get('Access-Control-Expose-Headers') ?? '').split(',')
    expect(exposed).toEqual(expect.arrayContaining(['Preference-Applied', 'X-Export-Status', 'X-Progress', 'ETag']))
  })

  it('tells of a failed export with its outcome [ST-05, ST-10]', async () => {
    const { demo, vendor } = world()
    vendor('generic').faults.set([{ on: 'status', kind: 'answer', status: 400 }])
    const { statusUrl } = await start('generic', '', ', separate-export-status')
    const answers = await followed(statusUrl, ({ headers }) => headers.get('X-Export-Status') !== '202 Accepted')
    vendor('generic').faults.clear()
    const { response, text } = answers.at(-1) ?? { response: new Response(), text: '' }
    expect([response.status, response.headers.get('X-Export-Status')]).toEqual([200, '500 Internal Server Error'])
    expect(response.headers.get('Content-Type')).toBe('application/fhir+json')
    expect(JSON.parse(text)).toMatchObject({ resourceType: 'OperationOutcome' })
    await demo.fetch(statusUrl, { method: 'DELETE' })
  })

  it('is not there for who did not ask for it [ST-10]', async () => {
    const { kickoff, statusUrl } = await start('generic')
    expect(kickoff.headers.get('Preference-Applied') ?? '').not.toContain('separate-export-status')
    for (const { response } of await followed(statusUrl, isComplete)) expect(response.headers.get('X-Export-Status')).toBeNull()
  })
})

describe('the entry of a file', () => {
  it.each(SOURCES)('of %s has the sha256 and the length of what is downloaded [MF-08, MF-18]', async (id) => {
    const { manifest } = await exportGroup(world(), id, '?_type=Patient')
    for (const { url, count, extension } of manifest.output as readonly Listed[]) {
      const bytes = Buffer.from(await (await world().demo.fetch(url)).arrayBuffer())
      expect(extension).toEqual({ sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length })
      expect(bytes.toString().trimEnd().split('\n')).toHaveLength(count ?? -1)
    }
  })
})

/** A request as it stands: `fetch` adds its own `Accept-Encoding` where there is a `Range`. */
const raw = async (url: string, headers: Record<string, string>): Promise<{ status: number; coding: string; body: Buffer }> => {
  const authorization = `Bearer ${await world().token()}`
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url, { headers: { ...headers, authorization } }, resolve).once('error', reject)
  })
  const blocks: Buffer[] = []
  for await (const block of answer as AsyncIterable<Buffer>) blocks.push(block)
  return { status: answer.statusCode ?? 0, coding: answer.headers['content-encoding'] ?? 'identity', body: Buffer.concat(blocks) }
}

describe('Accept-Encoding', () => {
  it('that rules identity out gets gzip, also with a Range; one that rules out both is 406 [FI-10, FI-15]', async () => {
    const { manifest } = await exportGroup(world(), 'generic', '?_type=Patient')
    const url = manifest.output[0]?.url ?? ''
    const plain = await raw(url, {})
    expect([plain.status, plain.coding]).toEqual([200, 'identity'])
    for (const more of [{}, { Range: 'bytes=0-3' }]) {
      const packed = await raw(url, { 'Accept-Encoding': 'gzip, identity;q=0', ...more })
      expect([packed.status, packed.coding]).toEqual([200, 'gzip'])
      expect(gunzipSync(packed.body).equals(plain.body)).toBe(true)
    }
    const ranged = await raw(url, { 'Accept-Encoding': 'gzip', Range: 'bytes=0-3' })
    expect([ranged.status, ranged.coding, ranged.body]).toEqual([206, 'identity', plain.body.subarray(0, 4)])
    const refused = await raw(url, { 'Accept-Encoding': 'br, *;q=0' })
    expect(refused.status).toBe(406)
    expect(refused.body.toString()).toMatch(/OperationOutcome.*gzip/)
  })
})
