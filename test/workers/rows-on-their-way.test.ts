import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { JobRequest } from '../../src/job/model.ts'
import { attachment } from '../../src/routes/attachments.ts'
import type { App } from '../../src/routes/context.ts'
import { outputFile } from '../../src/routes/files.ts'
import { ExportError } from '../../src/errors.ts'
import { joined, linesOf, newlinesIn, PART_BYTES, rangeBehind, ServedFile } from './collecting-support.ts'
import { Bench, manifestOf, namesIn, objectsOf, ring, type Entry, type JobStub } from './job-support.ts'
import { bindings, EVERYTHING, holdTime, letGo, ndjson } from './support.ts'

/* Rows pass the program of their job on their way to R2, and on their way to the client where they are not kept. */

vi.setConfig({ testTimeout: 30_000 })

let bench: Bench

beforeEach(() => {
  holdTime()
  bench = Bench.withSource()
})
afterEach(letGo)

const rowsOf = (...rows: object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

const exportOf = async (output: readonly Entry[], request: Partial<JobRequest> = {}, more: Record<string, unknown> = {}) => {
  bench.vendor.on(bench.status, bench.manifest(output, more))
  const started = await bench.complete(request)
  return { ...started, manifest: await manifestOf(bench, started.job) }
}

const textAt = async (jobId: string, n: number): Promise<string | undefined> =>
  (await bindings.FILES.get(`jobs/${jobId}/${n}`))?.text()

/** The routes of files, for a caller that has been let in. */
const ask = async (path: string, { scopes = EVERYTHING, method = 'GET', client = 'app' } = {}): Promise<Response> => {
  const app = new Hono<App>()
  app.use(async (c, next) => {
    c.set('caller', {
      clientId: client,
      scopes,
      client: { access: { [bench.source.id]: {} } },
    } as unknown as App['Variables']['caller'])
    await next()
  })
  app.get('/fhir/:source/jobs/:job/files/:file', outputFile)
  app.get('/fhir/:source/jobs/:job/attachments/:sealed', attachment)
  app.onError((error, c) => {
    if (!(error instanceof ExportError)) throw error
    return c.text(error.code, error.code === 'scope_insufficient' ? 403 : error.code === 'job_not_found' ? 404 : 502)
  })
  return app.request(new Request(`https://bulkhead.example${path}`, { method }), undefined, bindings)
}

const pathOf = (url = ''): string => new URL(url).pathname
/** Routes know jobs by ids of ours. */
const routed = (): Partial<JobRequest> => ({ jobId: crypto.randomUUID() })

const referring = (base: string) => rowsOf({ resourceType: 'Observation', id: '1', subject: { reference: `${base}Patient/1` } })

describe('references and rows', () => {
  it('an absolute reference to the vendor is relative in the file, whose digest and count are of what rests with us [KO-17]', async () => {
    const url = bench.file('o', referring(`${bench.source.base}/`))
    const { jobId, job, manifest } = await exportOf([{ type: 'Observation', url, count: 1 }])
    expect(await textAt(jobId, 1)).toBe(referring(''))
    expect(manifest.output).toMatchObject([{ count: 1 }])
    expect(
      await job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, 'Observation.1.ndjson'),
    ).toMatchObject({ bytes: referring('').length })
  })

  it('rows that the job leaves out are not missed: the vendor’s count is of what it gave [PA-02]', async () => {
    const rows = rowsOf(
      { resourceType: 'Patient', id: '1', meta: { lastUpdated: '2020-01-01T00:00:00Z' } },
      { resourceType: 'Patient', id: '2', meta: { lastUpdated: '2024-01-01T00:00:00Z' } },
    )
    const url = bench.file('p', rows)
    const { jobId, manifest } = await exportOf([{ type: 'Patient', url, count: 2 }], { rows: { sinceMs: Date.UTC(2022, 0) } })
    expect(await textAt(jobId, 1)).toBe(rows.slice(rows.indexOf('\n') + 1))
    expect([manifest.output, manifest.error]).toMatchObject([[{ count: 1 }], []])
    expect(bench.vendor.count(`GET ${url}`)).toBe(1)
  })

  it('a file of which nothing is left is not listed [MF-07]', async () => {
    const url = bench.file('p', rowsOf({ resourceType: 'Patient', id: '1', meta: { lastUpdated: '2020-01-01T00:00:00Z' } }))
    const { manifest } = await exportOf([{ type: 'Patient', url, count: 1 }], { rows: { sinceMs: Date.UTC(2022, 0) } })
    expect([manifest.output, manifest.error]).toEqual([[], []])
  })

  it('an organized export keeps what it is made of, and lists it not', async () => {
    const url = bench.file('p', rowsOf({ resourceType: 'Patient', id: '1' }))
    const { manifest } = await exportOf([{ type: 'Patient', url }], { organizeBy: 'Patient' })
    expect(manifest.output).toHaveLength(1)
    expect(manifest.output[0]?.url).not.toContain('/Patient.1.ndjson')
  })
})

