import { DurableObject } from 'cloudflare:workers'
import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { ExportError } from '../errors.ts'
import type { AuditRecord } from '../fhir/audit-event.ts'
import { log } from '../log.ts'
import { AuditLog, PURGE_EVERY_MS, type AuditPage } from './audit-log.ts'

/** One export job in its client's index, written before the job itself exists. */
export interface LedgerEntry {
  readonly jobId: string
  readonly sourceId: string
  readonly level: string
  readonly groupId?: string
  /** The kick-off request's URL. */
  readonly request: string
  readonly createdMs: number
}

export interface LedgerJob extends LedgerEntry {
  readonly state: string
}

export interface LedgerPage {
  readonly jobs: LedgerJob[]
  /** Where the next page begins: its `before`. Absent on the last page. */
  readonly next?: number
}

export const MAX_PAGE = 200
/** How long a `jti` is kept beyond its assertion: the Worker that checks the expiry may have a slower clock than this object. */
export const CLOCK_MARGIN_MS = 60_000
const SCHEMA_VERSION = 1
const FIRST_STATE = 'queued'
/** States of a job that has not ended; `open_jobs` is an index of them, so the two are written once. */
const IS_OPEN = "state IN ('queued', 'submitting', 'running', 'collecting')"
/** The end of a job may never have been heard of here. No job is open for this long, so such a one does not count for ever. */
export const OPEN_AT_MOST_MS = 30 * 86_400_000
const DAY_MS = 86_400_000

type Row = Record<string, SqlStorageValue> & {
  seq: number
  jobId: string
  sourceId: string
  level: string
  groupId: string | null
  request: string
  createdMs: number
  state: string
}

const jobOf = ({ jobId, sourceId, level, groupId, request, createdMs, state }: Row): LedgerJob => ({
  jobId,
  sourceId,
  level,
  ...(groupId === null ? {} : { groupId }),
  request,
  createdMs,
  state,
})

