import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ledgerOf, type ClientLedger } from '../../src/client/client-ledger.ts'
import type { Effects } from '../../src/job/effects.ts'
import type { ExportJob } from '../../src/job/export-job.ts'
import { FileRows } from '../../src/job/file-rows.ts'
import type { Effect } from '../../src/job/model.ts'
import { JobRunner } from '../../src/job/runner.ts'
import { createTables } from '../../src/job/schema.ts'
import { JobStorage } from '../../src/job/storage.ts'
import { Slots } from '../../src/source/slots.ts'
import { jobIn } from '../job/support.ts'
import { Bench, ring, stubOf } from './job-support.ts'
import { freshGate } from './source-support.ts'
import { bindings, holdTime, letGo } from './support.ts'

/* What is billed: a row written costs as much as a thousand that are read, and an index is one more of them for each row. */

beforeEach(holdTime)
afterEach(letGo)

/** Counts the rows that an object writes from now on. */
const watch = (sql: SqlStorage): (() => number) => {
  const prototype = Object.getPrototypeOf(sql) as { exec: SqlStorage['exec'] }
  const { exec } = prototype
  const cursors: { readonly rowsWritten: number }[] = []
  prototype.exec = function counted(query, ...values) {
    const cursor = exec.call(this, query, ...values)
    cursors.push(cursor)
    return cursor as never
  }
  return () => {
    prototype.exec = exec
    return cursors.reduce((total, { rowsWritten }) => total + rowsWritten, 0)
  }
}

it('a status request to the vendor that changes nothing writes one row besides its alarms [N-13]', async () => {
  const bench = Bench.withSource()
  bench.vendor.on(bench.status, bench.running('20%'))
  const { job } = await bench.start()
  await ring(job)
  const written = await runInDurableObject<ExportJob, () => number>(job, (_, { storage }) => watch(storage.sql))
  await ring(job)
  expect(written()).toBe(1)
  expect(bench.vendor.count(bench.status)).toBe(2)
  await job.delete({ clientId: 'app', sourceId: bench.source.id, scopes: [] })
})

it('a token, an audit record and a job of a client’s index write no more than a row each, and one for the name of a job', async () => {
  const ledger = ledgerOf(bindings, 'thrifty')
  await ledger.openJobs(1)
  const rowsOf = async (work: (instance: ClientLedger) => unknown): Promise<number> =>
    runInDurableObject<ClientLedger, number>(ledger, async (instance, { storage }) => {
      const written = watch(storage.sql)
      await work(instance)
      return written()
    })
  expect(await rowsOf((instance) => instance.useJti('j', Date.now() + 60_000))).toBe(1)
  expect(await rowsOf((instance) => instance.audit({ id: 'a', event: 'file', clientId: 'thrifty', outcome: 'success' }))).toBe(1)
  const entry = { jobId: 'j1', sourceId: 's', level: 'system', request: 'r', createdMs: Date.now() }
  expect(await rowsOf((instance) => instance.addJob(entry))).toBe(2)
  expect(await rowsOf((instance) => instance.setJobState('j1', 'running'))).toBe(1)
})

it('a record that is sent again is kept once, also when the object came to life in between', async () => {
  const ledger = ledgerOf(bindings, 'again')
  for (let n = 0; n < 5; n++) await ledger.audit({ id: `id-${n}`, event: 'file', clientId: 'again', outcome: 'success' })
  await evictDurableObject(ledger)
  await ledger.audit({ id: 'id-2', event: 'file', clientId: 'again', outcome: 'success' })
  expect((await ledger.auditPage({ limit: 10 })).records.map(({ id }) => id)).toEqual(['id-4', 'id-3', 'id-2', 'id-1', 'id-0'])
})

it('a slot that is free writes two rows: the lease and the turn of its client', async () => {
  await runInDurableObject(freshGate(), (_, { storage }) => {
    const slots = new Slots(storage.sql)
    const asks = { jobId: 'j', clientId: 'app', sourceId: 's', target: 'patient/', coolMs: 0, inFlight: 1 }
    const written = watch(storage.sql)
    slots.expire(0)
    slots.join(asks, 1)
    expect(slots.standing('j', () => 0, 1).isServed).toBe(true)
    slots.grant('j', 1_000, 1)
    expect(written()).toBe(2)
    slots.join({ ...asks, jobId: 'waits' }, 2)
    expect(slots.standing('waits', () => 0, 2).isServed).toBe(false)
    expect(storage.sql.exec('SELECT job FROM waiting').toArray()).toEqual([{ job: 'waits' }])
  })
})