describe('a file that broke off within a row', () => {
  const SIZE = 2 * PART_BYTES + 500_000

  it.each([-40, -20, -1, 0, 1, 20])(
    'is gone on with from the row’s start: a reference %d bytes from the cut is not delivered as it was [KO-17]',
    async (shift) => {
      const row = rowsOf({ resourceType: 'Patient', id: '1', link: [{ other: { reference: `${bench.source.base}/Patient/2` } }] })
      const at = row.indexOf(bench.source.base)
      const first = linesOf(PART_BYTES + shift - at)
      const bytes = joined(first, row, linesOf(SIZE - PART_BYTES))
      const served = new ServedFile(bytes, { cutAt: PART_BYTES + 400_000 })
      const url = bench.file('large')
      bench.vendor.on(`GET ${url}`, (request) => served.answer(request))
      bench.vendor.on(bench.status, bench.manifest([{ type: 'Patient', url }]))
      const { job, jobId } = await bench.start()
      await ring(job)
      served.serving = {}
      for (let turn = 0; turn < 20 && (await bench.kind(job)) === 'in-progress'; turn++) await ring(job)
      const text = (await textAt(jobId, 1)) ?? ''
      expect(text.length).toBe(bytes.byteLength - `${bench.source.base}/`.length)
      expect(text).not.toContain(bench.source.base)
    },
  )

  it('and not changed so far: the vendor is asked from that row on, which the program then sees whole', async () => {
    const row = rowsOf({ resourceType: 'Patient', id: '1', link: [{ other: { reference: `${bench.source.base}/Patient/2` } }] })
    const bytes = joined(linesOf(SIZE), row)
    const served = new ServedFile(bytes, { cutAt: PART_BYTES + 1_400_000 })
    const url = bench.file('large')
    bench.vendor.on(`GET ${url}`, (request) => served.answer(request))
    bench.vendor.on(bench.status, bench.manifest([{ type: 'Patient', url, count: newlinesIn(bytes) }]))
    const { job, jobId } = await bench.start()
    await ring(job)
    served.serving = {}
    for (let turn = 0; turn < 20 && (await bench.kind(job)) === 'in-progress'; turn++) await ring(job)
    expect(served.asked.map(({ range }) => range)).toEqual([null, rangeBehind(bytes, PART_BYTES)])
    const manifest = await manifestOf(bench, job)
    expect([manifest.output, manifest.error]).toMatchObject([[{ count: newlinesIn(bytes) }], []])
    const text = (await textAt(jobId, 1)) ?? ''
    expect(text.length).toBe(bytes.byteLength - `${bench.source.base}/`.length)
    expect(text).not.toContain(bench.source.base)
  })
})

