import { DurableObject } from 'cloudflare:workers'
import type { Env } from '../env.ts'

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

/** What must be known of one client as a whole: which assertions it has used, and which jobs are its own. */
export class ClientLedger extends DurableObject<Env> {
  readonly #sql: SqlStorage

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
    `)
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
      .exec<Row>('SELECT * FROM jobs WHERE seq < ? ORDER BY seq DESC LIMIT ?', before ?? Number.MAX_SAFE_INTEGER, size + 1)
      .toArray()
    const page = rows.slice(0, size)
    const last = page.at(-1)
    return { jobs: page.map(jobOf), ...(rows.length > size && last ? { next: last.seq } : {}) }
  }

  override async alarm(): Promise<void> {
    this.#sweep()
    await this.#arm()
  }

  #sweep(): void {
    this.#sql.exec('DELETE FROM jtis WHERE expiresMs <= ?', Date.now() - CLOCK_MARGIN_MS)
  }

  /** One alarm for all that is here now: a client that asks for tokens all day costs a few alarms, not one per token. */
  async #arm(): Promise<void> {
    const { lastMs } = this.#sql.exec<{ lastMs: number | null }>('SELECT MAX(expiresMs) AS lastMs FROM jtis').one()
    if (lastMs === null || (await this.ctx.storage.getAlarm()) !== null) return
    await this.ctx.storage.setAlarm(Math.max(lastMs + CLOCK_MARGIN_MS, Date.now() + 1000))
  }
}

/** The ledger of one client. */
export const ledgerOf = (env: Pick<Env, 'LEDGERS'>, clientId: string): DurableObjectStub<ClientLedger> =>
  env.LEDGERS.get(env.LEDGERS.idFromName(clientId))