/** Does nothing, and tells of no end. */
const hanging = (): Effects => ({ perform: () => new Promise<never>(() => undefined) }) as unknown as Effects

it('a status request that a life ended in is made again no sooner than the vendor wished, though no row says so [N-16]', async () => {
  await runInDurableObject<ExportJob, void>(stubOf('cut-off'), async (_, { storage }) => {
    const waitMs = 300_000
    const rows = new JobStorage(storage)
    const askedMs = Date.now()
    rows.create(jobIn('running', { submittedMs: askedMs, nextMs: askedMs, waitMs, todo: [] }))
    const life = new JobRunner(storage, rows, hanging)
    life.apply({ kind: 'alarm' })
    void life.work()
    await vi.waitFor(async () => expect(await storage.getAlarm()).not.toBeNull())
    const next = new JobRunner(storage, new JobStorage(storage), hanging)
    expect(next.job?.todo).toEqual([])
    expect(next.hasLeftOver).toBe(false)
    expect(await storage.getAlarm()).toBeGreaterThanOrEqual(askedMs + waitMs)
    next.apply({ kind: 'alarm' })
    expect(next.job?.todo).toEqual(['request-status'])
  })
})

it('what is done is not done again by the next life, though it is written once for several things [N-33]', async () => {
  await runInDurableObject<ExportJob, void>(stubOf('done'), async (_, { storage }) => {
    const rows = new JobStorage(storage)
    rows.create(jobIn('complete', { expiresMs: Date.now() + 1_000_000, todo: ['release-slot', 'report-state'] }))
    const performed: Effect[] = []
    const effects = (): Effects =>
      ({ perform: (effect: Effect) => Promise.resolve(void performed.push(effect)) }) as unknown as Effects
    const written = watch(storage.sql)
    await new JobRunner(storage, rows, effects).work()
    expect(written()).toBe(1)
    await new JobRunner(storage, new JobStorage(storage), effects).work()
    expect(performed).toEqual(['release-slot', 'report-state'])
  })
})

type Step =
  | { readonly kind: 'settled' | 'failed'; readonly file: number }
  | { readonly kind: 'later'; readonly file: number; readonly ms: number }
  | { readonly kind: 'split'; readonly file: number }
  | { readonly kind: 'new life' }

const file = fc.integer({ min: 1, max: 4 })
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('settled' as const, 'failed' as const), file }),
  fc.record({ kind: fc.constant('later' as const), file, ms: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ kind: fc.constant('split' as const), file }),
  fc.record({ kind: fc.constant('new life' as const) }),
)

it('the next file to collect is the one that the rows say, whatever was done to them [N-25]', async () => {
  await runInDurableObject<ExportJob, void>(stubOf('pending-files'), (_, { storage }) => {
    const { sql } = storage
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.array(file, { maxLength: 2 }),
        fc.nat({ max: 20 }),
        (steps, busy, nowMs) => {
          sql.exec('DROP TABLE IF EXISTS file')
          createTables(sql)
          for (let n = 1; n <= 2; n++)
            sql.exec(
              `INSERT INTO file (kind, type, state, url, address) VALUES ('output', 'Patient', 'pending', 'u', ?)`,
              `a${n}`,
            )
          const underWay = new Set(busy)
          let rows = new FileRows(storage)
          for (const one of steps) {
            if (one.kind === 'new life') rows = new FileRows(storage)
            else if (one.kind === 'split') rows.split(one.file, ['Group'], 1)
            else if (one.kind === 'later') rows.update(one.file, { attempts: 1, nextMs: one.ms })
            else rows.update(one.file, { state: one.kind === 'settled' ? 'ready' : 'failed' })
            const [expected] = sql
              .exec<{ n: number }>(
                `SELECT n FROM file WHERE state = 'pending' AND next_ms <= ? AND n NOT IN (${[...underWay, 0].join()}) ORDER BY next_ms, n`,
                nowMs,
              )
              .toArray()
            expect(rows.nextPending(nowMs, underWay)?.n).toBe(expected?.n)
          }
        },
      ),
    )
  })
})
