import type { LeaseCounts } from './lease-counts.ts'
import { lineOf, type Place, type Turns, type Waiting } from './queue.ts'

/** A job that has not asked for this long is passed over until it asks again. */
const WAITING_MS = 10 * 60_000
/** The target of a pause that holds for all of them. */
export const EVERY_TARGET = ''

/** When a source may be asked again, epoch ms; 0 for one that may be asked now. */
export type ShutUntil = (sourceId: string) => number

/** A waiting job as it is stored. */
export interface WaitingRow {
  readonly [column: string]: SqlStorageValue
  readonly job: string
  readonly client: string
  readonly source: string
  readonly target: string
  readonly since_ms: number
  /** When it last asked; or when it will, if it was told to come back later than is usual. */
  readonly seen_ms: number
  /** Rows from before `target` was stored have their cool-down in it; 0 in all others. */
  readonly ready_ms: number
  readonly cool_ms: number
  readonly in_flight: number | null
}

/** When a target has cooled down and when its pause is over, epoch ms; in the past when they are. */
export interface Waits {
  readonly cooledMs: number
  readonly pausedUntilMs: number
}

/** The queue at one time. */
export interface Line {
  readonly places: readonly Place[]
  readonly indexOf: ReadonlyMap<string, number>
  readonly waitsOf: (row: WaitingRow) => Waits
  readonly madeMs: number
  /** From then on somebody is ready or passed over who was not. */
  readonly untilMs: number
  readonly sources: readonly string[]
  /** Until when each of them was shut. */
  readonly shut: string
}

/**
 * The waiting jobs of one gate, and the queue that they form. Thousands may wait, so rows are read once, and the queue is worked out
 * again only when something in it has changed: a poll of one that waits changes nothing.
 */
export class WaitingLine {
  readonly #sql: SqlStorage
  readonly #leases: LeaseCounts
  #rows: Map<string, WaitingRow> | undefined
  /** Jobs whose row is not written: they may be served before anything else happens. */
  readonly #unwritten = new Set<string>()
  #line: Line | undefined

  constructor(sql: SqlStorage, leases: LeaseCounts) {
    this.#sql = sql
    this.#leases = leases
  }

  get(jobId: string): WaitingRow | undefined {
    return this.#all().get(jobId)
  }

  /** Puts a job into the queue; to be stored unless it is removed before anything is waited for. */
  enter(row: WaitingRow): void {
    this.#all().set(row.job, row)
    this.#unwritten.add(row.job)
    this.changed()
  }

  /** Stores a job that has entered. */
  store(jobId: string): void {
    const row = this.get(jobId)
    if (row && this.#unwritten.has(jobId)) this.#write(row)
  }

  put(row: WaitingRow): void {
    this.#write(row)
    this.#all().set(row.job, row)
    this.changed()
  }

  #write(row: WaitingRow): void {
    this.#unwritten.delete(row.job)
    const { job, client, source, target, since_ms, seen_ms, ready_ms, cool_ms, in_flight } = row
    this.#sql.exec(
      `INSERT OR REPLACE INTO waiting (job, client, source, target, since_ms, seen_ms, ready_ms, cool_ms, in_flight)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      job,
      client,
      source,
      target,
      since_ms,
      seen_ms,
      ready_ms,
      cool_ms,
      in_flight,
    )
  }

  /** Notes when a job has asked, or will. */
  see(row: WaitingRow, seenMs: number): void {
    this.#sql.exec('UPDATE waiting SET seen_ms = ? WHERE job = ?', seenMs, row.job)
    this.#all().set(row.job, { ...row, seen_ms: seenMs })
    if (!this.#line?.indexOf.has(row.job)) this.changed()
  }

  remove(jobId: string): void {
    // One that was stored before and entered again has a row too.
    if (this.#all().delete(jobId)) this.#sql.exec('DELETE FROM waiting WHERE job = ?', jobId)
    this.#unwritten.delete(jobId)
    this.changed()
  }

  /** Leases, cool-downs or pauses are not what they were. */
  changed(): void {
    this.#line = undefined
  }

  /** The queue as it is now. */
  at(shutUntil: ShutUntil, now: number): Line {
    const known = this.#line
    const shutOf = (sources: readonly string[]): string => sources.map(shutUntil).join()
    if (known && now >= known.madeMs && now < known.untilMs && known.shut === shutOf(known.sources)) return known
    const rows = [...this.#all().values()].filter(({ seen_ms }) => seen_ms > now - WAITING_MS)
    const sources = [...new Set(rows.map(({ source }) => source))]
    const waitsOf = this.#waits()
    const places = lineOf(
      rows.map((row): Waiting => waitingOf(row, waitsOf(row), shutUntil(row.source))),
      this.#turns(),
      now,
    )
    const changes = [...rows.map(({ seen_ms }) => seen_ms + WAITING_MS), ...places.map(({ dueMs }) => dueMs)]
    return (this.#line = {
      places,
      indexOf: new Map(places.map((place, index) => [place.waiting.job, index])),
      waitsOf,
      sources,
      madeMs: now,
      untilMs: changes.reduce((first, atMs) => (atMs > now && atMs < first ? atMs : first), Infinity),
      shut: shutOf(sources),
    })
  }

  #all(): Map<string, WaitingRow> {
    return (this.#rows ??= new Map(
      this.#sql
        .exec<WaitingRow>('SELECT * FROM waiting')
        .toArray()
        .map((row) => [row.job, row]),
    ))
  }

  #waits(): (row: WaitingRow) => Waits {
    const kickoffs = this.#sql.exec<{ target: string; at_ms: number }>('SELECT target, at_ms FROM kickoff').toArray()
    const pauses = this.#sql.exec<{ target: string; until_ms: number }>('SELECT target, until_ms FROM pause').toArray()
    const kickoffMs = new Map(kickoffs.map(({ target, at_ms }) => [target, at_ms]))
    const pausedMs = new Map(pauses.map(({ target, until_ms }) => [target, until_ms]))
    return ({ target, ready_ms, cool_ms }) => ({
      cooledMs: Math.max(ready_ms, (kickoffMs.get(target) ?? 0) + cool_ms),
      pausedUntilMs: Math.max(pausedMs.get(target) ?? 0, pausedMs.get(EVERY_TARGET) ?? 0),
    })
  }

  #turns(): Turns {
    const granted = this.#sql.exec<{ id: string; granted_ms: number }>('SELECT id, granted_ms FROM client')
    return {
      leases: this.#leases.byClient,
      grantedMs: new Map(granted.toArray().map(({ id, granted_ms }) => [id, granted_ms])),
    }
  }
}

const waitingOf = (row: WaitingRow, { cooledMs, pausedUntilMs }: Waits, shutUntilMs: number): Waiting => ({
  job: row.job,
  client: row.client,
  source: row.source,
  target: row.target,
  sinceMs: row.since_ms,
  readyMs: Math.max(cooledMs, pausedUntilMs, shutUntilMs),
  coolMs: row.cool_ms,
  inFlight: row.in_flight ?? Infinity,
})
