import { env, evictDurableObject } from 'cloudflare:test'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { StatusAnswer } from '../../src/job/answers.ts'
import type { JobRequest } from '../../src/job/model.ts'
import { Bench, namesIn, ring, ringUntil, stored, type JobStub, type OurManifest } from './job-support.ts'
import { EVERYTHING, holdTime, letGo, ndjson } from './support.ts'

/* Manifests that are told page by page while the export runs, two files each. */

const PARTIAL = { partialManifests: true } as const satisfies Partial<JobRequest>
const HELD = '503' as const
let bench: Bench

beforeAll(() => {
  Object.assign(env, { LIMITS: { manifestPageFiles: 2, statusRequestsPerMinute: 30 } })
})
beforeEach(() => {
  holdTime()
  bench = Bench.withSource()
})
afterEach(() => {
  bench.vendor.verify()
  letGo()
})

/** A manifest of the vendor with such files; those that are held are not to be had yet. */
const vendorHas = (...files: readonly (readonly [name: string, held?: typeof HELD])[]): void => {
  const output = files.map(([name, held]) => {
    const url = bench.file(name, ndjson('Patient', 1))
    if (held) hold(name)
    return { type: 'Patient', url }
  })
  bench.vendor.on(bench.status, bench.manifest(output))
}
const hold = (name: string): void => bench.vendor.on(`GET ${bench.file(name)}`, () => new Response(null, { status: 503 }))
const free = (...names: string[]): void => names.forEach((name) => bench.file(name, ndjson('Patient', 1)))

const pageOf = async (job: JobStub, page?: number): Promise<StatusAnswer> =>
  job.view({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, page)

/** One page as it stands on the wire; nothing where none can be told. */
const textOf = async (job: JobStub, page?: number): Promise<string> => {
  const view = await pageOf(job, page)
  return 'manifest' in view && view.manifest ? new Response(view.manifest).text() : ''
}
const read = (text: string) => JSON.parse(text) as OurManifest & { readonly link?: readonly { readonly url: string }[] }
const manifestAt = async (job: JobStub, page?: number) => read(await textOf(job, page))
const kindOf = async (job: JobStub, page?: number): Promise<string> => {
  const view = await pageOf(job, page)
  if ('manifest' in view && view.manifest) await new Response(view.manifest).text()
  return view.kind
}
const fileOf = async (job: JobStub, name: string) =>
  job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, name)
const ringTillDone = async (job: JobStub): Promise<void> => ringUntil(job, async () => (await kindOf(job)) !== 'in-progress')

