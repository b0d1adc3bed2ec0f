import { DurableObject } from 'cloudflare:workers'
import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { ExportError } from '../errors.ts'
import { log, nameOf } from '../log.ts'
import { requestToken, type TokenAnswer } from '../vendor/credentials.ts'
import type { Source } from '../vendor/source.ts'

/** A job that has not asked for this long is not waiting any more. */
const WAITING_MS = 10 * 60_000
/** How often a waiting job asks, unless it is told earlier. */
const RETRY_MS = 60_000
/** A token is renewed when this share of its life is over [N-36]. */
const RENEW_AT = 0.8

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS lease (job TEXT PRIMARY KEY, client TEXT NOT NULL, target TEXT NOT NULL, until_ms INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS waiting (job TEXT PRIMARY KEY, client TEXT NOT NULL, since_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL, ready_ms INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS client (id TEXT PRIMARY KEY, granted_ms INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS kickoff (target TEXT PRIMARY KEY, at_ms INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS live (job TEXT PRIMARY KEY);
`

export interface SlotRequest {
  readonly sourceId: string
  readonly jobId: string
  readonly clientId: string
  /** What the vendor counts kick-offs by: the level and group. */
  readonly target: string
  /** A lease never outlives this. */
  readonly leaseMs: number
}

/** Configuration that cannot be used; errors do not survive the trip between objects, so it is told like this. */
export interface Misconfigured {
  readonly kind: 'misconfigured'
  readonly diagnostics: string
}

export type SlotAnswer =
  Misconfigured | { readonly kind: 'granted' } | { readonly kind: 'refused'; readonly place: number; readonly retryMs: number }

/** `expiresMs`: when to ask the gate again. */
export type GateToken = TokenAnswer | Misconfigured

interface CachedToken {
  readonly token: string
  readonly renewMs: number
}

const misconfigured = (diagnostics: string): Misconfigured => ({ kind: 'misconfigured', diagnostics })

const misconfiguredBy = (error: unknown): Misconfigured => {
  if (error instanceof ExportError && error.code === 'config_invalid') return misconfigured(error.diagnostics)
  throw error
}

/**
 * What all jobs of one vendor client share: slots in flight, kick-off cool-downs, the access token, and the list of live jobs that
 * the sweep looks after. One object per configured gate.
 */
export class SourceGate extends DurableObject<Env> {
  readonly #sql: SqlStorage
  // Tokens are kept in memory only: a new one costs a request, a stored one could leak.
  readonly #tokens = new Map<string, CachedToken>()
  readonly #asking = new Map<string, Promise<GateToken>>()

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    this.#sql = state.storage.sql
    this.#sql.exec(SCHEMA)
  }

  /** A place among the vendor's exports in flight, or one in the queue. Asking again keeps either. */
  async acquire(request: SlotRequest): Promise<SlotAnswer> {
    const source = await this.#source(request.sourceId)
    if ('kind' in source) return source
    const { inFlight, kickoffEverySeconds } = source.dialect.limits ?? {}
    const now = Date.now()
    this.#sql.exec('DELETE FROM lease WHERE until_ms <= ?', now)
    this.#sql.exec('DELETE FROM waiting WHERE seen_ms <= ?', now - WAITING_MS)
    this.#track(request.jobId)
    if (this.#sql.exec('SELECT 1 FROM lease WHERE job = ?', request.jobId).toArray().length > 0) return { kind: 'granted' }
    const coolMs = kickoffEverySeconds === undefined ? 0 : this.#cooldownMs(request.target, kickoffEverySeconds, now)
    this.#wait(request, now, now + coolMs)
    if (coolMs > 0) return { kind: 'refused', place: 1, retryMs: coolMs }
    const position = this.#queue(now).indexOf(request.jobId)
    const free = Math.max(0, (inFlight ?? Infinity) - this.#leases())
    if (position >= free) return { kind: 'refused', place: position - free + 1, retryMs: RETRY_MS }
    this.#grant(request, now)
    return { kind: 'granted' }
  }

  /**
   * Gives a slot back, or a place in the queue up; the next in the queue is told.
   *
   * @param kickoffTaken False when the vendor took no kick-off in this slot: its cool-down has not begun.
   */
  async release(jobId: string, kickoffTaken: boolean): Promise<void> {
    // A slot is granted after the cool-down only, so there is no older kick-off to go back to.
    if (!kickoffTaken) this.#sql.exec('DELETE FROM kickoff WHERE target IN (SELECT target FROM lease WHERE job = ?)', jobId)
    this.#sql.exec('DELETE FROM lease WHERE job = ?', jobId)
    this.#sql.exec('DELETE FROM waiting WHERE job = ?', jobId)
    const [next] = this.#queue(Date.now())
    if (next !== undefined) await this.#wake(next)
  }

  /** Bounds a lease that its job can no longer give back. */
  hold(jobId: string, untilMs: number): void {
    this.#sql.exec('UPDATE lease SET until_ms = ? WHERE job = ?', untilMs, jobId)
  }

  /** A job that has ended needs no sweep. */
  forget(jobId: string): void {
    this.#sql.exec('DELETE FROM live WHERE job = ?', jobId)
  }

  /** The vendor's token for a source: asked for once, however many jobs need it at the same time [N-36]. */
  async token(sourceId: string): Promise<GateToken> {
    const cached = this.#tokens.get(sourceId)
    if (cached && cached.renewMs > Date.now()) return { kind: 'token', token: cached.token, expiresMs: cached.renewMs }
    let asking = this.#asking.get(sourceId)
    if (!asking) {
      asking = this.#ask(sourceId).finally(() => this.#asking.delete(sourceId))
      this.#asking.set(sourceId, asking)
    }
    return asking
  }

  /** A token other than the one that the vendor refused. */
  renew(sourceId: string, stale: string): Promise<GateToken> {
    if (this.#tokens.get(sourceId)?.token === stale) this.#tokens.delete(sourceId)
    return this.token(sourceId)
  }

  /** Re-arms every live job whose alarm was lost. @returns How many jobs live. */
  async sweep(): Promise<number> {
    const jobs = this.#sql.exec<{ job: string }>('SELECT job FROM live').toArray()
    for (const { job } of jobs) {
      try {
        if (!(await this.#job(job).rearm())) this.forget(job)
      } catch (error) {
        // One job that cannot be reached must not keep the others from their alarms.
        log('warn', { event: 'sweep.job_failed', jobId: job, error: nameOf(error) })
      }
    }
    return jobs.length
  }

  async #source(sourceId: string): Promise<Source | Misconfigured> {
    try {
      return (await configOf(this.env).source(sourceId)) ?? misconfigured(`The source ${sourceId} is no longer configured.`)
    } catch (error) {
      return misconfiguredBy(error)
    }
  }

  async #ask(sourceId: string): Promise<GateToken> {
    const source = await this.#source(sourceId)
    if ('kind' in source) return source
    const config = configOf(this.env)
    try {
      const ask = (): Promise<TokenAnswer> => requestToken(source, (name) => config.secret(name), config.settings.sandbox)
      const first = await ask()
      // Token endpoints flake with bare 400s [N-36].
      const answer = first.kind === 'refused' ? await ask() : first
      if (answer.kind !== 'token') return answer
      const now = Date.now()
      const renewMs = now + Math.max(0, answer.expiresMs - now) * RENEW_AT
      this.#tokens.set(sourceId, { token: answer.token, renewMs })
      return { ...answer, expiresMs: renewMs }
    } catch (error) {
      return misconfiguredBy(error)
    }
  }

  #wait({ jobId, clientId }: SlotRequest, now: number, readyMs: number): void {
    this.#sql.exec(
      `INSERT INTO waiting (job, client, since_ms, seen_ms, ready_ms) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (job) DO UPDATE SET seen_ms = excluded.seen_ms, ready_ms = excluded.ready_ms`,
      jobId,
      clientId,
      now,
      // One that cools down for a day asks again after it, and is waiting all the time.
      Math.max(now, readyMs),
      readyMs,
    )
  }

  /**
   * Waiting jobs in the order in which they will be served: turn by turn between clients, first come first within one. One that cools
   * down keeps nobody from a free slot.
   */
  #queue(now: number): string[] {
    return this.#sql
      .exec<{ job: string }>(
        `SELECT job FROM (
           SELECT w.job, w.since_ms, row_number() OVER (PARTITION BY w.client ORDER BY w.since_ms, w.job)
             + (SELECT count(*) FROM lease l WHERE l.client = w.client) AS turn, coalesce(c.granted_ms, 0) AS granted
           FROM waiting w LEFT JOIN client c ON c.id = w.client WHERE w.ready_ms <= ?
         ) ORDER BY turn, granted, since_ms, job`,
        now,
      )
      .toArray()
      .map((row) => row.job)
  }

  #leases(): number {
    return this.#sql.exec<{ n: number }>('SELECT count(*) AS n FROM lease').one().n
  }

  #cooldownMs(target: string, everySeconds: number, now: number): number {
    const [last] = this.#sql.exec<{ at_ms: number }>('SELECT at_ms FROM kickoff WHERE target = ?', target).toArray()
    return last ? Math.max(0, last.at_ms + everySeconds * 1000 - now) : 0
  }

  #grant({ jobId, clientId, target, leaseMs }: SlotRequest, now: number): void {
    this.#sql.exec('DELETE FROM waiting WHERE job = ?', jobId)
    this.#sql.exec(
      'INSERT INTO lease (job, client, target, until_ms) VALUES (?, ?, ?, ?)',
      jobId,
      clientId,
      target,
      now + leaseMs,
    )
    this.#sql.exec('INSERT OR REPLACE INTO client (id, granted_ms) VALUES (?, ?)', clientId, now)
    this.#sql.exec('INSERT OR REPLACE INTO kickoff (target, at_ms) VALUES (?, ?)', target, now)
  }

  #track(jobId: string): void {
    this.#sql.exec('INSERT OR IGNORE INTO live (job) VALUES (?)', jobId)
  }

  async #wake(jobId: string): Promise<void> {
    try {
      await this.#job(jobId).wake()
    } catch {
      // It asks again by itself.
    }
  }

  #job(jobId: string) {
    return this.env.JOBS.get(this.env.JOBS.idFromName(jobId))
  }
}
