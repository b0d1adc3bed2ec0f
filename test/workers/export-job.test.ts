import { evictDurableObject } from 'cloudflare:test'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ledgerOf } from '../../src/client/client-ledger.ts'
import { alarmOf, Bench, crash, manifestOf, namesIn, ring, ringUntil, stored, stubOf } from './job-support.ts'
import { EVERYTHING, bindings, holdTime, letGo, ndjson, sha256Of, TEST_START_MS } from './support.ts'

const ABSENT = { kind: 'absent' }
let bench: Bench

beforeEach(() => {
  holdTime()
  bench = Bench.withSource()
})
afterEach(() => {
  letGo()
  bench.vendor.verify()
})

const ledgerJobs = async (clientId: string) => (await ledgerOf(bindings, clientId).jobs({ limit: 100 })).jobs
const blip = () => new Response('<html>', { status: 502 })
const passMs = (ms: number) => vi.setSystemTime(Date.now() + ms)

describe('an export', () => {
  it('goes from kick-off to a manifest whose files hold what the vendor had [MF-01, MF-02, MF-08]', async () => {
    bench.vendor.on(bench.status, bench.running('20%'), bench.small())
    const { job, jobId, answer } = await bench.start()
    expect(answer).toEqual({ kind: 'started', retryAfterSeconds: expect.any(Number) as number })
    expect(await bench.view(job)).toEqual({ kind: 'in-progress', progress: 'in progress', retryAfterSeconds: 10 })
    await ring(job)
    expect(await bench.view(job)).toMatchObject({ kind: 'in-progress', progress: '20% complete' })
    await ring(job)
    const manifest = await manifestOf(bench, job)
    expect(manifest).toMatchObject({
      request: `https://bulkhead.example/fhir/${bench.source.id}/Patient/$export`,
      requiresAccessToken: true,
      output: [
        {
          type: 'Patient',
          url: `https://bulkhead.example/fhir/${bench.source.id}/jobs/${jobId}/files/Patient.1.ndjson`,
          count: 2,
        },
        { type: 'Observation', count: 1 },
      ],
      deleted: [],
      error: [],
    })
    const object = await bindings.FILES.get(`jobs/${jobId}/1`)
    const bytes = (await object?.arrayBuffer()) ?? new ArrayBuffer(0)
    expect(new TextDecoder().decode(bytes)).toBe(ndjson('Patient', 2))
    expect(await job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, 'Patient.1.ndjson')).toEqual({
      kind: 'stored',
      type: 'Patient',
      n: 1,
      bytes: bytes.byteLength,
      sha256: await sha256Of(bytes),
    })
    expect(bench.vendor.count(bench.kickoff)).toBe(1)
  })

  it('knows its files by their whole name only', async () => {
    bench.vendor.on(bench.status, bench.small())
    const { job } = await bench.complete()
    for (const name of ['Observation.1.ndjson', 'Patient.3.ndjson', 'Patient.01.ndjson', 'patient.1.ndjson', '1'])
      expect(await job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, name)).toEqual(ABSENT)
  })

  it('has no files before it is complete', async () => {
    bench.vendor.on(bench.status, bench.running('1%'))
    const { job } = await bench.start()
    expect(await job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, 'Patient.1.ndjson')).toEqual(ABSENT)
  })

  it('loses nothing to an eviction between any two steps, and sends one kick-off [N-06]', async () => {
    bench.vendor.on(bench.status, bench.running('20%'), bench.running('40%'), bench.small())
    const { job } = await bench.start()
    await ringUntil(job, async () => {
      await evictDurableObject(job)
      return (await bench.kind(job)) === 'complete'
    })
    await evictDurableObject(job)
    expect(namesIn((await manifestOf(bench, job)).output)).toEqual(['Patient.1.ndjson', 'Observation.2.ndjson'])
    expect(bench.vendor.count(bench.kickoff)).toBe(1)
    expect(bench.vendor.count(bench.status)).toBe(3)
  })

  it('has the same manifest for ever, however often it is asked [ST-14]', async () => {
    bench.vendor.on(bench.status, bench.small())
    const { job } = await bench.complete()
    const first = await manifestOf(bench, job)
    passMs(3_600_000)
    await evictDurableObject(job)
    expect(await manifestOf(bench, job)).toEqual(first)
    expect(bench.vendor.count(bench.status)).toBe(1)
  })

  it('without data is an empty manifest [MF-04]', async () => {
    bench.vendor.on(bench.status, bench.manifest([]))
    const { job } = await bench.complete()
    expect(await manifestOf(bench, job)).toMatchObject({ output: [], deleted: [], error: [] })
  })

  it('stands in its client’s list, with the state it is in', async () => {
    bench.vendor.on(bench.status, bench.small())
    const { job, jobId } = await bench.start({ clientId: 'listed' })
    expect(await ledgerJobs('listed')).toMatchObject([{ jobId, state: 'running', level: 'patient' }])
    await ringUntil(job, async () => (await bench.kind(job, 'listed')) === 'complete')
    expect(await ledgerJobs('listed')).toMatchObject([{ jobId, state: 'complete' }])
  })
})

