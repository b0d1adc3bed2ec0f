import type { FileKind, ParsedManifest } from '../fhir/manifest.ts'
import { RESOURCE_TYPES } from '../fhir/resource-types.ts'
import { addressOf, byUniquePath, pathOf } from './file-address.ts'

/**
 * `pending`: not yet with us. `ready`: can be served. `empty`: had no line, not listed [MF-07]. `failed`: could not be had. `material`:
 * rests with us, and is not served itself: output files are made of it.
 */
export type FileState = 'pending' | 'ready' | 'empty' | 'failed' | 'material'

/** What went wrong with a file, for its client. `miscounted`: it is delivered, with other lines than its manifest announced. */
export type FileReason =
  'unavailable' | 'missing' | 'cut-off' | 'malformed' | 'untrusted' | 'no-url' | 'untyped' | 'too-late' | 'miscounted'

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
  /** Lines that the vendor's manifest announces. */
  readonly announced: number | null
  /** `bytes/lines` of a whole reading that did not have the announced lines; a second one like it settles the matter. */
  readonly doubt: string | null
  /** Why a file could not be had, or is not as announced. */
  readonly reason: FileReason | null
  /** The page of the manifest that lists it, from 1; `null` while it is on none yet [ST-14]. */
  readonly page: number | null
  /** Number of the file in which its last block goes on [MF-09]. */
  readonly continues: number | null
}

/** What may change of a file. */
export type FileChange = Partial<Omit<FileRow, 'n' | 'kind' | 'text'>>

/** Files by state; `nextMs` is when the next pending one may be tried. */
interface Counts {
  readonly total: number
  readonly pending: number
  readonly ready: number
  readonly failed: number
  readonly nextMs: number | null
}

const COLUMNS =
  'n, kind, type, state, url, attempts, next_ms AS nextMs, bytes, lines, sha256, text, announced, doubt, reason, page, continues'

/**
 * The files of a vendor's manifest that may be delivered. A type outside the client's right is not even fetched [KO-14], and neither
 * is one that is not FHIR's: some vendors export their own bookkeeping along with it.
 */
export function* deliverable(
  manifest: ParsedManifest,
  types: readonly string[] | undefined,
): Generator<{ kind: FileKind; url: string; type?: string; count?: number }> {
  for (const kind of ['output', 'deleted', 'error'] as const) {
    for (const file of manifest[kind]) {
      const wanted = file.type === undefined || (types ? types.includes(file.type) : RESOURCE_TYPES.has(file.type))
      // What those hold is fixed, whatever the vendor calls it: its words are not to reach our manifest.
      if (kind !== 'output') yield { kind, ...file, type: kind === 'deleted' ? 'Bundle' : 'OperationOutcome' }
      else if (wanted) yield { kind, ...file }
    }
  }
}