describe('a file of several types [N-22]', () => {
  const MIXED = rowsOf(
    { resourceType: 'Patient', id: '1' },
    { resourceType: 'Observation', id: '2' },
    { resourceType: 'Patient', id: '3' },
  )

  it.each([true, false])(
    'becomes one file for each, and no row stands in a file of another type (announced: %s)',
    async (isTold) => {
      const url = bench.file('m', MIXED)
      const { jobId, manifest } = await exportOf([{ ...(isTold ? { type: 'Patient' } : {}), url, count: 3 }])
      expect(manifest.output.map(({ type, count }) => [type, count])).toEqual([
        ['Patient', 2],
        ['Observation', 1],
      ])
      expect(manifest.error).toEqual([])
      expect(await textAt(jobId, 1)).toBe(rowsOf({ resourceType: 'Patient', id: '1' }, { resourceType: 'Patient', id: '3' }))
      expect(await textAt(jobId, 2)).toBe(rowsOf({ resourceType: 'Observation', id: '2' }))
      expect(bench.vendor.count(`GET ${url}`)).toBe(2)
    },
  )

  it('is not read again for a type that may not be delivered [KO-14]', async () => {
    const url = bench.file('m', MIXED)
    const { manifest } = await exportOf([{ type: 'Patient', url }], { types: ['Patient'] })
    expect(manifest.output).toMatchObject([{ type: 'Patient', count: 2 }])
    expect(bench.vendor.count(`GET ${url}`)).toBe(1)
  })

  it('gets its URL anew for all of its types [N-25]', async () => {
    const url = bench.file('m')
    let mark = 'old'
    bench.vendor.on(bench.status, () => bench.manifest([{ type: 'Patient', url: `${url}?sig=${mark}` }])())
    bench.vendor.on(
      `GET ${url}?sig=old`,
      () => new Response(MIXED),
      () => {
        mark = 'new'
        return new Response(null, { status: 403 })
      },
    )
    bench.vendor.on(`GET ${url}?sig=new`, () => new Response(MIXED))
    const { job } = await bench.complete()
    expect((await manifestOf(bench, job)).output).toMatchObject([{ type: 'Patient' }, { type: 'Observation', count: 1 }])
  })

  it('that is not kept breaks off, and never looks whole', async () => {
    bench = Bench.withSource({ retention: 'none' })
    const url = bench.file('m', MIXED)
    const { manifest } = await exportOf([{ type: 'Patient', url }], routed())
    expect((await ask(pathOf(manifest.output[0]?.url))).status).toBe(502)
    const filler = rowsOf({ resourceType: 'Patient', id: 'x'.repeat(400_000) }).repeat(4)
    bench.vendor.on(`GET ${url}`, () => new Response(filler + MIXED))
    const answer = await ask(pathOf(manifest.output[0]?.url))
    expect(answer.status).toBe(200)
    await expect(answer.text()).rejects.toBeInstanceOf(Error)
  })
})

const deletion = (url: string) => ({
  resourceType: 'Bundle',
  type: 'transaction',
  entry: [{ request: { method: 'DELETE', url } }],
})

describe('deletions and outcomes', () => {
  it('deletions of what may not be delivered are left out, and a file without any is not listed [MF-07, MF-12]', async () => {
    const deleted = [
      { type: 'Bundle', url: bench.file('d1', rowsOf(deletion('Patient/1'), deletion('Observation/2'))) },
      { type: 'Bundle', url: bench.file('d2', rowsOf(deletion('Observation/3'))) },
    ]
    const { jobId, manifest } = await exportOf([], { types: ['Patient'] }, { deleted })
    expect(manifest.deleted).toMatchObject([{ type: 'Bundle', count: 1 }])
    expect(await textAt(jobId, 1)).toBe(rowsOf(deletion('Patient/1')))
  })

  it('outcomes of the vendor name none of its hosts [N-35]', async () => {
    const text = `look at ${bench.source.base}/Patient/1`
    const outcome = { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'EXCEPTION', diagnostics: text }] }
    const { jobId } = await exportOf([], {}, { error: [{ type: 'OperationOutcome', url: bench.file('e', rowsOf(outcome)) }] })
    const found = await textAt(jobId, 1)
    expect(found).toContain('"code":"exception"')
    expect(found).not.toContain('vendor.example')
  })
})