describe('the kick-off', () => {
  it.each([
    [400, 'vendor_rejected'],
    [401, 'vendor_refused_credential'],
    [403, 'vendor_refused_credential'],
    [404, 'level_unsupported'],
    [500, 'vendor_failed'],
    [504, 'kickoff_ambiguous'],
  ])('answered %d is refused as %s and leaves neither row nor list entry', async (status, code) => {
    bench.vendor.on(bench.kickoff, () => new Response('no', { status }))
    const { job, answer } = await bench.start({ clientId: `refused-${status}` })
    expect(answer).toMatchObject({ kind: 'refused', code })
    expect(await stored(job)).toBe('')
    expect(await alarmOf(job)).toBeNull()
    expect(await ledgerJobs(`refused-${status}`)).toEqual([])
    expect(await bench.view(job, `refused-${status}`)).toEqual(ABSENT)
    expect(bench.vendor.count(bench.kickoff)).toBe(1)
  })

  it('that threw is ambiguous and sent once [N-06]', async () => {
    bench.vendor.on(bench.kickoff, () => {
      throw new Error('Network connection lost.')
    })
    const { answer } = await bench.start()
    expect(answer).toMatchObject({ kind: 'refused', code: 'kickoff_ambiguous' })
    expect(bench.vendor.count(bench.kickoff)).toBe(1)
  })

  it.each([429, 503])('answered %d waits in the queue as long as it was told, and is sent again [N-05]', async (status) => {
    bench.vendor.on(bench.kickoff, () => new Response(null, { status, headers: { 'Retry-After': '300' } }), bench.accepted())
    const { job, answer } = await bench.start()
    expect(answer).toEqual({ kind: 'started', retryAfterSeconds: expect.any(Number) as number })
    expect(await bench.view(job)).toMatchObject({ kind: 'in-progress', progress: 'queued, position 1' })
    expect(await alarmOf(job)).toBeGreaterThanOrEqual(TEST_START_MS + 300_000)
    expect(await alarmOf(job)).toBeLessThanOrEqual(TEST_START_MS + 360_000)
    await ring(job)
    expect(await bench.view(job)).toMatchObject({ kind: 'in-progress', progress: 'in progress' })
    expect(bench.vendor.count(bench.kickoff)).toBe(2)
  })

  it('whose answer a crash swallowed fails as ambiguous and is not sent again [N-06]', async () => {
    bench.vendor.on(bench.kickoff, async () => new Promise<Response>(() => undefined))
    const request = bench.request()
    const job = stubOf(request.jobId)
    const starting = job.start(request).then(
      () => 'answered',
      () => 'broken off',
    )
    await vi.waitFor(() => expect(bench.vendor.count(bench.kickoff)).toBe(1))
    await crash(job)
    expect(await starting).toBe('broken off')
    const revived = stubOf(request.jobId)
    await ring(revived)
    expect(await bench.view(revived)).toMatchObject({ kind: 'failed', code: 'kickoff_ambiguous' })
    expect(bench.vendor.count(bench.kickoff)).toBe(1)
  })

  it('of a source that is not configured is refused', async () => {
    const request = bench.request({ sourceId: 'nowhere' })
    expect(await stubOf(request.jobId).start(request)).toMatchObject({ kind: 'refused', code: 'source_not_found' })
    expect(await stored(stubOf(request.jobId))).toBe('')
  })
})

describe('a status request', () => {
  it('costs neither a row nor a request to the vendor', async () => {
    bench.vendor.on(bench.status, bench.running('20%'))
    const { job } = await bench.start()
    await ring(job)
    const before = await stored(job)
    const requests = bench.vendor.requests.length
    for (let poll = 0; poll < 50; poll++) await bench.view(job)
    expect(await stored(job)).toBe(before)
    expect(bench.vendor.requests).toHaveLength(requests)
  })

  it('beyond the limit is told to wait, and the job goes on [ST-04]', async () => {
    bench.vendor.on(bench.status, bench.small())
    const { job } = await bench.start()
    for (let poll = 0; poll < 60; poll++) expect(await bench.kind(job)).toBe('in-progress')
    expect(await bench.view(job)).toEqual({ kind: 'too-often', retryAfterSeconds: 60 })
    passMs(60_000)
    expect(await bench.kind(job)).toBe('in-progress')
    await ring(job)
    expect(await bench.kind(job)).toBe('complete')
  })

  it('during a blip of the vendor is still 202, and the export goes on [N-11, ST-08]', async () => {
    bench.vendor.on(bench.status, blip, blip, blip, bench.small())
    const { job } = await bench.start()
    for (let turn = 0; turn < 3; turn++) {
      await ring(job)
      expect(await bench.kind(job)).toBe('in-progress')
    }
    await ring(job)
    expect(await bench.kind(job)).toBe('complete')
  })

  it('after the vendor failed the export says so, without the vendor’s words [ST-05]', async () => {
    bench.vendor.on(bench.status, () => new Response('stack trace of theirs', { status: 400 }))
    const { job } = await bench.complete()
    const view = await bench.view(job)
    expect(view).toMatchObject({ kind: 'failed', code: 'vendor_job_failed' })
    expect(JSON.stringify(view)).not.toContain('stack trace')
  })
})