/** The files of a job. Every call is synchronous: what it wrote is there before the next await, or not at all. */
export class FileRows {
  readonly #storage: DurableObjectStorage
  /** A status request asks for them each time. */
  #counts: Counts | undefined

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage
  }

  /** Adds the files of one page of a vendor's manifest. */
  addPage(manifest: ParsedManifest, types: readonly string[] | undefined, state: 'pending' | 'ready'): void {
    this.#storage.transactionSync(() => {
      for (const { kind, url, type, count } of deliverable(manifest, types)) {
        // The same file listed twice would be the same resources twice, however often it is signed.
        this.#write(
          `INSERT INTO file (kind, type, state, url, address, announced) SELECT ?1, ?2, ?3, ?4, ?5, ?6
             WHERE NOT EXISTS (SELECT 1 FROM file WHERE address = ?5 AND kind = ?1)`,
          kind,
          type ?? null,
          state,
          url,
          addressOf(url),
          count ?? null,
        )
      }
      // A file without a usable URL is one that cannot be had.
      for (let entry = 0; entry < manifest.rejected; entry++) {
        this.#write(`INSERT INTO file (kind, state, reason) VALUES ('output', 'failed', 'no-url')`)
      }
    })
  }

  /** Adds a file of our own. */
  addText(kind: FileKind, type: string, text: string, lines: number, sha256: string): void {
    const bytes = new TextEncoder().encode(text).byteLength
    this.#write(
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

  /** Files that are delivered with other lines than announced. */
  miscounted(limit: number): FileRow[] {
    return this.#files(`SELECT ${COLUMNS} FROM file WHERE state = 'ready' AND reason = 'miscounted' ORDER BY n LIMIT ?`, limit)
  }

  /** Gives up on the files whose type nobody could find. */
  failUntyped(): void {
    this.#write(`UPDATE file SET state = 'failed', reason = 'untyped' WHERE type IS NULL AND state = 'ready'`)
  }

  /** Whether a file of our own is there already. */
  hasNotes(): boolean {
    return this.#storage.sql.exec('SELECT 1 FROM file WHERE text IS NOT NULL LIMIT 1').toArray().length > 0
  }

  /** Forgets the files of a manifest, so that it can be read again from its first page. */
  clear(): void {
    this.#write('DELETE FROM file')
  }

  get(n: number): FileRow | undefined {
    return this.#files(`SELECT ${COLUMNS} FROM file WHERE n = ?`, n)[0]
  }

  /** The next file to fetch that is not among those under way: whatever has waited longest, so that none is kept from its turn. */
  nextPending(nowMs: number, underWay: ReadonlySet<number>): FileRow | undefined {
    return this.#files(
      `SELECT ${COLUMNS} FROM file WHERE state = 'pending' AND next_ms <= ? ORDER BY next_ms, n LIMIT ?`,
      nowMs,
      underWay.size + 1,
    ).find((file) => !underWay.has(file.n))
  }

  progress(): Counts {
    return (this.#counts ??= this.#storage.sql
      .exec<Counts & Record<string, SqlStorageValue>>(
        `SELECT count(*) AS total, total(state = 'pending') AS pending, total(state IN ('ready', 'empty', 'material') AND text IS NULL) AS ready,
           total(state = 'failed') AS failed, min(CASE WHEN state = 'pending' THEN next_ms END) AS nextMs FROM file`,
      )
      .one())
  }

  /** Gives up on the files that are still to come. */
  failPending(): void {
    this.#write(`UPDATE file SET state = 'failed', reason = 'too-late' WHERE state = 'pending'`)
  }

  update(n: number, change: FileChange): void {
    const names: Record<string, string> = { nextMs: 'next_ms' }
    const entries = Object.entries(change)
    const assignments = entries.map(([key]) => `${names[key] ?? key} = ?`).join(', ')
    this.#write(`UPDATE file SET ${assignments} WHERE n = ?`, ...entries.map(([, value]) => value), n)
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
   * Takes the URLs of a manifest that was read again [N-25]. A file is the same when its address is, or its path, should the query be
   * signed in a way that we do not know; where paths do not tell files apart either, the same number of files in the same order are the
   * same files. Else the old URL stays.
   */
  refreshUrls(urls: readonly string[]): void {
    const rows = this.#storage.sql
      .exec<{ n: number; url: string }>('SELECT n, url FROM file WHERE url IS NOT NULL ORDER BY n')
      .toArray()
    const fresh = new Map(urls.map((url) => [addressOf(url), url]))
    const listed = [...fresh.values()]
    const freshByPath = byUniquePath(listed)
    const known = byUniquePath(rows.map((row) => row.url))
    this.#storage.transactionSync(() => {
      for (const [index, { n, url }] of rows.entries()) {
        const path = pathOf(url)
        const same = fresh.get(addressOf(url)) ?? (known.has(path) ? freshByPath.get(path) : undefined)
        const next = same ?? (rows.length === listed.length ? listed[index] : undefined)
        if (next !== undefined) this.#storage.sql.exec('UPDATE file SET url = ? WHERE n = ?', next, n)
      }
    })
  }

  #write(query: string, ...bindings: SqlStorageValue[]): void {
    this.#counts = undefined
    this.#storage.sql.exec(query, ...bindings)
  }

  #files(query: string, ...bindings: SqlStorageValue[]): FileRow[] {
    return this.#storage.sql.exec(query, ...bindings).toArray() as unknown as FileRow[]
  }
}
