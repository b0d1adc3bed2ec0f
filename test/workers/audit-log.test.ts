import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { MAX_AUDIT_PAGE, MAX_REFUSALS_PER_MINUTE, PURGE_BATCH, PURGE_EVERY_MS } from '../../src/client/audit-log.ts'
import { ledgerOf, type ClientLedger } from '../../src/client/client-ledger.ts'
import { CLOCK_MARGIN_MS } from '../../src/client/used-jtis.ts'
import type { AuditRecord } from '../../src/fhir/audit-event.ts'
import { bindings, holdTime, letGo, TEST_START_MS } from './support.ts'

const DAY_MS = 86_400_000
const RETENTION_MS = 2_190 * DAY_MS
let clients = 0
const freshLedger = () => ledgerOf(bindings, `audited-${(clients += 1)}`)
type Ledger = ReturnType<typeof freshLedger>

const record = (n: number, parts: Partial<AuditRecord> = {}): AuditRecord => ({
  id: `id-${n}`,
  event: 'file',
  clientId: 'app',
  outcome: 'success',
  sourceId: 'acme',
  jobId: 'j1',
  fileName: `Patient.${n}.ndjson`,
  ...parts,
})

const idsIn = async (ledger: Ledger): Promise<string[]> =>
  (await ledger.auditPage({ limit: MAX_AUDIT_PAGE })).records.map(({ id }) => id)
const alarmMs = async (ledger: Ledger): Promise<number | null> =>
  runInDurableObject<ClientLedger, number | null>(ledger, async (_, { storage }) => storage.getAlarm())
const inside = async <T>(ledger: Ledger, work: (sql: SqlStorage) => T): Promise<T> =>
  runInDurableObject<ClientLedger, T>(ledger, (_, { storage }) => work(storage.sql))

beforeEach(holdTime)
afterEach(letGo)

describe('the audit log of a client', () => {
  it('gives records back as they were, with their time, newest first', async () => {
    const ledger = freshLedger()
    const first = record(1, { event: 'kickoff', types: ['Patient'], query: '$export', level: 'system' })
    await ledger.audit(first)
    vi.setSystemTime(TEST_START_MS + 5)
    await ledger.audit(record(2))
    await evictDurableObject(ledger)
    expect(await ledger.auditPage({ limit: 10 })).toEqual({
      records: [
        { ...record(2), recordedMs: TEST_START_MS + 5 },
        { ...first, recordedMs: TEST_START_MS },
      ],
    })
  })

  it('pages through all, each once, also while more is written', async () => {
    const ledger = freshLedger()
    for (let n = 1; n <= 5; n++) await ledger.audit(record(n))
    const seen: string[] = []
    let before: number | undefined
    do {
      const page = await ledger.auditPage({ limit: 2, ...(before === undefined ? {} : { before }) })
      seen.push(...page.records.map(({ id }) => id))
      before = page.next
      await ledger.audit(record(100 + seen.length))
    } while (before !== undefined)
    expect(seen).toEqual(['id-5', 'id-4', 'id-3', 'id-2', 'id-1'])
  })

  it('gives a page of at least one and at most MAX_AUDIT_PAGE records whatever is asked', async () => {
    const ledger = freshLedger()
    await runInDurableObject<ClientLedger, void>(ledger, async (instance) => {
      for (let n = 0; n <= MAX_AUDIT_PAGE; n++) await instance.audit(record(n))
    })
    expect((await ledger.auditPage({ limit: 0 })).records).toHaveLength(1)
    expect((await ledger.auditPage({ limit: 1e9 })).records).toHaveLength(MAX_AUDIT_PAGE)
  })

  it('keeps a record once that is sent twice, as it was the first time', async () => {
    const ledger = freshLedger()
    await ledger.audit(record(1))
    await ledger.audit(record(1, { outcome: 'refused' }))
    expect((await ledger.auditPage({ limit: 10 })).records).toEqual([{ ...record(1), recordedMs: TEST_START_MS }])
  })

  it('outlives the jobs that it is about', async () => {
    const ledger = freshLedger()
    await ledger.addJob({ jobId: 'j1', sourceId: 'acme', level: 'system', request: 'r', createdMs: 0 })
    await ledger.audit(record(1))
    await ledger.removeJob('j1')
    expect(await idsIn(ledger)).toEqual(['id-1'])
  })

  it('counts the refusals of one minute beyond a number, and says in the next record how many', async () => {
    const ledger = freshLedger()
    const refused = (n: number) => ledger.audit(record(n, { outcome: 'refused', code: 'job_not_found' }))
    for (let n = 1; n <= MAX_REFUSALS_PER_MINUTE + 9; n++) await refused(n)
    expect(await idsIn(ledger)).toHaveLength(MAX_REFUSALS_PER_MINUTE)
    // What is not refused is always kept.
    await ledger.audit(record(900))
    const [newest, ...older] = (await ledger.auditPage({ limit: MAX_AUDIT_PAGE })).records
    expect(newest).toMatchObject({ id: 'id-900', refusalsLeftOut: 9 })
    expect(older.some((one) => one.refusalsLeftOut !== undefined)).toBe(false)
    vi.setSystemTime(TEST_START_MS + 60_000)
    await refused(901)
    expect((await ledger.auditPage({ limit: 1 })).records[0]).toEqual({
      ...record(901, { outcome: 'refused', code: 'job_not_found' }),
      recordedMs: TEST_START_MS + 60_000,
    })
  })
})

