import { isServed, type Waiting } from './queue.ts'
import { EVERY_TARGET, WaitingLine, type ShutUntil } from './waiting-line.ts'

/** A job that wants a slot, and what its vendor allows. */
export interface Applicant {
  readonly jobId: string
  readonly clientId: string
  readonly sourceId: string
  /** What the vendor counts kick-offs by: the level and group. */
  readonly target: string
  /** Least time between two kick-offs of the target; 0 for none. */
  readonly coolMs: number
  /** Slots that there are; `Infinity` where no limit is known. */
  readonly inFlight: number
}

/** Where a job stands that has no slot yet. */
export interface Standing {
  /** 1 is next. */
  readonly place: number
  readonly isServed: boolean
  /** When its target has cooled down, and when its pause is over; epoch ms, in the past when they are. */
  readonly cooledMs: number
  readonly pausedUntilMs: number
}

interface LeaseRow {
  readonly [column: string]: SqlStorageValue
  readonly client: string
  readonly source: string
  readonly target: string
  readonly cool_ms: number
  readonly in_flight: number | null
  readonly since_ms: number
  readonly granted_ms: number
  /** When the client had been granted a slot before this one. */
  readonly before_ms: number
}

/** Who has a slot of one vendor client, who waits for one, and what keeps them: the rows, and the queue that follows from them. */
export class Slots {
  readonly #sql: SqlStorage
  readonly #line: WaitingLine

  constructor(sql: SqlStorage) {
    this.#sql = sql
    this.#line = new WaitingLine(sql)
  }

  /** Ends leases that nobody gave back. */
  expire(now: number): void {
    this.#sql.exec('DELETE FROM pause WHERE until_ms <= ?', now)
    const ended = this.#sql.exec('DELETE FROM lease WHERE until_ms <= ? RETURNING job', now).toArray()
    if (ended.length > 0) this.#line.changed()
  }

  has(jobId: string): boolean {
    return this.#sql.exec('SELECT 1 FROM lease WHERE job = ?', jobId).toArray().length > 0
  }

