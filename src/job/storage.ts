import type { FileKind, ParsedManifest } from '../fhir/manifest.ts'
import { RESOURCE_TYPES } from '../fhir/resource-types.ts'
import { SCHEMA_VERSION, type Job } from './model.ts'

/** `pending`: not yet with us. `ready`: can be served. `empty`: had no line, not listed [MF-07]. `failed`: could not be had. */
export type FileState = 'pending' | 'ready' | 'empty' | 'failed'

/** One file of a job. `n` counts from 1 over the whole manifest. */
export interface FileRow {
  readonly n: number
  readonly kind: FileKind
  readonly type: string | null
  readonly state: FileState
  /** Where the vendor has it; refreshed when the vendor signs it anew. */
  readonly url: string | null
  readonly attempts: number
  readonly nextMs: number
  readonly bytes: number | null
  readonly lines: number | null
  readonly sha256: string | null
  /** A small file of our own, such as the outcomes in `error`. */
  readonly text: string | null
}

/** Files by state; `nextMs` is when the next pending one may be tried. */
interface Counts extends Record<string, SqlStorageValue> {
  readonly total: number
  readonly pending: number
  readonly ready: number
  readonly failed: number
  readonly nextMs: number | null
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS job (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, body TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS file (
    n INTEGER PRIMARY KEY, kind TEXT NOT NULL, type TEXT, state TEXT NOT NULL, url TEXT, attempts INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL DEFAULT 0, bytes INTEGER, lines INTEGER, sha256 TEXT, text TEXT
  );
  CREATE INDEX IF NOT EXISTS file_pending ON file (next_ms) WHERE state = 'pending';
`

const COLUMNS = 'n, kind, type, state, url, attempts, next_ms AS nextMs, bytes, lines, sha256, text'

/** Where an object of a job rests; the prefix of a job holds all of them. */
export const objectPrefix = (jobId: string): string => `jobs/${jobId}/`
export const objectKey = (jobId: string, n: number): string => `${objectPrefix(jobId)}${n}`

const pathOf = (url: string): string => url.split(/[?#]/, 1)[0] ?? url

/** Path → URL, for the paths that stand for one URL alone. */
const byUniquePath = (urls: readonly string[]): ReadonlyMap<string, string> => {
  const unique = new Map<string, string>()
  const repeated = new Set<string>()
  for (const url of urls) {
    const path = pathOf(url)
    if (unique.has(path)) repeated.add(path)
    unique.set(path, url)
  }
  for (const path of repeated) unique.delete(path)
  return unique
}

/**
 * The files of a vendor's manifest that may be delivered. A type outside the client's right is not even fetched [KO-14], and neither
 * is one that is not FHIR's: some vendors export their own bookkeeping along with it.
 */
export function* deliverable(
  manifest: ParsedManifest,
  types: readonly string[] | undefined,
): Generator<{ kind: FileKind; url: string; type?: string }> {
  for (const kind of ['output', 'deleted', 'error'] as const) {
    for (const file of manifest[kind]) {
      const wanted = file.type === undefined || (types ? types.includes(file.type) : RESOURCE_TYPES.has(file.type))
      if (kind !== 'output' || wanted) yield { kind, ...file }
    }
  }
}

/** The rows of one job. Every call is synchronous: what it wrote is there before the next await, or not at all. */
export class JobStorage {
  readonly #storage: DurableObjectStorage

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage
  }

  /** The job; `undefined` when there is none. @throws when a later version of this software wrote it. */
  load(): Job | undefined {
    // An object that was only asked for, and never used, keeps no tables.
    const [exists] = this.#storage.sql.exec(`SELECT 1 FROM sqlite_master WHERE name = 'job'`).toArray()
    if (!exists) return undefined
    const [row] = this.#storage.sql.exec<{ version: number; body: string }>('SELECT version, body FROM job').toArray()
    if (!row) return undefined
    if (row.version > SCHEMA_VERSION) throw new Error(`a job row of version ${row.version}, written by later software`)
    return JSON.parse(row.body) as Job
  }

  create(job: Job): void {
    this.#storage.sql.exec(SCHEMA)
    this.save(job)
  }

  save(job: Job): void {
    this.#storage.sql.exec(
      'INSERT INTO job (one, version, body) VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET version = excluded.version, body = excluded.body',
      SCHEMA_VERSION,
      JSON.stringify(job),
    )
  }

  /** Adds the files of one page of a vendor's manifest. */
  addFiles(manifest: ParsedManifest, types: readonly string[] | undefined, state: 'pending' | 'ready'): void {
    this.#storage.transactionSync(() => {
      for (const { kind, url, type } of deliverable(manifest, types)) {
        this.#storage.sql.exec('INSERT INTO file (kind, type, state, url) VALUES (?, ?, ?, ?)', kind, type ?? null, state, url)
      }
      // A file without a usable URL is one that cannot be had.
      for (let entry = 0; entry < manifest.rejected; entry++) {
        this.#storage.sql.exec(`INSERT INTO file (kind, state) VALUES ('output', 'failed')`)
      }
    })
  }

  /** Adds a file of our own. */
  addText(kind: FileKind, type: string, text: string, lines: number, sha256: string): void {
    const bytes = new TextEncoder().encode(text).byteLength
    this.#storage.sql.exec(
      `INSERT INTO file (kind, type, state, text, bytes, lines, sha256) VALUES (?, ?, 'ready', ?, ?, ?, ?)`,
      kind,
      type,
      text,
      bytes,
      lines,
      sha256,
    )
  }

  /** The first files that could not be had. */
  failed(limit: number): FileRow[] {
    return this.#files(`SELECT ${COLUMNS} FROM file WHERE state = 'failed' ORDER BY n LIMIT ?`, limit)
  }

  /** The first files whose type nobody has said. */
  untyped(limit: number): FileRow[] {
    return this.#files(`SELECT ${COLUMNS} FROM file WHERE type IS NULL AND state = 'ready' ORDER BY n LIMIT ?`, limit)
  }

  /** Gives up on the files whose type nobody could find. */
  failUntyped(): void {
    this.#storage.sql.exec(`UPDATE file SET state = 'failed' WHERE type IS NULL AND state = 'ready'`)
  }

  /** Whether a file of our own is there already. */
  hasNotes(): boolean {
    return this.#storage.sql.exec('SELECT 1 FROM file WHERE text IS NOT NULL LIMIT 1').toArray().length > 0
  }

  /** Forgets the files of a manifest, so that it can be read again from its first page. */
  clearFiles(): void {
    this.#storage.sql.exec('DELETE FROM file')
  }

  file(n: number): FileRow | undefined {
    return this.#files(`SELECT ${COLUMNS} FROM file WHERE n = ?`, n)[0]
  }

  /** The next file to fetch that is not among those under way. */
  nextPending(nowMs: number, underWay: ReadonlySet<number>): FileRow | undefined {
    return this.#files(
      `SELECT ${COLUMNS} FROM file WHERE state = 'pending' AND next_ms <= ? ORDER BY n LIMIT ?`,
      nowMs,
      underWay.size + 1,
    ).find((file) => !underWay.has(file.n))
  }

  progress(): Counts {
    return this.#storage.sql
      .exec<Counts>(
        `SELECT count(*) AS total, total(state = 'pending') AS pending, total(state IN ('ready', 'empty') AND text IS NULL) AS ready,
           total(state = 'failed') AS failed, min(CASE WHEN state = 'pending' THEN next_ms END) AS nextMs FROM file`,
      )
      .one()
  }

  /** Gives up on the files that are still to come. */
  failPending(): void {
    this.#storage.sql.exec(`UPDATE file SET state = 'failed' WHERE state = 'pending'`)
  }

  updateFile(n: number, change: Partial<Omit<FileRow, 'n' | 'kind' | 'text'>>): void {
    const names: Record<string, string> = { nextMs: 'next_ms' }
    const entries = Object.entries(change)
    const assignments = entries.map(([key]) => `${names[key] ?? key} = ?`).join(', ')
    this.#storage.sql.exec(`UPDATE file SET ${assignments} WHERE n = ?`, ...entries.map(([, value]) => value), n)
  }

  /** Files of a manifest list in order, page by page so that any number of them costs the same memory. */
  *listed(kind: FileKind, pageSize = 500): Generator<FileRow> {
    for (let after = 0; ;) {
      const page = this.#files(
        `SELECT ${COLUMNS} FROM file WHERE kind = ? AND state = 'ready' AND type IS NOT NULL AND n > ? ORDER BY n LIMIT ?`,
        kind,
        after,
        pageSize,
      )
      yield* page
      const last = page.at(-1)
      if (!last || page.length < pageSize) return
      after = last.n
    }
  }

  /**
   * Takes the URLs of a manifest that was read again [N-25]. A file is the same when its path is, since only the query is signed anew;
   * where paths do not tell files apart, the same number of files in the same order are the same files. Else the old URL stays.
   */
  refreshUrls(urls: readonly string[]): void {
    const rows = this.#storage.sql
      .exec<{ n: number; url: string }>('SELECT n, url FROM file WHERE url IS NOT NULL ORDER BY n')
      .toArray()
    const fresh = byUniquePath(urls)
    const known = byUniquePath(rows.map((row) => row.url))
    this.#storage.transactionSync(() => {
      for (const [index, { n, url }] of rows.entries()) {
        const path = pathOf(url)
        const same = known.has(path) ? fresh.get(path) : undefined
        const next = same ?? (rows.length === urls.length ? urls[index] : undefined)
        if (next !== undefined) this.#storage.sql.exec('UPDATE file SET url = ? WHERE n = ?', next, n)
      }
    })
  }

  #files(query: string, ...bindings: SqlStorageValue[]): FileRow[] {
    return this.#storage.sql.exec(query, ...bindings).toArray() as unknown as FileRow[]
  }
}
