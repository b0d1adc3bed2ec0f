import { DurableObject } from 'cloudflare:workers'
import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { ExportError } from '../errors.ts'
import type { AuditRecord } from '../fhir/audit-event.ts'
import { log } from '../log.ts'
import { AuditLog, PURGE_EVERY_MS, type AuditPage } from './audit-log.ts'
import { OpenJobs } from './open-jobs.ts'
import { UsedJtis } from './used-jtis.ts'

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
const SCHEMA_VERSION = 1
const FIRST_STATE = 'queued'
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
  readonly #jtis: UsedJtis
  readonly #open: OpenJobs
  readonly #audit: AuditLog
  /** When the alarm rings; unknown until it has been looked up. */
  #alarmMs: number | undefined

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    this.#sql = state.storage.sql
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS jobs (
        seq INTEGER PRIMARY KEY, schemaVersion INTEGER NOT NULL, jobId TEXT NOT NULL UNIQUE, sourceId TEXT NOT NULL,
        level TEXT NOT NULL, groupId TEXT, request TEXT NOT NULL, createdMs INTEGER NOT NULL, state TEXT NOT NULL
      );
      DROP INDEX IF EXISTS open_jobs;
    `)
    this.#jtis = new UsedJtis(this.#sql)
    this.#open = new OpenJobs(this.#sql)
    this.#audit = new AuditLog(this.#sql)
  }

  /** True for the first use of a `jti`, and for no other while its assertion could be accepted [AU-07]. */
  async useJti(jti: string, expiresMs: number): Promise<boolean> {
    const isNew = this.#jtis.use(jti, expiresMs, Date.now())
    await this.#arm()
    return isNew
  }

  /** Adding a job twice is adding it once. */
  addJob({ jobId, sourceId, level, groupId, request, createdMs }: LedgerEntry): void {
    const { rowsWritten } = this.#sql.exec(
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
    if (rowsWritten > 0) this.#open.set(jobId, FIRST_STATE, createdMs)
  }

  /** How many of the client's jobs are queued or running, counted no further than `most`. */
  openJobs(most: number): number {
    return Math.min(most, this.#open.count(Date.now()))
  }

  /** Nothing happens for a job that is not here. */
  setJobState(jobId: string, state: string): void {
    const [job] = this.#sql
      .exec<{ createdMs: number }>(
        'UPDATE jobs SET state = ? WHERE jobId = ? AND state <> ? RETURNING createdMs',
        state,
        jobId,
        state,
      )
      .toArray()
    if (job) this.#open.set(jobId, state, job.createdMs)
  }

  removeJob(jobId: string): void {
    this.#sql.exec('DELETE FROM jobs WHERE jobId = ?', jobId)
    this.#open.delete(jobId)
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
    this.#alarmMs = undefined
    this.#jtis.sweep(Date.now())
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

  /**
   * One alarm for all that is here now: a client that asks for tokens all day costs a few alarms, not one per token. One that is set for
   * the audit records of years ago does not keep what must go sooner.
   */
  async #arm(): Promise<void> {
    const purgeMs = (this.#audit.oldestMs ?? Infinity) + (this.#auditRetentionMs() ?? Infinity) + PURGE_EVERY_MS
    const wantedMs = Math.max(Math.min(this.#jtis.goneMs, purgeMs), Date.now() + 1000)
    if (this.#alarmMs === undefined) {
      const setMs = (await this.ctx.storage.getAlarm()) ?? Infinity
      this.#alarmMs ??= setMs
    }
    if (wantedMs >= this.#alarmMs) return
    this.#alarmMs = wantedMs
    await this.ctx.storage.setAlarm(wantedMs)
  }
}

/** The ledger of one client. */
export const ledgerOf = (env: Pick<Env, 'LEDGERS'>, clientId: string): DurableObjectStub<ClientLedger> =>
  env.LEDGERS.get(env.LEDGERS.idFromName(clientId))