  /** Puts a job into the queue, or notes that it still waits. */
  join({ jobId, clientId, sourceId, target, coolMs, inFlight }: Applicant, now: number): void {
    const limit = Number.isFinite(inFlight) ? inFlight : null
    const known = this.#line.known(jobId)
    const isSame = known?.source === sourceId && known.target === target && known.cool_ms === coolMs && known.in_flight === limit
    if (!isSame) this.#line.changed()
    this.#sql.exec(
      `INSERT INTO waiting (job, client, source, target, since_ms, seen_ms, ready_ms, cool_ms, in_flight) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)
         ON CONFLICT (job) DO UPDATE SET source = excluded.source, target = excluded.target, seen_ms = excluded.seen_ms,
           ready_ms = 0, cool_ms = excluded.cool_ms, in_flight = excluded.in_flight`,
      jobId,
      clientId,
      sourceId,
      target,
      now,
      now,
      coolMs,
      limit,
    )
  }

  /** A job that was told to come back at a time is waiting until then, though it does not ask. */
  expect(jobId: string, atMs: number): void {
    this.#sql.exec('UPDATE waiting SET seen_ms = ? WHERE job = ?', atMs, jobId)
  }

  /** Where a job stands that has joined. */
  standing(jobId: string, shutUntil: ShutUntil, now: number): Standing {
    const { places, indexOf, rows } = this.#line.at(shutUntil, now)
    const index = indexOf.get(jobId) ?? places.length
    const place = places[index]
    const row = rows.get(jobId)
    return {
      place: index + 1,
      isServed: place !== undefined && isServed(place, index, this.count(), now),
      cooledMs: row?.cooled_ms ?? 0,
      pausedUntilMs: row?.paused_ms ?? 0,
    }
  }

  /** Waiting jobs that may have a slot now, in order. */
  served(shutUntil: ShutUntil, now: number): Waiting[] {
    const leases = this.count()
    return this.#line
      .at(shutUntil, now)
      .places.filter((place, index) => isServed(place, index, leases, now))
      .map(({ waiting }) => waiting)
  }

  count(): number {
    return this.#sql.exec<{ n: number }>('SELECT count(*) AS n FROM lease').one().n
  }

  /** Gives a waiting job a slot. Its place is remembered, should the vendor be too busy for it. */
  grant(jobId: string, leaseMs: number, now: number): void {
    this.#line.changed()
    const [lease] = this.#sql
      .exec<{ client: string; target: string }>(
        `INSERT INTO lease (job, client, source, target, until_ms, cool_ms, in_flight, since_ms, granted_ms, before_ms)
           SELECT w.job, w.client, w.source, w.target, ?, w.cool_ms, w.in_flight, w.since_ms, ?, coalesce(c.granted_ms, 0)
           FROM waiting w LEFT JOIN client c ON c.id = w.client WHERE w.job = ? RETURNING client, target`,
        now + leaseMs,
        now,
        jobId,
      )
      .toArray()
    if (!lease) return
    this.#sql.exec('DELETE FROM waiting WHERE job = ?', jobId)
    this.#sql.exec('INSERT OR REPLACE INTO client (id, granted_ms) VALUES (?, ?)', lease.client, now)
    this.#sql.exec('INSERT OR REPLACE INTO kickoff (target, at_ms) VALUES (?, ?)', lease.target, now)
  }

  /** Ends a job's lease or its wait. @param kickoffTaken False when the cool-down of its target has not begun. */
  giveBack(jobId: string, kickoffTaken: boolean): void {
    this.#line.changed()
    // A slot is granted after the cool-down only, so there is no older kick-off to go back to.
    if (!kickoffTaken) this.#sql.exec('DELETE FROM kickoff WHERE target IN (SELECT target FROM lease WHERE job = ?)', jobId)
    this.#sql.exec('DELETE FROM lease WHERE job = ?', jobId)
    this.#sql.exec('DELETE FROM waiting WHERE job = ?', jobId)
  }

  /**
   * Puts a job whose kick-off the vendor was too busy for back to where it was in the queue, with its client's turn, and keeps
   * everybody, or every job of its target, from a slot until a time. Done twice, it is as if done once.
   */
  requeue(jobId: string, about: 'source' | 'target', untilMs: number, now: number): void {
    const [lease] = this.#sql.exec<LeaseRow>('SELECT * FROM lease WHERE job = ?', jobId).toArray()
    const [waiting] = this.#sql.exec<{ target: string }>('SELECT target FROM waiting WHERE job = ?', jobId).toArray()
    const target = about === 'source' ? EVERY_TARGET : (lease ?? waiting)?.target
    this.#line.changed()
    if (target !== undefined)
      this.#sql.exec(
        'INSERT INTO pause (target, until_ms) VALUES (?, ?) ON CONFLICT (target) DO UPDATE SET until_ms = max(until_ms, excluded.until_ms)',
        target,
        untilMs,
      )
    if (!lease) return
    this.giveBack(jobId, false)
    this.#sql.exec(
      'UPDATE client SET granted_ms = ? WHERE id = ? AND granted_ms = ?',
      lease.before_ms,
      lease.client,
      lease.granted_ms,
    )
    this.#sql.exec(
      `INSERT INTO waiting (job, client, source, target, since_ms, seen_ms, ready_ms, cool_ms, in_flight) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)`,
      jobId,
      lease.client,
      lease.source,
      lease.target,
      lease.since_ms,
      Math.max(now, untilMs),
      lease.cool_ms,
      lease.in_flight,
    )
  }

  /** Bounds a lease that its job can no longer give back, and keeps it though the job be gone. */
  hold(jobId: string, untilMs: number): void {
    this.#sql.exec('UPDATE lease SET until_ms = ?, held = 1 WHERE job = ?', untilMs, jobId)
  }

  /** Takes what a job has that is gone, save a lease that is held for its hidden vendor job. */
  drop(jobId: string): void {
    this.#line.changed()
    this.#sql.exec('DELETE FROM lease WHERE job = ? AND held = 0', jobId)
    this.#sql.exec('DELETE FROM waiting WHERE job = ?', jobId)
  }
}
