import type { AuditRecord, StoredAuditRecord } from '../fhir/audit-event.ts'

export interface AuditPage {
  /** Newest first. */
  readonly records: StoredAuditRecord[]
  /** Where the next page begins: its `before`. Absent on the last page. */
  readonly next?: number
}

export const MAX_AUDIT_PAGE = 200
/** A client that keeps asking for what it must not have fills no storage: beyond these, refusals are counted. */
export const MAX_REFUSALS_PER_MINUTE = 60
/** How long a record may outlast its retention, so that one alarm serves for a day's records. */
export const PURGE_EVERY_MS = 86_400_000
/** Records of an earlier life of the object among which one may come again, since its answer was lost with that life. */
export const RECENT_RECORDS = 100
/** Ids that are kept in memory, to know one that comes again. */
const MOST_KNOWN = 1_000
/** Rows that one turn deletes. */
export const PURGE_BATCH = 10_000
const MINUTE_MS = 60_000
const SCHEMA_VERSION = 1

type Row = Record<string, SqlStorageValue> & { seq: number; id: string; recordedMs: number; body: string }

/** The audit records of one client: appended, read, and deleted by age alone. Nothing of a job's life touches them. */
export class AuditLog {
  readonly #sql: SqlStorage
  /** Memory is enough: an object that is evicted forgets a count, and no record. */
  #refusals = { sinceMs: 0, kept: 0, leftOut: 0 }
  /** The latest ids, the oldest first. An index of all that were ever recorded would be one more row for each to write. */
  #known: Set<string> | undefined
  /** When the oldest record was written; null while there is none. */
  #oldestMs: number | null | undefined

  constructor(sql: SqlStorage) {
    this.#sql = sql
    sql.exec(`
      CREATE TABLE IF NOT EXISTS audit (
        seq INTEGER PRIMARY KEY, schemaVersion INTEGER NOT NULL, id TEXT NOT NULL,
        recordedMs INTEGER NOT NULL, body TEXT NOT NULL
      )
    `)
  }

  /** Adding a record twice is adding it once. @returns True for the first refusal of a minute that was only counted. */
  add(record: AuditRecord, nowMs: number): boolean {
    if (this.#isKnown(record.id)) return false
    const window = this.#refusals
    if (record.outcome === 'refused') {
      if (nowMs - window.sinceMs >= MINUTE_MS) Object.assign(window, { sinceMs: nowMs, kept: 0 })
      if (window.kept >= MAX_REFUSALS_PER_MINUTE) return (window.leftOut += 1) === 1
      window.kept += 1
    }
    const { id, ...body } = record
    const { leftOut } = window
    window.leftOut = 0
    this.#sql.exec(
      // Tables of before have ids that are unique.
      'INSERT OR IGNORE INTO audit (schemaVersion, id, recordedMs, body) VALUES (?, ?, ?, ?)',
      SCHEMA_VERSION,
      id,
      nowMs,
      JSON.stringify(leftOut > 0 ? { ...body, refusalsLeftOut: leftOut } : body),
    )
    // Read again, should there have been none.
    this.#oldestMs ??= undefined
    this.#know(id)
    return false
  }

  #isKnown(id: string): boolean {
    this.#known ??= new Set(
      this.#sql
        .exec<{ id: string }>('SELECT id FROM audit ORDER BY seq DESC LIMIT ?', RECENT_RECORDS)
        .toArray()
        .map((row) => row.id)
        .toReversed(),
    )
    return this.#known.has(id)
  }

  #know(id: string): void {
    const known = this.#known?.add(id)
    const [oldest] = known ?? []
    if (known && oldest !== undefined && known.size > MOST_KNOWN) known.delete(oldest)
  }

  /** Newest first, at most `MAX_AUDIT_PAGE`. */
  page({ before, limit }: { readonly before?: number; readonly limit: number }): AuditPage {
    const size = Math.min(MAX_AUDIT_PAGE, Math.max(1, Math.trunc(limit)))
    const rows = this.#sql
      .exec<Row>('SELECT * FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?', before ?? Number.MAX_SAFE_INTEGER, size + 1)
      .toArray()
    const page = rows.slice(0, size)
    const last = page.at(-1)
    return { records: page.map(recordOf), ...(rows.length > size && last ? { next: last.seq } : {}) }
  }

  /** Deletes what was recorded before a moment: a batch of it. */
  purge(beforeMs: number): void {
    this.#sql.exec(
      'DELETE FROM audit WHERE seq IN (SELECT seq FROM audit ORDER BY seq LIMIT ?) AND recordedMs <= ?',
      PURGE_BATCH,
      beforeMs,
    )
    this.#oldestMs = undefined
  }

  /** When the oldest record was written. */
  get oldestMs(): number | undefined {
    if (this.#oldestMs === undefined) {
      const [row] = this.#sql.exec<{ recordedMs: number }>('SELECT recordedMs FROM audit ORDER BY seq LIMIT 1').toArray()
      this.#oldestMs = row?.recordedMs ?? null
    }
    return this.#oldestMs ?? undefined
  }
}

const recordOf = ({ id, recordedMs, body }: Row): StoredAuditRecord => ({
  ...(JSON.parse(body) as Omit<StoredAuditRecord, 'id' | 'recordedMs'>),
  id,
  recordedMs,
})
