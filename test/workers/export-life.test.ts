import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ledgerOf } from '../../src/client/client-ledger.ts'
import type { ExportJob } from '../../src/job/export-job.ts'
import { alarmOf, Bench, objectsOf, ring, ringUntil, settled, stored, stubOf } from './job-support.ts'
import { EVERYTHING, bindings, holdTime, letGo } from './support.ts'

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

describe('what is not the caller’s', () => {
  it('is absent, whatever is asked of it, and stays as it was', async () => {
    bench.vendor.on(bench.status, bench.small())
    const { job } = await bench.complete()
    const before = await stored(job)
    for (const [clientId, sourceId] of [
      ['other', bench.source.id],
      ['app', 'elsewhere'],
      ['', bench.source.id],
    ] as const) {
      expect(await job.view({ clientId: clientId, sourceId: sourceId, scopes: EVERYTHING })).toEqual(ABSENT)
      expect(await job.file({ clientId: clientId, sourceId: sourceId, scopes: EVERYTHING }, 'Patient.1.ndjson')).toEqual(ABSENT)
      expect(await job.freshFile({ clientId: clientId, sourceId: sourceId, scopes: EVERYTHING }, 'Patient.1.ndjson')).toEqual(
        ABSENT,
      )
      expect(await job.delete({ clientId: clientId, sourceId: sourceId, scopes: EVERYTHING })).toEqual(ABSENT)
    }
    expect(await stored(job)).toBe(before)
    expect(await bench.kind(job)).toBe('complete')
  })

  it('is absent in the same way when it never was, and asking leaves nothing', async () => {
    const job = stubOf('never-was')
    expect(await bench.view(job)).toEqual(ABSENT)
    expect(await job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, 'Patient.1.ndjson')).toEqual(ABSENT)
    expect(await job.delete({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING })).toEqual(ABSENT)
    expect(await stored(job)).toBe('')
  })
})

describe('DELETE', () => {
  it('of a running export: absent at once, cancelled at the vendor, then gone [DL-01, DL-02]', async () => {
    bench.vendor.on(bench.status, bench.running('20%'))
    const { job } = await bench.start({ clientId: 'canceller' })
    expect(await job.delete({ clientId: 'canceller', sourceId: bench.source.id, scopes: EVERYTHING })).toEqual({
      kind: 'deleted',
    })
    expect(await bench.view(job, 'canceller')).toEqual(ABSENT)
    expect(await job.delete({ clientId: 'canceller', sourceId: bench.source.id, scopes: EVERYTHING })).toEqual(ABSENT)
    await settled(job)
    expect(bench.vendor.count(`DELETE ${bench.statusUrl}`)).toBe(1)
    await ring(job)
    expect(await stored(job)).toBe('')
    expect(await ledgerJobs('canceller')).toEqual([])
  })

  it('is the same when the vendor refuses to cancel [N-31]', async () => {
    bench.vendor.on(`DELETE ${bench.statusUrl}`, () => new Response(null, { status: 500 }))
    const { job } = await bench.start()
    await job.delete({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING })
    await settled(job)
    expect(await bench.view(job)).toEqual(ABSENT)
    await ringUntil(job, async () => (await stored(job)) === '')
    // It was told again for as long as anything was left of the job.
    expect(bench.vendor.count(`DELETE ${bench.statusUrl}`)).toBe(5)
  })

  it('of a finished export: absent at once, its objects stay for the grace of downloads and no longer [DL-04]', async () => {
    bench.vendor.on(bench.status, bench.small())
    const { job, jobId } = await bench.complete()
    await job.delete({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING })
    expect(await bench.view(job)).toEqual(ABSENT)
    expect(await job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, 'Patient.1.ndjson')).toEqual(ABSENT)
    await settled(job)
    expect(await objectsOf(jobId)).toHaveLength(2)
    expect(await alarmOf(job)).toBe(Date.now() + 300_000)
    await ring(job)
    expect(await objectsOf(jobId)).toEqual([])
    expect(await stored(job)).toBe('')
    expect(await alarmOf(job)).toBeNull()
  })

  it('survives an eviction right behind it', async () => {
    bench.vendor.on(bench.status, bench.running('20%'))
    const { job } = await bench.start()
    await job.delete({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING })
    await evictDurableObject(job)
    expect(await bench.view(job)).toEqual(ABSENT)
    await ringUntil(job, async () => (await stored(job)) === '')
    expect(bench.vendor.count(`DELETE ${bench.statusUrl}`)).toBeGreaterThan(0)
  })
})

