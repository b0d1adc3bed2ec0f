import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { compareExport, compareTraffic } from '../../sandbox/compare.ts'
import { exportGroup, SOURCES, startWorld, useWorld, type World } from './support.ts'

const inTemporaryDirectory = async <T>(work: (directory: string) => Promise<T>): Promise<T> => {
  const directory = await mkdtemp(join(tmpdir(), 'bulkhead-'))
  try {
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

const differencesOf = async (world: World, id: string): Promise<readonly string[]> =>
  inTemporaryDirectory(async (directory) => {
    const { manifest } = await exportGroup(world, id)
    await world.demo.download(manifest, directory)
    const { resources, differences } = await compareExport(world.vendor(id), manifest, directory, (url) => world.demo.read(url))
    expect(resources).toBeGreaterThan(50)
    return [...differences, ...compareTraffic(world.vendor(id))]
  })

describe.each(['r2', 'none'] as const)('retention %s', (retention) => {
  const world = useWorld({ patients: 8 }, (_, source) => ({ ...source, retention }))

  it.concurrent.each(SOURCES)('%s delivers what its server holds, and breaks no rule of it [N-06, N-13, N-26]', async (id) => {
    expect(await differencesOf(world(), id)).toEqual([])
  })
})

const patient = (id: string): string => JSON.stringify({ resourceType: 'Patient', id, name: [{ family: 'Ångström ☃' }] })
const observation = (id: string): string =>
  JSON.stringify({
    resourceType: 'Observation',
    id,
    subject: { reference: 'Patient/a' },
    status: 'final',
    code: { text: 'x' },
  })

describe('resources that were not made here', () => {
  it('arrive whole from files without a final newline, with CRLF and with blank lines [FI-05, MF-08, N-27]', async () => {
    await inTemporaryDirectory(async (data) => {
      await writeFile(join(data, 'Patient.ndjson'), [patient('a'), patient('b')].join('\n'))
      await writeFile(join(data, 'Observation.000.ndjson'), `${observation('1')}\r\n\r\n${observation('2')}\r\n`)
      await writeFile(join(data, 'Observation.001.ndjson'), observation('3'))
      const world = await startWorld({ dataDir: data })
      try {
        const texts = await Promise.all(
          SOURCES.map(async (id) => {
            const { manifest } = await exportGroup(world, id, '?_type=Patient,Observation')
            const files = await Promise.all(manifest.output.map(async ({ url }) => (await world.demo.fetch(url)).text()))
            return files.join('')
          }),
        )
        const expected = [patient('a'), patient('b'), observation('1'), observation('2'), observation('3')].toSorted()
        for (const text of texts) {
          expect(text.endsWith('\n')).toBe(true)
          expect(text.slice(0, -1).split('\n').toSorted()).toEqual(expected)
        }
      } finally {
        await world.close()
      }
    })
  })
})

describe('the wire, the same for every source', () => {
  const world = useWorld()

  it.concurrent.each(SOURCES)('%s: kick-off, status, manifest and files are the specification’s [N-01, N-29]', async (id) => {
    const { facade, demo, vendor } = world()
    const path = `/fhir/${id}/Group/${vendor(id).groupId}/$export?_type=Patient,Observation`
    const started = await demo.fetch(path, { headers: { Accept: 'application/fhir+json', Prefer: 'respond-async' } })
    expect(started.status).toBe(202)
    expect(started.headers.get('Content-Type')).toBe('application/fhir+json')
    expect(started.headers.get('Retry-After')).toMatch(/^[1-9]\d*$/)
    expect(await started.json()).toMatchObject({ resourceType: 'OperationOutcome' })
    const statusUrl = started.headers.get('Content-Location') ?? ''
    expect(statusUrl).toMatch(new RegExp(`^${facade.base}/fhir/${id}/jobs/[0-9a-f-]{36}$`)) // [KO-11]

    const first = await demo.fetch(statusUrl)
    expect(first.status).toBe(202) // [ST-01]
    expect(first.headers.get('Retry-After')).toMatch(/^\d+$/) // [ST-03]
    expect(first.headers.get('X-Progress')).toMatch(/^[\x20-\x7e]{1,99}$/) // [ST-02]
    expect(first.headers.has('X-Export-Status')).toBe(false) // [ST-10]
    expect(await first.text()).toBe('')

    await demo.manifest(statusUrl)
    const done = await demo.fetch(statusUrl)
    expect(done.status).toBe(200)
    expect(done.headers.get('Content-Type')).toBe('application/json') // [ST-11]
    expect(Date.parse(done.headers.get('Expires') ?? '')).toBeGreaterThan(Date.now()) // [ST-12]
    const text = await done.text()
    const manifest = JSON.parse(text) as Record<string, unknown> & { output: { type: string; url: string; count: number }[] }
    expect(Object.keys(manifest)).toEqual(['transactionTime', 'request', 'requiresAccessToken', 'output', 'deleted', 'error'])
    expect(manifest).toMatchObject({ request: facade.base + path, requiresAccessToken: true, deleted: [], error: [] }) // [MF-02, MF-03, MF-14]
    expect(manifest.transactionTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) // [MF-01]
    expect(new Set(manifest.output.map(({ type }) => type))).toEqual(new Set(['Patient', 'Observation'])) // [PA-05]
    expect(await (await demo.fetch(statusUrl)).text()).toBe(text) // [ST-14]

    for (const { type, url, count } of manifest.output) {
      expect(url.startsWith(`${statusUrl}/files/`)).toBe(true) // [MF-05]
      const file = await demo.fetch(url)
      expect(file.status).toBe(200)
      expect(file.headers.get('Content-Type')).toBe('application/fhir+ndjson') // [FI-04]
      expect(file.headers.get('Content-Disposition')).toBe(`attachment; filename="${url.split('/').at(-1)}"`) // [N-29]
      const resources = (await file.text())
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as { resourceType: string })
      expect(resources.map(({ resourceType }) => resourceType)).toEqual(Array.from({ length: count }, () => type)) // [FI-06, MF-08]
      expect((await fetch(url)).status).toBe(401) // [FI-07]
    }

    expect((await demo.fetch(statusUrl, { method: 'DELETE' })).status).toBe(202) // [DL-01]
    for (const url of [statusUrl, manifest.output[0]?.url ?? '']) {
      const gone = await demo.fetch(url)
      expect(gone.status).toBe(404) // [DL-02]
      expect(await gone.json()).toMatchObject({ resourceType: 'OperationOutcome' })
    }
    expect((await demo.fetch(statusUrl, { method: 'DELETE' })).status).toBe(404) // [DL-03]
  })
})

describe('an output file', () => {
  const world = useWorld()
  let known: Promise<{ url: string; bytes: Buffer }> | undefined
  const fileOf = () => (known ??= exportedFile())
  const exportedFile = async (): Promise<{ url: string; bytes: Buffer }> => {
    const { manifest } = await exportGroup(world(), 'generic', '?_type=Observation')
    const url = manifest.output[0]?.url ?? ''
    const response = await world().demo.fetch(url, { headers: { 'Accept-Encoding': 'identity' } })
    return { url, bytes: Buffer.from(await response.arrayBuffer()) }
  }

  it('has a strong ETag of its bytes, a length, ranges, HEAD and 304 [FI-15]', async () => {
    const { url, bytes } = await fileOf()
    const { demo } = world()
    const identity = { 'Accept-Encoding': 'identity' }
    const head = await demo.fetch(url, { method: 'HEAD', headers: identity })
    const etag = `"${createHash('sha256').update(bytes).digest('hex')}"`
    expect(Object.fromEntries(head.headers)).toMatchObject({
      etag,
      'content-length': String(bytes.length),
      'accept-ranges': 'bytes',
      vary: 'Accept-Encoding',
      'cache-control': 'no-store, private',
    })
    const ranges: [string, number, Buffer | undefined][] = [
      ['bytes=0-9', 206, bytes.subarray(0, 10)],
      [`bytes=${bytes.length - 5}-`, 206, bytes.subarray(-5)],
      ['bytes=-7', 206, bytes.subarray(-7)],
      ['bytes=5-2', 200, bytes],
      ['bytes=0-1,4-5', 200, bytes],
      ['lines=1-2', 200, bytes],
      [`bytes=${bytes.length}-`, 416, undefined],
    ]
    for (const [range, status, expected] of ranges) {
      const answer = await demo.fetch(url, { headers: { ...identity, Range: range } })
      expect([range, answer.status]).toEqual([range, status])
      const got = Buffer.from(await answer.arrayBuffer())
      if (expected) expect(got.equals(expected)).toBe(true)
    }
    const resumed = await demo.fetch(url, { headers: { ...identity, Range: 'bytes=3-5', 'If-Range': etag } })
    expect([resumed.status, resumed.headers.get('Content-Range')]).toEqual([206, `bytes 3-5/${bytes.length}`])
    expect((await demo.fetch(url, { headers: { ...identity, Range: 'bytes=3-5', 'If-Range': '"other"' } })).status).toBe(200)
    expect((await demo.fetch(url, { headers: { ...identity, 'If-None-Match': etag } })).status).toBe(304)
  })

  it('is the same bytes with gzip, under another ETag [FI-10]', async () => {
    const { url, bytes } = await fileOf()
    const { demo } = world()
    const answer = await demo.fetch(url, { headers: { 'Accept-Encoding': 'gzip' } })
    expect(answer.headers.get('Content-Encoding')).toBe('gzip')
    expect(answer.headers.get('ETag')).toMatch(/^"[0-9a-f]{64}-gzip"$/)
    const body = Buffer.from(await answer.arrayBuffer())
    // fetch may have decoded it already.
    expect((body[0] === 0x1f ? gunzipSync(body) : body).equals(bytes)).toBe(true)
  })

  it.each(['application/fhir+ndjson', '*/*', 'application/ndjson', undefined])(
    'is served for Accept %s [FI-02]',
    async (accept) => {
      const { url } = await fileOf()
      const token = await world().token()
      const answer = await fetch(url, {
        headers: { Authorization: `Bearer ${token}`, ...(accept === undefined ? {} : { Accept: accept }) },
      })
      expect(answer.status).toBe(200)
      await answer.body?.cancel()
    },
  )

  it('is refused to a token that does not cover its type [AU-17]', async () => {
    const { url } = await fileOf()
    const token = await world().token('system/Patient.rs')
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } })
    expect(answer.status).toBe(403)
    expect(answer.headers.get('WWW-Authenticate')).toContain('insufficient_scope')
  })
})