describe('the retention of audit records', () => {
  it('is six years and at most a day, and one alarm sees to it', async () => {
    const ledger = freshLedger()
    await ledger.audit(record(1))
    vi.setSystemTime(TEST_START_MS + DAY_MS / 2)
    await ledger.audit(record(2))
    vi.setSystemTime(TEST_START_MS + 3 * DAY_MS)
    await ledger.audit(record(3))
    expect(await alarmMs(ledger)).toBe(TEST_START_MS + RETENTION_MS + PURGE_EVERY_MS)

    vi.setSystemTime(TEST_START_MS + RETENTION_MS - 1)
    await runDurableObjectAlarm(ledger)
    expect(await idsIn(ledger)).toEqual(['id-3', 'id-2', 'id-1'])
    vi.setSystemTime(TEST_START_MS + RETENTION_MS + PURGE_EVERY_MS)
    expect(await runDurableObjectAlarm(ledger)).toBe(true)
    expect(await idsIn(ledger)).toEqual(['id-3'])
    expect(await alarmMs(ledger)).toBe(TEST_START_MS + 3 * DAY_MS + RETENTION_MS + PURGE_EVERY_MS)
    vi.setSystemTime(TEST_START_MS + 3 * DAY_MS + RETENTION_MS + PURGE_EVERY_MS)
    expect(await runDurableObjectAlarm(ledger)).toBe(true)
    expect(await idsIn(ledger)).toEqual([])
    expect(await alarmMs(ledger)).toBeNull()
  })

  it('does not keep used jtis: their alarm comes first, whichever was there before [AU-07]', async () => {
    const ledger = freshLedger()
    await ledger.audit(record(1))
    await ledger.useJti('j', TEST_START_MS + 60_000)
    expect(await alarmMs(ledger)).toBe(TEST_START_MS + 60_000 + CLOCK_MARGIN_MS)
    vi.setSystemTime(TEST_START_MS + 60_000 + CLOCK_MARGIN_MS)
    expect(await runDurableObjectAlarm(ledger)).toBe(true)
    expect(await inside(ledger, (sql) => sql.exec('SELECT * FROM jtis').toArray())).toEqual([])
    expect(await idsIn(ledger)).toEqual(['id-1'])
    expect(await alarmMs(ledger)).toBe(TEST_START_MS + RETENTION_MS + PURGE_EVERY_MS)
  })

  it('goes through a long log in batches, the next at once', async () => {
    const ledger = freshLedger()
    await ledger.audit(record(0))
    await inside(
      ledger,
      (sql) =>
        sql.exec(
          `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
         INSERT INTO audit (schemaVersion, id, recordedMs, body) SELECT 1, 'many-' || i, ?, '{}' FROM n`,
          PURGE_BATCH + 4,
          TEST_START_MS,
        ).rowsWritten,
    )
    const now = TEST_START_MS + RETENTION_MS + PURGE_EVERY_MS
    vi.setSystemTime(now)
    await runDurableObjectAlarm(ledger)
    expect(await idsIn(ledger)).toHaveLength(5)
    expect(await alarmMs(ledger)).toBe(now + 1000)
    await runDurableObjectAlarm(ledger)
    expect(await idsIn(ledger)).toEqual([])
  })

  it('deletes nothing while the configuration cannot be read, and records all the same', async () => {
    const ledger = freshLedger()
    await ledger.audit(record(1))
    await runInDurableObject<ClientLedger, void>(ledger, async (instance) => {
      Reflect.set(instance, 'env', { ...bindings, LIMITS: { auditRetentionDays: 'soon' } })
      await instance.audit(record(2))
      vi.setSystemTime(TEST_START_MS + 2 * RETENTION_MS)
      await instance.alarm()
    })
    expect(await idsIn(ledger)).toEqual(['id-2', 'id-1'])
  })
})

describe('a ledger of the version before there was an audit log', () => {
  const OLD_TABLES = [
    'CREATE TABLE jtis (jti TEXT PRIMARY KEY, expiresMs INTEGER NOT NULL) WITHOUT ROWID',
    'CREATE INDEX jtis_by_expiry ON jtis (expiresMs)',
    `CREATE TABLE jobs (
       seq INTEGER PRIMARY KEY AUTOINCREMENT, schemaVersion INTEGER NOT NULL, jobId TEXT NOT NULL UNIQUE, sourceId TEXT NOT NULL,
       level TEXT NOT NULL, groupId TEXT, request TEXT NOT NULL, createdMs INTEGER NOT NULL, state TEXT NOT NULL
     )`,
    "INSERT INTO jtis VALUES ('used', 5000000000000)",
    "INSERT INTO jobs VALUES (7, 1, 'old', 'acme', 'system', NULL, 'https://b.example/$export', 1, 'running')",
  ]

  it('keeps its jobs and jtis, and takes audit records', async () => {
    const ledger = freshLedger()
    await inside(ledger, (sql) => {
      for (const table of ['jtis', 'jobs', 'audit']) sql.exec(`DROP TABLE ${table}`)
      for (const statement of OLD_TABLES) sql.exec(statement)
    })
    await evictDurableObject(ledger)
    expect(await ledger.useJti('used', TEST_START_MS + 60_000)).toBe(false)
    await ledger.audit(record(1))
    expect((await ledger.jobs({ limit: 10 })).jobs.map(({ jobId }) => jobId)).toEqual(['old'])
    expect(await idsIn(ledger)).toEqual(['id-1'])
  })
})