describe('expiry', () => {
  it('makes the export absent at its moment, and purges rows and objects after the grace', async () => {
    bench.vendor.on(bench.status, bench.small())
    const { job, jobId } = await bench.complete({ clientId: 'expiring' })
    const view = await bench.view(job, 'expiring')
    const expiresMs = view.kind === 'complete' ? view.expiresMs : 0
    expect(expiresMs).toBe(Date.now() + 86_400_000)
    vi.setSystemTime(expiresMs - 1)
    expect(await bench.kind(job, 'expiring')).toBe('complete')
    // Also when the alarm is late.
    vi.setSystemTime(expiresMs)
    expect(await bench.view(job, 'expiring')).toEqual(ABSENT)
    await ring(job)
    expect(await objectsOf(jobId)).toHaveLength(2)
    await ring(job)
    expect(await objectsOf(jobId)).toEqual([])
    expect(await stored(job)).toBe('')
    expect(await ledgerJobs('expiring')).toEqual([])
  })
})

describe('the alarm', () => {
  it('may ring twice, early or late without harm', async () => {
    bench.vendor.on(bench.status, bench.running('20%'))
    const { job } = await bench.start()
    for (let time = 0; time < 5; time++) await settled(job)
    expect(bench.vendor.count(bench.status)).toBe(0)
    await ring(job)
    for (let time = 0; time < 5; time++) await settled(job)
    expect(bench.vendor.count(bench.status)).toBe(1)
  })

  it('that was lost is set again by the sweep; one that is there is left alone', async () => {
    const { job } = await bench.start()
    const dueMs = await alarmOf(job)
    expect(await job.rearm()).toBe(true)
    expect(await alarmOf(job)).toBe(dueMs)
    await runInDurableObject<ExportJob, void>(job, async (_, { storage }) => storage.deleteAlarm())
    const gate = bindings.GATES.get(bindings.GATES.idFromName(bench.source.id))
    expect(await gate.sweep()).toBe(1)
    expect(await alarmOf(job)).toBe(dueMs)
  })

  it('need not ring for what an earlier life of the object has left: the next poll goes on with it', async () => {
    const { job } = await bench.start()
    await runInDurableObject<ExportJob, void>(job, (_, { storage: { sql } }) => {
      sql.exec(`UPDATE job SET body = json_set(body, '$.todo', json('["report-state"]'))`)
    })
    await evictDurableObject(job)
    expect(await stored(job)).toContain('report-state')
    expect(await bench.kind(job)).toBe('in-progress')
    await vi.waitFor(async () => expect(await stored(job)).not.toContain('report-state'))
  })

  it('is not wanted for a job that is over', async () => {
    expect(await stubOf('nobody').rearm()).toBe(false)
    expect(await stored(stubOf('nobody'))).toBe('')
  })
})

describe('the queue', () => {
  it('holds a job back while the vendor is full, tells it its place, and lets it go when the first is done', async () => {
    bench = Bench.withSource({ limits: { inFlight: 1 } })
    bench.vendor.on(bench.status, bench.manifest([]))
    const first = await bench.start()
    const second = await bench.start({ clientId: 'other' })
    const third = await bench.start({ clientId: 'third' })
    expect(await bench.view(second.job, 'other')).toMatchObject({ progress: 'queued, position 1' })
    expect(await bench.view(third.job, 'third')).toMatchObject({ progress: 'queued, position 2' })
    expect(bench.vendor.count(bench.kickoff)).toBe(1)
    await ring(first.job)
    const releasedMs = Date.now()
    expect(await bench.kind(first.job)).toBe('complete')
    // The release has woken the next: it is due now, not in a minute.
    await vi.waitFor(async () => expect(await alarmOf(second.job)).toBe(releasedMs))
    await ring(second.job)
    expect(await bench.view(second.job, 'other')).toMatchObject({ progress: 'in progress' })
    expect(bench.vendor.count(bench.kickoff)).toBe(2)
  })
})