/** What must be known of one client as a whole: which assertions it has used, which jobs are its own, and what it has done. */
export class ClientLedger extends DurableObject<Env> {
  readonly #sql: SqlStorage
  readonly #audit: AuditLog

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    this.#sql = state.storage.sql
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS jtis (jti TEXT PRIMARY KEY, expiresMs INTEGER NOT NULL) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS jtis_by_expiry ON jtis (expiresMs);
      CREATE TABLE IF NOT EXISTS jobs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, schemaVersion INTEGER NOT NULL, jobId TEXT NOT NULL UNIQUE, sourceId TEXT NOT NULL,
        level TEXT NOT NULL, groupId TEXT, request TEXT NOT NULL, createdMs INTEGER NOT NULL, state TEXT NOT NULL
      );
      CREATE INDEX IF NOT EXISTS open_jobs ON jobs (createdMs) WHERE ${IS_OPEN};
    `)
    this.#audit = new AuditLog(this.#sql)
  }

  /** True for the first use of a `jti`, and for no other while its assertion could be accepted [AU-07]. */
  async useJti(jti: string, expiresMs: number): Promise<boolean> {
    // No await between sweep and insert: that is what makes two calls at the same instant one after the other.
    this.#sweep()
    const isNew =
      this.#sql.exec('INSERT INTO jtis (jti, expiresMs) VALUES (?, ?) ON CONFLICT DO NOTHING', jti, expiresMs).rowsWritten > 0
    await this.#arm()
    return isNew
  }

  /** Adding a job twice is adding it once. */
  addJob({ jobId, sourceId, level, groupId, request, createdMs }: LedgerEntry): void {
    this.#sql.exec(
      `INSERT INTO jobs (schemaVersion, jobId, sourceId, level, groupId, request, createdMs, state)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (jobId) DO NOTHING`,
      SCHEMA_VERSION,
      jobId,
      sourceId,
      level,
      groupId ?? null,
      request,
      createdMs,
      FIRST_STATE,
    )
  }

  /** How many of the client's jobs are queued or running, counted no further than `most`. */
  openJobs(most: number): number {
    const sinceMs = Date.now() - OPEN_AT_MOST_MS
    return this.#sql
      .exec<{ count: number }>(
        `SELECT COUNT(*) AS count FROM (SELECT 1 FROM jobs WHERE ${IS_OPEN} AND createdMs > ? LIMIT ?)`,
        sinceMs,
        most,
      )
      .one().count
  }

  /** Nothing happens for a job that is not here. */
  setJobState(jobId: string, state: string): void {
    this.#sql.exec('UPDATE jobs SET state = ? WHERE jobId = ? AND state <> ?', state, jobId, state)
  }

  removeJob(jobId: string): void {
    this.#sql.exec('DELETE FROM jobs WHERE jobId = ?', jobId)
  }

  /** The client's jobs, newest first, at most `MAX_PAGE`. */
  jobs({ before, limit }: { readonly before?: number; readonly limit: number }): LedgerPage {
    const size = Math.min(MAX_PAGE, Math.max(1, Math.trunc(limit)))
    const rows = this.#sql
      .exec<Row>(
        `SELECT * FROM jobs WHERE seq < ? AND state NOT IN ('cancelled', 'expired') ORDER BY seq DESC LIMIT ?`,
        before ?? Number.MAX_SAFE_INTEGER,
        size + 1,
      )
      .toArray()
    const page = rows.slice(0, size)
    const last = page.at(-1)
    return { jobs: page.map(jobOf), ...(rows.length > size && last ? { next: last.seq } : {}) }
  }

  /** Keeps a record of what the client did; the same record twice is kept once. */
  async audit(record: AuditRecord): Promise<void> {
    if (this.#audit.add(record, Date.now())) log('warn', { event: 'audit.refusals_counted' })
    await this.#arm()
  }

  /** The client's audit records, newest first. */
  auditPage(asked: { readonly before?: number; readonly limit: number }): AuditPage {
    return this.#audit.page(asked)
  }

  override async alarm(): Promise<void> {
    this.#sweep()
    const retentionMs = this.#auditRetentionMs()
    if (retentionMs !== undefined) this.#audit.purge(Date.now() - retentionMs)
    await this.#arm()
  }

  /** `undefined` while the configuration cannot be read: then nothing is deleted. */
  #auditRetentionMs(): number | undefined {
    try {
      return configOf(this.env).settings.limits.auditRetentionDays * DAY_MS
    } catch (error) {
      if (error instanceof ExportError) return undefined
      throw error
    }
  }

  #sweep(): void {
    this.#sql.exec('DELETE FROM jtis WHERE expiresMs <= ?', Date.now() - CLOCK_MARGIN_MS)
  }

  /**
   * One alarm for all that is here now: a client that asks for tokens all day costs a few alarms, not one per token. One that is set for
   * the audit records of years ago does not keep what must go sooner.
   */
  async #arm(): Promise<void> {
    const { lastMs } = this.#sql.exec<{ lastMs: number | null }>('SELECT MAX(expiresMs) AS lastMs FROM jtis').one()
    const { oldestMs } = this.#audit
    const purgeMs = (oldestMs ?? Infinity) + (this.#auditRetentionMs() ?? Infinity) + PURGE_EVERY_MS
    const sweepMs = lastMs === null ? Infinity : lastMs + CLOCK_MARGIN_MS
    const wantedMs = Math.max(Math.min(sweepMs, purgeMs), Date.now() + 1000)
    const setMs = await this.ctx.storage.getAlarm()
    if (wantedMs < (setMs ?? Infinity)) await this.ctx.storage.setAlarm(wantedMs)
  }
}

/** The ledger of one client. */
export const ledgerOf = (env: Pick<Env, 'LEDGERS'>, clientId: string): DurableObjectStub<ClientLedger> =>
  env.LEDGERS.get(env.LEDGERS.idFromName(clientId))
