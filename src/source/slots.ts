import { LeaseCounts } from './lease-counts.ts'
import { isServed, type Waiting } from './queue.ts'
import { EVERY_TARGET, WaitingLine, type ShutUntil, type Waits } from './waiting-line.ts'

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
export interface Standing extends Waits {
  /** 1 is next. */
  readonly place: number
  readonly isServed: boolean
}

/** Vendors that bound their kick-offs at all do so by the day at most. */
const LONGEST_COOL_MS = 86_400_000

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
  readonly #counts: LeaseCounts
  readonly #line: WaitingLine
  /** No lease ends before; kept along, since an index by end would be one more row for each to write. */
  #firstEndMs: number | undefined

  constructor(sql: SqlStorage) {
    this.#sql = sql
    this.#counts = new LeaseCounts(sql)
    this.#line = new WaitingLine(sql, this.#counts)
  }

  /** Ends leases that nobody gave back. */
  expire(now: number): void {
    this.#sql.exec('DELETE FROM pause WHERE until_ms <= ?', now)
    this.#firstEndMs ??= this.#firstEnd()
    if (now < this.#firstEndMs) return
    if (this.#end('until_ms <= ?', now)) this.#line.changed()
    this.#firstEndMs = this.#firstEnd()
  }

  has(jobId: string): boolean {
    return this.#sql.exec('SELECT 1 FROM lease WHERE job = ?', jobId).toArray().length > 0
  }

  /** Puts a job into the queue, or notes that it still waits. */
  join({ jobId, clientId, sourceId, target, coolMs, inFlight }: Applicant, now: number): void {
    const row = {
      job: jobId,
      client: clientId,
      source: sourceId,
      target,
      since_ms: now,
      seen_ms: now,
      ready_ms: 0,
      cool_ms: coolMs,
      in_flight: Number.isFinite(inFlight) ? inFlight : null,
    }
    const known = this.#line.get(jobId)
    const isSame =
      known?.source === row.source &&
      known.target === row.target &&
      known.ready_ms === 0 &&
      known.cool_ms === row.cool_ms &&
      known.in_flight === row.in_flight
    if (isSame) this.#line.see(known, now)
    else this.#line.enter({ ...row, since_ms: known?.since_ms ?? now })
  }

  /** A job that was told to come back at a time is waiting until then, though it does not ask. */
  expect(jobId: string, atMs: number): void {
    const row = this.#line.get(jobId)
    if (row) this.#line.see(row, atMs)
  }

  /** Where a job stands that has joined; the next call for one that is served grants it its slot. */
  standing(jobId: string, shutUntil: ShutUntil, now: number): Standing {
    const { places, indexOf, waitsOf } = this.#line.at(shutUntil, now)
    const index = indexOf.get(jobId) ?? places.length
    const place = places[index]
    const row = this.#line.get(jobId)
    const isNext = place !== undefined && isServed(place, index, this.count(), now)
    // One that need not wait costs no row.
    if (!isNext) this.#line.store(jobId)
    return { ...(row ? waitsOf(row) : { cooledMs: 0, pausedUntilMs: 0 }), place: index + 1, isServed: isNext }
  }

  /** Waiting jobs that may have a slot now, in order. */
  served(shutUntil: ShutUntil, now: number): Waiting[] {
    const leases = this.count()
    return this.#line
      .at(shutUntil, now)
      .places.filter((place, index) => isServed(place, index, leases, now))
      .map(({ waiting }) => waiting)
  }

  /** Slots that are taken. */
  count(): number {
    return this.#counts.total
  }

  /** Gives a waiting job a slot. Its place is remembered, should the vendor be too busy for it. */
  grant(jobId: string, leaseMs: number, now: number): void {
    const row = this.#line.get(jobId)
    if (!row) return
    const { client, source, target, cool_ms, in_flight, since_ms } = row
    const [before] = this.#sql.exec<{ granted_ms: number }>('SELECT granted_ms FROM client WHERE id = ?', client).toArray()
    this.#line.remove(jobId)
    this.#sql.exec(
      `INSERT INTO lease (job, client, source, target, until_ms, cool_ms, in_flight, since_ms, granted_ms, before_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      jobId,
      client,
      source,
      target,
      now + leaseMs,
      cool_ms,
      in_flight,
      since_ms,
      now,
      before?.granted_ms ?? 0,
    )
    this.#counts.changed(client, 1)
    this.#sql.exec('INSERT OR REPLACE INTO client (id, granted_ms) VALUES (?, ?)', client, now)
    if (this.#firstEndMs !== undefined) this.#firstEndMs = Math.min(this.#firstEndMs, now + leaseMs)
    if (cool_ms === 0) return
    // Those of before their cool-down was stored may have the longest that there is.
    this.#sql.exec('DELETE FROM kickoff WHERE at_ms + ifnull(cool_ms, ?) <= ?', LONGEST_COOL_MS, now)
    const kickoff = 'INSERT OR REPLACE INTO kickoff (target, at_ms, job, cool_ms) VALUES (?, ?, ?, ?)'
    this.#sql.exec(kickoff, target, now, jobId, cool_ms)
  }

  /** Ends a job's lease or its wait. @param kickoffTaken False when the cool-down of its target has not begun. */
  giveBack(jobId: string, kickoffTaken: boolean): void {
    // A slot is granted after the cool-down only, so there is no older kick-off to go back to; another job may have had a later one.
    if (!kickoffTaken) this.#sql.exec('DELETE FROM kickoff WHERE job = ?', jobId)
    this.#end('job = ?', jobId)
    this.#line.remove(jobId)
  }

  /**
   * Puts a job whose kick-off the vendor was too busy for back to where it was in the queue, with its client's turn, and keeps
   * everybody, or every job of its target, from a slot until a time. Done twice, it is as if done once.
   */
  requeue(jobId: string, about: 'source' | 'target', untilMs: number, now: number): void {
    const [lease] = this.#sql.exec<LeaseRow>('SELECT * FROM lease WHERE job = ?', jobId).toArray()
    const target = about === 'source' ? EVERY_TARGET : (lease ?? this.#line.get(jobId))?.target
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
    const { client, source, since_ms, cool_ms, in_flight } = lease
    const seen_ms = Math.max(now, untilMs)
    this.#line.put({ job: jobId, client, source, target: lease.target, since_ms, seen_ms, ready_ms: 0, cool_ms, in_flight })
  }

  /** Bounds a lease that its job can no longer give back, and keeps it though the job be gone. */
  hold(jobId: string, untilMs: number): void {
    this.#sql.exec('UPDATE lease SET until_ms = ?, held = 1 WHERE job = ?', untilMs, jobId)
    this.#firstEndMs = undefined
  }

  /** Takes what a job has that is gone, save a lease that is held for its hidden vendor job. */
  drop(jobId: string): void {
    this.#end('job = ? AND held = 0', jobId)
    this.#line.remove(jobId)
  }

  #firstEnd(): number {
    return this.#sql.exec<{ endMs: number | null }>('SELECT min(until_ms) AS endMs FROM lease').one().endMs ?? Infinity
  }

  /** Deletes leases. @returns Whether there were any. */
  #end(condition: string, value: string | number): boolean {
    const ended = this.#sql.exec<{ client: string }>(`DELETE FROM lease WHERE ${condition} RETURNING client`, value).toArray()
    for (const { client } of ended) this.#counts.changed(client, -1)
    return ended.length > 0
  }
}