describe('a manifest in pages', () => {
  it('tells each page once it is full, with X-Progress and Retry-After as ever, and its files can be had [PA-18, ST-13]', async () => {
    vendorHas(['a'], ['b'], ['c', HELD])
    const { job } = await bench.start(PARTIAL)
    expect(await pageOf(job)).toEqual({ kind: 'in-progress', progress: 'in progress', retryAfterSeconds: 10 })
    await ring(job)
    const view = await pageOf(job)
    expect(view).toMatchObject({
      kind: 'in-progress',
      progress: expect.stringMatching(/%/),
      retryAfterSeconds: expect.any(Number),
    })
    expect(view).not.toHaveProperty('expiresMs')
    const page = await manifestAt(job)
    expect(namesIn(page.output)).toEqual(['Patient.1.ndjson', 'Patient.2.ndjson'])
    expect(page).not.toHaveProperty('link')
    for (const name of namesIn(page.output)) expect(await fileOf(job, name)).toMatchObject({ kind: 'stored' })
  })

  it('gives no file before a page tells of it', async () => {
    vendorHas(['a'], ['b'], ['c'], ['d', HELD])
    const { job } = await bench.start(PARTIAL)
    await ring(job)
    expect(await fileOf(job, 'Patient.1.ndjson')).toEqual({ kind: 'absent' })
    expect(namesIn((await manifestAt(job)).output)).toEqual(['Patient.1.ndjson', 'Patient.2.ndjson'])
    expect(await fileOf(job, 'Patient.1.ndjson')).toMatchObject({ kind: 'stored' })
    expect(await fileOf(job, 'Patient.3.ndjson')).toEqual({ kind: 'absent' })
  })

  it('never changes a page, save that a link to the next appears, through an eviction and to the end [ST-14, MF-16]', async () => {
    vendorHas(['a', HELD], ['b'], ['c'], ['d', HELD], ['e', HELD])
    const { job } = await bench.start(PARTIAL)
    await ring(job)
    const told = await textOf(job)
    expect(namesIn(read(told).output)).toEqual(['Patient.2.ndjson', 'Patient.3.ndjson'])
    expect(await textOf(job)).toBe(told)
    await evictDurableObject(job)
    expect(await textOf(job)).toBe(told)
    // A file with a smaller number comes later, and stands on a later page.
    free('a', 'd')
    await ringUntil(job, async () => (await kindOf(job, 2)) === 'in-progress')
    const linked = await textOf(job)
    const nextUrl = `https://bulkhead.example/fhir/${bench.source.id}/jobs/`
    expect(linked.slice(0, told.length - 1)).toBe(told.slice(0, -1))
    expect(read(linked).link).toEqual([{ relation: 'next', url: expect.stringContaining(nextUrl) }])
    const second = await textOf(job, 2)
    expect(namesIn(read(second).output)).toEqual(['Patient.1.ndjson', 'Patient.4.ndjson'])
    free('e')
    await ringTillDone(job)
    expect(await textOf(job)).toBe(linked)
    expect((await textOf(job, 2)).startsWith(second.slice(0, -1))).toBe(true)
    expect(namesIn((await manifestAt(job, 3)).output)).toEqual(['Patient.5.ndjson'])
    expect(await manifestAt(job, 3)).not.toHaveProperty('link')
  })

  it('repeats everything but output, deleted and link on each page [MF-17]', async () => {
    vendorHas(['a'], ['b'], ['c'])
    const { job } = await bench.start(PARTIAL)
    await ringTillDone(job)
    const sameOn = async (page: number) => ({ ...(await manifestAt(job, page)), output: [], deleted: [], link: [] })
    expect(await sameOn(2)).toEqual(await sameOn(1))
    expect((await manifestAt(job)).link).toEqual([{ relation: 'next', url: expect.stringMatching(/\/jobs\/job-\d+\?page=2$/) }])
  })

  it('tells what went wrong on the last page, though no other file is left for it [ST-09, MF-14, MF-22]', async () => {
    vendorHas(['a'], ['b'], ['c', HELD])
    const notes = [{ severity: 'warning', code: 'not-supported', diagnostics: 'It was left out.' }] as const
    const { job } = await bench.start({ ...PARTIAL, notes })
    await ring(job)
    expect((await manifestAt(job)).error).toEqual([])
    bench.file('c', 'this is no NDJSON')
    await ringTillDone(job)
    const [first, second] = [await manifestAt(job), await manifestAt(job, 2)]
    expect([namesIn(first.output).length, first.error, first.link?.length]).toEqual([2, [], 1])
    expect([second.output, namesIn(second.error)]).toEqual([[], ['OperationOutcome.4.ndjson']])
    // The parameter that was left out, and the file.
    expect(second.error[0]?.count).toBe(2)
    expect(await fileOf(job, 'OperationOutcome.4.ndjson')).toMatchObject({ kind: 'text' })
  })

  it('that nobody asked for before the end has what went wrong on its last full page', async () => {
    vendorHas(['a'], ['b'])
    const notes = [{ severity: 'warning', code: 'not-supported', diagnostics: 'It was left out.' }] as const
    const { job } = await bench.start({ ...PARTIAL, notes })
    await ringTillDone(job)
    const page = await manifestAt(job)
    expect([page.output.length, page.error.length]).toEqual([2, 1])
    expect(page).not.toHaveProperty('link')
  })

  it('is one page without a link where it is full and nothing more is to be told [MF-16]', async () => {
    vendorHas(['a'], ['b'])
    const { job } = await bench.start(PARTIAL)
    await ringTillDone(job)
    expect(await kindOf(job)).toBe('complete')
    expect(namesIn((await manifestAt(job)).output)).toHaveLength(2)
    expect(await manifestAt(job)).not.toHaveProperty('link')
    expect(await kindOf(job, 2)).toBe('no-page')
  })

  it('is one empty page for an export without files [MF-04]', async () => {
    vendorHas()
    const { job } = await bench.start(PARTIAL)
    await ringTillDone(job)
    expect(await manifestAt(job)).toMatchObject({ output: [], deleted: [], error: [] })
    expect(await kindOf(job, 2)).toBe('no-page')
  })

  it('comes in pages too where the files stay at the vendor, who tells of them all at once', async () => {
    bench = Bench.withSource({ retention: 'none' })
    bench.vendor.on(
      bench.status,
      bench.manifest(['a', 'b', 'c', 'd', 'e'].map((name) => ({ type: 'Patient', url: bench.file(name) }))),
    )
    const { job } = await bench.start(PARTIAL)
    await ringTillDone(job)
    const pages = [await manifestAt(job), await manifestAt(job, 2), await manifestAt(job, 3)]
    expect(pages.map(({ output }) => output.length)).toEqual([2, 2, 1])
    // Nothing is known of bytes that are not with us [MF-18].
    for (const { output } of pages) for (const file of output) expect(Object.keys(file)).toEqual(['type', 'url'])
  })

  it('has no page that is not there yet, nor one for a client that did not ask for pages [PA-18]', async () => {
    vendorHas(['a'], ['b'], ['c', HELD])
    const partial = await bench.start(PARTIAL)
    expect(await kindOf(partial.job, 2)).toBe('no-page')
    await ring(partial.job)
    expect([await kindOf(partial.job, 1), await kindOf(partial.job, 2)]).toEqual(['in-progress', 'no-page'])
    const { job } = await bench.start()
    await ring(job)
    expect(await textOf(job)).toBe('')
    expect(await kindOf(job, 2)).toBe('no-page')
    free('c')
    await ringTillDone(job)
    expect(namesIn((await manifestAt(job)).output)).toHaveLength(3)
    expect(await manifestAt(job)).not.toHaveProperty('link')
    expect(await kindOf(job, 2)).toBe('no-page')
    await ringTillDone(partial.job)
  })

  it('is the failure of the export on every page once that has failed, and nothing once it is deleted [ST-15, DL-02]', async () => {
    bench.vendor.on(bench.status, () => new Response('broken', { status: 400 }))
    const failed = await bench.complete(PARTIAL)
    for (const page of [1, 2, 77])
      expect(await pageOf(failed.job, page)).toMatchObject({ kind: 'failed', code: 'vendor_job_failed' })
    vendorHas(['a'], ['b'], ['c', HELD])
    const { job } = await bench.start(PARTIAL)
    await ring(job)
    expect(await kindOf(job)).toBe('in-progress')
    await job.delete({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING })
    for (const page of [1, 2]) expect(await pageOf(job, page)).toEqual({ kind: 'absent' })
    expect(await fileOf(job, 'Patient.1.ndjson')).toEqual({ kind: 'absent' })
  })

  it('obeys the rules of its export: a narrower token reads no page [AU-17]', async () => {
    vendorHas(['a'], ['b'], ['c', HELD])
    const { job } = await bench.start(PARTIAL)
    await ring(job)
    const caller = { clientId: 'app', sourceId: bench.source.id, scopes: ['system/Observation.rs'] }
    expect(await job.view(caller, 1)).toEqual({ kind: 'forbidden' })
    expect(await job.view({ ...caller, clientId: 'other' }, 1)).toEqual({ kind: 'absent' })
  })
})

