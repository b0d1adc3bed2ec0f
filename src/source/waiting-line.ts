import { lineOf, type Place, type Turns, type Waiting } from './queue.ts'

/** A job that has not asked for this long is passed over until it asks again. */
const WAITING_MS = 10 * 60_000
/** The target of a pause that holds for all of them. */
export const EVERY_TARGET = ''

/** When a source may be asked again, epoch ms; 0 for one that may be asked now. */
export type ShutUntil = (sourceId: string) => number

export interface Row {
  readonly [column: string]: SqlStorageValue
  readonly job: string
  readonly client: string
  readonly source: string
  readonly target: string
  readonly since_ms: number
  readonly seen_ms: number
  readonly cool_ms: number
  readonly in_flight: number | null
  readonly cooled_ms: number
  readonly paused_ms: number
}

export interface Line {
  readonly places: readonly Place[]
  readonly indexOf: ReadonlyMap<string, number>
  readonly rows: ReadonlyMap<string, Row>
  readonly madeMs: number
  /** From then on somebody is ready or passed over who was not. */
  readonly untilMs: number
  readonly sources: readonly string[]
  /** Until when each of them was shut. */
  readonly shut: string
}

/** The queue of one gate, worked out from the rows, and again only when something in it has changed: a poll of one that waits changes nothing. */
export class WaitingLine {
  readonly #sql: SqlStorage
  #line: Line | undefined

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** Leases, waiting jobs, cool-downs or pauses are not what they were. */
  changed(): void {
    this.#line = undefined
  }

  /** A job as it stands in the queue that is remembered. */
  known(jobId: string): Row | undefined {
    return this.#line?.rows.get(jobId)
  }

  /** The queue as it is now. */
  at(shutUntil: ShutUntil, now: number): Line {
    const known = this.#line
    const shutOf = (sources: readonly string[]): string => sources.map(shutUntil).join()
    if (known && now >= known.madeMs && now < known.untilMs && known.shut === shutOf(known.sources)) return known
    const rows = this.#rows(now)
    const sources = [...new Set(rows.map(({ source }) => source))]
    const waiting = rows.map((row): Waiting => waitingOf(row, shutUntil(row.source)))
    const places = lineOf(waiting, this.#turns(), now)
    const changes = [...rows.map(({ seen_ms }) => seen_ms + WAITING_MS), ...places.map(({ dueMs }) => dueMs)]
    return (this.#line = {
      places,
      indexOf: new Map(places.map((place, index) => [place.waiting.job, index])),
      rows: new Map(rows.map((row) => [row.job, row])),
      sources,
      madeMs: now,
      untilMs: changes.reduce((first, atMs) => (atMs > now && atMs < first ? atMs : first), Infinity),
      shut: shutOf(sources),
    })
  }

  #rows(now: number): Row[] {
    return this.#sql
      .exec<Row>(
        `SELECT w.job, w.client, w.source, w.target, w.since_ms, w.seen_ms, w.cool_ms, w.in_flight,
             max(w.ready_ms, coalesce(k.at_ms + w.cool_ms, 0)) AS cooled_ms, max(coalesce(p.until_ms, 0), coalesce(e.until_ms, 0)) AS paused_ms
           FROM waiting w LEFT JOIN kickoff k ON k.target = w.target
             LEFT JOIN pause p ON p.target = w.target LEFT JOIN pause e ON e.target = ? WHERE w.seen_ms > ?`,
        EVERY_TARGET,
        now - WAITING_MS,
      )
      .toArray()
  }

  #turns(): Turns {
    const leases = this.#sql.exec<{ client: string; n: number }>('SELECT client, count(*) AS n FROM lease GROUP BY client')
    const granted = this.#sql.exec<{ id: string; granted_ms: number }>('SELECT id, granted_ms FROM client')
    return {
      leases: new Map(leases.toArray().map(({ client, n }) => [client, n])),
      grantedMs: new Map(granted.toArray().map(({ id, granted_ms }) => [id, granted_ms])),
    }
  }
}

const waitingOf = (row: Row, shutUntilMs: number): Waiting => ({
  job: row.job,
  client: row.client,
  source: row.source,
  target: row.target,
  sinceMs: row.since_ms,
  readyMs: Math.max(row.cooled_ms, row.paused_ms, shutUntilMs),
  coolMs: row.cool_ms,
  inFlight: row.in_flight ?? Infinity,
})
