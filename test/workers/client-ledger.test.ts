import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { ClientLedger, ledgerOf, MAX_PAGE } from '../../src/client/client-ledger.ts'
import type { LedgerEntry } from '../../src/client/client-ledger.ts'
import { CLOCK_MARGIN_MS } from '../../src/client/used-jtis.ts'
import type { Env } from '../../src/env.ts'

const MINUTE_MS = 60_000
let clients = 0
const isEnv = (bindings: object): bindings is Env => 'LEDGERS' in bindings
const bound = (bindings: object): Env => {
  if (!isEnv(bindings)) throw new Error('LEDGERS is not bound')
  return bindings
}
const freshLedger = () => ledgerOf(bound(env), `client-${(clients += 1)}`)
type Ledger = ReturnType<typeof freshLedger>

const remembered = async (ledger: Ledger): Promise<string[]> =>
  runInDurableObject<ClientLedger, string[]>(ledger, (_, { storage }) =>
    storage.sql
      .exec<{ jti: string }>('SELECT jti FROM jtis ORDER BY jti')
      .toArray()
      .map(({ jti }) => jti),
  )
const alarmMs = async (ledger: Ledger): Promise<number | null> =>
  runInDurableObject<ClientLedger, number | null>(ledger, async (_, { storage }) => storage.getAlarm())

const entry = (jobId: string, parts: Partial<LedgerEntry> = {}): LedgerEntry => ({
  jobId,
  sourceId: 'acme',
  level: 'patient',
  request: 'https://bulkhead.example/fhir/acme/Patient/$export',
  createdMs: 1_000,
  ...parts,
})

afterEach(() => {
  vi.useRealTimers()
})

describe('useJti', () => {
  it('is true once, also when all ask at the same instant [AU-07]', async () => {
    const ledger = freshLedger()
    const expiresMs = Date.now() + 5 * MINUTE_MS
    const answers = await Promise.all(Array.from({ length: 20 }, async () => ledger.useJti('j', expiresMs)))
    expect(answers.filter(Boolean)).toHaveLength(1)
    expect(await ledger.useJti('j', expiresMs)).toBe(false)
    expect(await ledger.useJti('k', expiresMs)).toBe(true)
  })

  it('is false for a jti that comes back with a later expiry [AU-07]', async () => {
    const ledger = freshLedger()
    await ledger.useJti('j', Date.now() + MINUTE_MS)
    expect(await ledger.useJti('j', Date.now() + 5 * MINUTE_MS)).toBe(false)
  })

  it('tells clients apart [AU-07]', async () => {
    const expiresMs = Date.now() + MINUTE_MS
    expect(await freshLedger().useJti('j', expiresMs)).toBe(true)
    expect(await freshLedger().useJti('j', expiresMs)).toBe(true)
  })

  it('remembers across eviction [AU-07]', async () => {
    const ledger = freshLedger()
    const expiresMs = Date.now() + MINUTE_MS
    await ledger.useJti('j', expiresMs)
    await evictDurableObject(ledger)
    expect(await ledger.useJti('j', expiresMs)).toBe(false)
  })

  it('forgets at the next use what can no longer be replayed', async () => {
    const ledger = freshLedger()
    const startMs = Date.now()
    await ledger.useJti('old', startMs + MINUTE_MS)
    vi.useFakeTimers({ toFake: ['Date'], now: startMs + MINUTE_MS + CLOCK_MARGIN_MS - 1000 })
    await ledger.useJti('mid', startMs + 6 * MINUTE_MS)
    expect(await remembered(ledger)).toEqual(['mid', 'old'])
    vi.setSystemTime(startMs + MINUTE_MS + CLOCK_MARGIN_MS)
    await ledger.useJti('new', startMs + 6 * MINUTE_MS)
    expect(await remembered(ledger)).toEqual(['mid', 'new'])
  })
})