describe('what polls cost', () => {
  it('is no row unless a page is full [ST-14]', async () => {
    vendorHas(['a'], ['b'], ['c'], ['d', HELD])
    const { job } = await bench.start(PARTIAL)
    await ring(job)
    const before = await stored(job)
    await kindOf(job)
    const after = await stored(job)
    expect(after).not.toBe(before)
    for (let poll = 0; poll < 20; poll++) await kindOf(job)
    expect(await stored(job)).toBe(after)
    free('d')
    await ringTillDone(job)
    await kindOf(job)
    const complete = await stored(job)
    for (const page of [1, 2, 2, 1]) await kindOf(job, page)
    expect(await stored(job)).toBe(complete)
  })

  it('is counted, save for the further pages of a manifest that is complete [ST-04]', async () => {
    vendorHas(['a'], ['b'], ['c'])
    const { job } = await bench.start(PARTIAL)
    await ringTillDone(job)
    vi.setSystemTime(Date.now() + 60_000)
    for (let request = 0; request < 40; request++) expect(await kindOf(job, 2)).toBe('complete')
    for (let poll = 0; poll < 30; poll++) expect(await kindOf(job)).toBe('complete')
    expect(await kindOf(job)).toBe('too-often')
  })
})

describe('separate-export-status', () => {
  it('marks every answer about the export, and none about the poll [ST-10]', async () => {
    vendorHas(['a'], ['b', HELD])
    const { job } = await bench.start({ separateStatus: true })
    expect(await pageOf(job)).toMatchObject({ kind: 'in-progress', isSeparate: true })
    expect(await pageOf(job, 2)).toEqual({ kind: 'no-page' })
    await ring(job)
    expect(await pageOf(job)).toMatchObject({ kind: 'in-progress', isSeparate: true })
    free('b')
    await ringTillDone(job)
    expect(await pageOf(job)).toMatchObject({ kind: 'complete', isSeparate: true })
    bench.vendor.on(bench.status, () => new Response('broken', { status: 400 }))
    const failed = await bench.complete({ separateStatus: true })
    expect(await pageOf(failed.job)).toMatchObject({ kind: 'failed', isSeparate: true })
  })
})
