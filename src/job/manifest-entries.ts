import type { FileKind, JsonPiece, ManifestFile } from '../fhir/manifest.ts'
import type { WireFormat } from '../fhir/wire-formats.ts'

/** Entries that are written at a time. */
export const BATCH = 2_000
/** What they may come to, at most: half of what a row may have. An entry has two addresses, where its last block goes on in another file. */
const BATCH_CHARS = 1_000_000
const OTHER_CHARS = 300
const batchOf = (base: string): number => Math.min(BATCH, Math.floor(BATCH_CHARS / (2 * base.length + OTHER_CHARS)))

/** A file that a manifest lists. */
export const LISTED = `state = 'ready' AND type IS NOT NULL`
/** The file in which the last block of another goes on, where that one is listed. */
export const NEXT = `FROM file AS next WHERE next.n = file.continues AND next.kind = 'output' AND next.state = 'ready' AND next.type IS NOT NULL`

/** Which entries: of a list, of a page (`null`: of what is on none), and where their files lie. */
export interface EntriesOf {
  readonly kind: FileKind
  readonly page: number | null
  /** What the names of the files stand behind. */
  readonly base: string
  /** Whether the entries name the type of every line. */
  readonly isTyped: boolean
}

/** Some entries, one after the other. */
interface Batch {
  readonly [column: string]: SqlStorageValue
  readonly files: number
  /** Number of the last file; null where there is none. */
  readonly last: number | null
  readonly json: string | ArrayBuffer | null
}

/** The URL of a file, out of a row of it; as `nameOfFile` has it. */
const urlIn = (row: string): string => `json_quote(concat(?1, ${row}.type, '.', ${row}.n, '.ndjson'))`

/** JSON of what an entry says, out of a row of `file`; null where it says nothing. */
const VALUES: Readonly<Record<keyof ManifestFile, string>> = {
  type: 'iif(?2, json_quote(type), NULL)',
  url: urlIn('file'),
  count: 'lines',
  // Asked for by the few that go on in another alone: a join would read a row more of each.
  continuesInFile: `CASE WHEN continues IS NOT NULL THEN (SELECT ${urlIn('next')} ${NEXT}) END`,
  extension: `iif(sha256 IS NULL OR bytes IS NULL, NULL, json_object('sha256', sha256, 'bytes', bytes))`,
}

/** One entry. What is null ends up as nothing at all. */
const entry = (members: WireFormat['fileMembers']): string =>
  `concat('{', substr(concat(${members.map((name) => `',"${name}":' || ${VALUES[name]}`).join()}), 2), '}')`

/**
 * Entries of a job's manifest, written by the database: one answer for thousands of files costs far less than a row for each. Those of a
 * long manifest are kept as they were written, since that is read again and again: by each further poll, and by each client that begins
 * anew. A row written costs as much as a thousand that are read, so that the entries of a short one are not.
 */
export class ManifestEntries {
  readonly #sql: SqlStorage
  readonly #query: string
  #isMade = false

  constructor(sql: SqlStorage, { fileMembers }: WireFormat) {
    this.#sql = sql
    const rows = `SELECT n, ${entry(fileMembers)} AS entry FROM file
      WHERE kind = ?3 AND ${LISTED} AND page IS ?4 AND n > ?5 ORDER BY n LIMIT ?6`
    this.#query = `SELECT count(*) AS files, max(n) AS last, group_concat(entry, ',') AS json FROM (${rows})`
  }

  /** Whether there are so many files that what is written of them is kept. */
  get isLong(): boolean {
    return (this.#sql.exec<{ n: number | null }>('SELECT max(n) AS n FROM file').one().n ?? 0) >= BATCH
  }

  /** A batch at a time, read as they are asked for. @param isLong Whether to keep them, and to look for kept ones. */
  *read(of: EntriesOf, isLong: boolean): Generator<JsonPiece> {
    const most = batchOf(of.base)
    for (let after = 0; ;) {
      const kept = isLong ? this.#kept(of, after) : undefined
      const { files, last, json } = kept ?? this.#written(of, after, most)
      if (isLong && !kept) this.#keep(of, after, { files, last, json })
      if (json === null || last === null) return
      yield typeof json === 'string' ? json : new Uint8Array(json)
      if (files < most) return
      after = last
    }
  }

  /** What is on no page yet is not what it was. */
  forgetRest(): void {
    if (this.#hasTable) this.#sql.exec('DELETE FROM entries WHERE page = 0')
  }

  #written({ kind, page, base, isTyped }: EntriesOf, after: number, most: number): Batch {
    return this.#sql.exec<Batch>(this.#query, base, isTyped ? 1 : 0, kind, page, after, most).one()
  }

  #kept({ kind, page, base }: EntriesOf, after: number): Batch | undefined {
    if (!this.#hasTable) return undefined
    const query = 'SELECT files, last, json FROM entries WHERE page = ? AND kind = ? AND after = ? AND base = ?'
    return this.#sql.exec<Batch>(query, page ?? 0, kind, after, base).toArray()[0]
  }

  #keep({ kind, page, base }: EntriesOf, after: number, { files, last, json }: Batch): void {
    if (!this.#hasTable) this.#sql.exec(TABLE)
    const query =
      'INSERT OR REPLACE INTO entries (page, kind, after, base, files, last, json) VALUES (?, ?, ?, ?, ?, ?, CAST(? AS BLOB))'
    this.#sql.exec(query, page ?? 0, kind, after, base, files, last, json)
  }

  /** Even to make a table that is there already is to write. */
  get #hasTable(): boolean {
    this.#isMade ||= this.#sql.exec(`SELECT 1 FROM sqlite_master WHERE name = 'entries'`).toArray().length > 0
    return this.#isMade
  }
}

/** Made when there is something to keep. `page` is 0 for what is on none; `after` is the number of the last file before. */
const TABLE = `CREATE TABLE IF NOT EXISTS entries (
  page INTEGER, kind TEXT, after INTEGER, base TEXT NOT NULL, files INTEGER NOT NULL, last INTEGER, json BLOB, PRIMARY KEY (page, kind, after)
) WITHOUT ROWID`