describe('the alarm', () => {
  it('is set once for all, after the last expiry, and leaves nothing behind', async () => {
    const ledger = freshLedger()
    const startMs = Date.now()
    await ledger.useJti('a', startMs + MINUTE_MS)
    const firstMs = await alarmMs(ledger)
    expect(firstMs).toBe(startMs + MINUTE_MS + CLOCK_MARGIN_MS)
    await ledger.useJti('b', startMs + 2 * MINUTE_MS)
    expect(await alarmMs(ledger)).toBe(firstMs)

    vi.useFakeTimers({ toFake: ['Date'], now: startMs + MINUTE_MS + CLOCK_MARGIN_MS })
    expect(await runDurableObjectAlarm(ledger)).toBe(true)
    expect(await remembered(ledger)).toEqual(['b'])
    expect(await alarmMs(ledger)).toBe(startMs + 2 * MINUTE_MS + CLOCK_MARGIN_MS)

    vi.setSystemTime(startMs + 2 * MINUTE_MS + CLOCK_MARGIN_MS)
    expect(await runDurableObjectAlarm(ledger)).toBe(true)
    expect(await remembered(ledger)).toEqual([])
    expect(await alarmMs(ledger)).toBeNull()
  })

  it('may run twice', async () => {
    const ledger = freshLedger()
    await ledger.useJti('a', Date.now() + MINUTE_MS)
    for (let run = 0; run < 2; run++) await runInDurableObject<ClientLedger, void>(ledger, async (instance) => instance.alarm())
    expect(await remembered(ledger)).toEqual(['a'])
  })
})

describe('the index of jobs', () => {
  it('lists jobs newest first, a page at a time, each once', async () => {
    const ledger = freshLedger()
    for (const jobId of ['j1', 'j2', 'j3', 'j4', 'j5']) await ledger.addJob(entry(jobId))
    const seen: string[] = []
    let before: number | undefined
    do {
      const page = await ledger.jobs({ limit: 2, ...(before === undefined ? {} : { before }) })
      seen.push(...page.jobs.map(({ jobId }) => jobId))
      before = page.next
    } while (before !== undefined)
    expect(seen).toEqual(['j5', 'j4', 'j3', 'j2', 'j1'])
  })

  it('gives back what was put in, with its state', async () => {
    const ledger = freshLedger()
    const added = entry('j1', { level: 'group', groupId: 'g1' })
    await ledger.addJob(added)
    expect(await ledger.jobs({ limit: 10 })).toEqual({ jobs: [{ ...added, state: 'queued' }] })
    await ledger.setJobState('j1', 'running')
    expect(await ledger.jobs({ limit: 10 })).toEqual({ jobs: [{ ...added, state: 'running' }] })
  })

  it('adding a job again changes neither its place nor its state', async () => {
    const ledger = freshLedger()
    await ledger.addJob(entry('j1'))
    await ledger.addJob(entry('j2'))
    await ledger.setJobState('j1', 'complete')
    await ledger.addJob(entry('j1', { sourceId: 'other' }))
    const { jobs } = await ledger.jobs({ limit: 10 })
    expect(jobs.map(({ jobId, sourceId, state }) => [jobId, sourceId, state])).toEqual([
      ['j2', 'acme', 'queued'],
      ['j1', 'acme', 'complete'],
    ])
  })

  it('removes a job, and passes over one that is not there', async () => {
    const ledger = freshLedger()
    await ledger.addJob(entry('j1'))
    await ledger.setJobState('absent', 'failed')
    await ledger.removeJob('absent')
    await ledger.removeJob('j1')
    expect(await ledger.jobs({ limit: 10 })).toEqual({ jobs: [] })
  })

  it('gives a page of at least one and at most MAX_PAGE jobs whatever is asked', async () => {
    const ledger = freshLedger()
    await runInDurableObject<ClientLedger, void>(ledger, (instance) => {
      for (let index = 0; index <= MAX_PAGE; index++) instance.addJob(entry(`j${index}`))
    })
    expect((await ledger.jobs({ limit: 0 })).jobs).toHaveLength(1)
    expect((await ledger.jobs({ limit: 1e9 })).jobs).toHaveLength(MAX_PAGE)
  })

  it('is reached over RPC by these methods only', () => {
    expect(Object.getOwnPropertyNames(ClientLedger.prototype).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'addJob',
      'alarm',
      'audit',
      'auditPage',
      'constructor',
      'jobs',
      'openJobs',
      'removeJob',
      'setJobState',
      'useJti',
    ])
  })
})