describe('with retention none', () => {
  it('rows pass the same program on their way', async () => {
    bench = Bench.withSource({ retention: 'none' })
    const url = bench.file(
      'p',
      rowsOf(
        { resourceType: 'Patient', id: '1', meta: { lastUpdated: '2020-01-01T00:00:00Z' } },
        { resourceType: 'Patient', id: '2', link: [{ other: { reference: `${bench.source.base}/Patient/1` } }] },
      ),
    )
    const { jobId, manifest } = await exportOf([{ type: 'Patient', url }], { ...routed(), rows: { sinceMs: Date.UTC(2022, 0) } })
    const answer = await ask(pathOf(manifest.output[0]?.url))
    expect(await answer.text()).toBe(rowsOf({ resourceType: 'Patient', id: '2', link: [{ other: { reference: 'Patient/1' } }] }))
    expect(await objectsOf(jobId)).toEqual([])
  })
})

const withAttachment = (url: string, contentType: string | undefined = 'text/plain') =>
  rowsOf({ resourceType: 'DocumentReference', id: '1', content: [{ attachment: { contentType, url } }] })

const sealedUrl = async (job: JobStub, jobId: string): Promise<string> => {
  const row = JSON.parse((await textAt(jobId, 1)) ?? '') as { content: { attachment: { url: string } }[] }
  expect(await job.attachment({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, 'x')).toEqual({
    kind: 'absent',
  })
  return row.content[0]?.attachment.url ?? ''
}

const exported = async (contentType?: string) => {
  const url = `${bench.source.base}/Binary/7`
  const file = bench.file('d', withAttachment('Binary/7', contentType))
  const { job, jobId } = await exportOf([{ type: 'DocumentReference', url: file }], routed())
  return { url, job, jobId, path: pathOf(await sealedUrl(job, jobId)) }
}

describe('attachments that lie at the vendor [FI-14]', () => {
  it('are had through us, with our token, and nothing of the vendor is readable in their URL', async () => {
    const { url, jobId, path } = await exported()
    expect(path).toMatch(new RegExp(`^/fhir/${bench.source.id}/jobs/${jobId}/attachments/[\\w-]+$`))
    expect(
      atob(
        path
          .slice(path.lastIndexOf('/') + 1)
          .replaceAll('-', '+')
          .replaceAll('_', '/'),
      ),
    ).not.toMatch(/Binary|vendor|http/)
    let asked: Headers | undefined
    bench.vendor.on(`GET ${url}`, ({ headers }) => {
      asked = headers
      return new Response('note', { headers: { 'Content-Type': 'text/plain; charset=utf-8', 'Set-Cookie': 'a=b', Server: 'x' } })
    })
    const answer = await ask(path)
    expect([answer.status, await answer.text()]).toEqual([200, 'note'])
    expect(Object.fromEntries(answer.headers)).toEqual({
      'cache-control': 'no-store, private',
      'content-disposition': 'attachment',
      'content-type': 'text/plain; charset=utf-8',
    })
    expect([asked?.get('Authorization'), asked?.get('Accept')]).toEqual(['Bearer vendor-token', 'text/plain, */*;q=0.1'])
  })

  it.each([
    ['JSON', 'application/fhir+json', `{"resourceType":"Binary","contentType":"image\\/png","data":"${btoa('pixels')}"}`],
    [
      'XML',
      'application/fhir+xml',
      `<Binary xmlns="http://hl7.org/fhir"><contentType value="image/png"/><data value="${btoa('pixels')}"/></Binary>`,
    ],
  ])('are unwrapped where the server gives a Binary as %s', async (_, contentType, body) => {
    const { url, path } = await exported()
    bench.vendor.on(`GET ${url}`, () => new Response(body, { headers: { 'Content-Type': contentType } }))
    const answer = await ask(path)
    expect([answer.headers.get('Content-Type'), await answer.text()]).toEqual(['image/png', 'pixels'])
  })

  it('of a type that is no media type are bytes', async () => {
    const { url, path } = await exported('text/html; x="\r\n"')
    bench.vendor.on(`GET ${url}`, () => new Response('x', { headers: { 'Content-Type': 'nonsense' } }))
    expect((await ask(path)).headers.get('Content-Type')).toBe('application/octet-stream')
  })

  it('have the same URL in every reading, and another in every export', async () => {
    const [one, other] = [await exported(), await exported()]
    expect(one.path.split('/').at(-1)).not.toBe(other.path.split('/').at(-1))
    const { AttachmentSeal, newSealKey } = await import('../../src/job/sealed-url.ts')
    const key = newSealKey()
    const about = { url: one.url, type: 'DocumentReference' }
    expect(await new AttachmentSeal(key).seal(about)).toBe(await new AttachmentSeal(key).seal(about))
    expect(await new AttachmentSeal(key).open((await new AttachmentSeal(key).seal(about)) ?? '')).toEqual(about)
  })

  it('are not there for anybody else, under another export, or under a URL that was changed [AU-17]', async () => {
    const { path } = await exported()
    const other = await exported()
    const seal = path.split('/').at(-1) ?? ''
    const changed = Array.from({ length: seal.length }, (_, at) => {
      const letter = seal[at] === 'A' ? 'B' : 'A'
      return path.replace(seal, seal.slice(0, at) + letter + seal.slice(at + 1))
    })
    const paths = [...changed.filter((_, at) => at % 7 === 0), other.path.replace(/[^/]+$/, seal), `${path}A`, path.slice(0, -1)]
    for (const one of paths) expect([one, (await ask(one)).status]).toEqual([one, 404])
    expect((await ask(path, { client: 'other' })).status).toBe(404)
    expect((await ask(path, { scopes: ['system/Patient.rs'] })).status).toBe(403)
    expect((await ask(path, { method: 'HEAD' })).status).toBe(200)
  })

  it('that the vendor does not give are said to be unavailable, and say nothing of it', async () => {
    const { url, path } = await exported()
    for (const status of [401, 404, 503]) {
      bench.vendor.on(`GET ${url}`, () => new Response('secret', { status }))
      expect([(await ask(path)).status, await (await ask(path)).text()]).toEqual([502, 'vendor_file_unavailable'])
    }
  })

  it('that lie elsewhere are left as they are', async () => {
    const text = withAttachment('https://elsewhere.example/Binary/7')
    const { jobId } = await exportOf([{ type: 'DocumentReference', url: bench.file('d', text) }])
    expect(await textAt(jobId, 1)).toBe(text)
  })
})

it('a file that was announced as one type and holds another alone is still refused [N-09]', async () => {
  const { manifest } = await exportOf([
    { type: 'Patient', url: bench.file('o', ndjson('Observation', 2)) },
    { type: 'Patient', url: bench.file('p', ndjson('Patient', 1)) },
  ])
  expect(manifest.output).toMatchObject([{ type: 'Patient', count: 1 }])
  expect(manifest.error).toHaveLength(1)
})

describe('patients that were asked for and are not there [PA-10]', () => {
  const patients = rowsOf({ resourceType: 'Patient', id: '1' }, { resourceType: 'Patient', id: '2' })
  const exportWith = (request: Partial<JobRequest>) => exportOf([{ type: 'Patient', url: bench.file('p', patients) }], request)

  it('are told by number, in an outcome', async () => {
    const { manifest, job } = await exportWith({ rows: { patients: ['1', '8', '9'] } })
    expect(manifest).toMatchObject({ output: [{ count: 1 }], error: [{ count: 1 }] })
    const [name = ''] = namesIn(manifest.error)
    const outcome = await job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, name)
    expect(outcome).toMatchObject({ kind: 'text', text: expect.stringContaining('2 of the patients') as unknown })
  })

  it.each([
    ['all are there', { rows: { patients: ['1', '2'] } }],
    ['their time may have left them out', { rows: { patients: ['1', '9'], sinceMs: 0 } }],
    ['the types leave them out', { rows: { patients: ['9'] }, types: ['Observation'] }],
  ])('are not told where %s', async (_, request) => {
    expect((await exportWith(request)).manifest.error).toEqual([])
  })
})
