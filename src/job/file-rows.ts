import type { FileKind, ParsedManifest } from '../fhir/manifest.ts'
import { deliverable } from './deliverable.ts'
import { addressOf, freshUrls } from './file-address.ts'
import { FileCounts, type Counts } from './file-counts.ts'
import { Continuations } from './manifest-continues.ts'
import { PendingFiles } from './pending-files.ts'

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

const COLUMNS =
  'n, kind, type, state, url, attempts, next_ms AS nextMs, bytes, lines, sha256, text, announced, doubt, reason, page, continues'

/** The files of a job. Every call is synchronous: what it wrote is there before the next await, or not at all. */
export class FileRows {
  readonly #storage: DurableObjectStorage
  readonly #counts: FileCounts
  readonly #continuations: Continuations
  readonly #pending: PendingFiles

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage
    this.#counts = new FileCounts(storage.sql)
    this.#continuations = new Continuations(storage.sql)
    this.#pending = new PendingFiles(storage.sql)
  }

  /**
   * Adds the files of one page of a vendor's manifest.
   *
   * @param organizedBy The vendor organizes its files by this type, which is then what they are named by.
   */
  addPage(
    manifest: ParsedManifest,
    types: readonly string[] | undefined,
    state: 'pending' | 'ready',
    organizedBy?: string,
  ): void {
    this.#pending.forget()
    this.#storage.transactionSync(() => {
      for (const { kind, url, type, count } of deliverable(manifest, types)) {
        const isOrganized = organizedBy !== undefined && kind === 'output'
        // The same file listed twice would be the same resources twice, however often it is signed.
        this.#write(
          `INSERT INTO file (kind, type, state, url, address, announced) SELECT ?1, ?2, ?3, ?4, ?5, ?6
             WHERE NOT EXISTS (SELECT 1 FROM file WHERE address = ?5 AND kind = ?1)`,
          kind,
          (isOrganized ? organizedBy : type) ?? null,
          state,
          url,
          addressOf(url),
          // Whether the headers of its blocks are counted is not said.
          isOrganized ? null : (count ?? null),
        )
      }
      // A file without a usable URL is one that cannot be had.
      for (let entry = 0; entry < manifest.rejected; entry++) {
        this.#write(`INSERT INTO file (kind, state, reason) VALUES ('output', 'failed', 'no-url')`)
      }
      this.#continuations.add(manifest)
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
    return this.#files(
      `SELECT ${COLUMNS} FROM file WHERE state IN ('ready', 'material') AND reason = 'miscounted' ORDER BY n LIMIT ?`,
      limit,
    )
  }

  /** Rows of a type that came to rest with us. */
  linesOf(type: string): number {
    return this.#storage.sql
      .exec<{ lines: number }>(`SELECT total(lines) AS lines FROM file WHERE kind = 'output' AND type = ?`, type)
      .one().lines
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
    this.#pending.forget()
    this.#write('DELETE FROM file')
    this.#continuations.clear()
  }

  get(n: number): FileRow | undefined {
    return this.#files(`SELECT ${COLUMNS} FROM file WHERE n = ?`, n)[0]
  }

  /** The next file to fetch that is not among those under way: whatever has waited longest, so that none is kept from its turn. */
  nextPending(nowMs: number, underWay: ReadonlySet<number>): FileRow | undefined {
    const n = this.#pending.next(nowMs, underWay)
    return n === undefined ? undefined : this.get(n)
  }

  progress(): Counts {
    return this.#counts.get()
  }

  /** When the next file that is still to come may be tried, epoch ms; `undefined` where none is. */
  get nextMs(): number | undefined {
    return this.#pending.nextMs
  }

  /** Gives up on the files that are still to come. */
  failPending(): void {
    this.#pending.forget()
    this.#write(`UPDATE file SET state = 'failed', reason = 'too-late' WHERE state = 'pending'`)
  }

  update(n: number, change: FileChange): void {
    const names: Record<string, string> = { nextMs: 'next_ms' }
    const entries = Object.entries(change)
    const assignments = entries.map(([key]) => `${names[key] ?? key} = ?`).join(', ')
    const wasPending = this.#pending.has(n)
    this.#storage.sql.exec(`UPDATE file SET ${assignments} WHERE n = ?`, ...entries.map(([, value]) => value), n)
    this.#counts.changed(change, wasPending)
    this.#pending.changed(n, change)
  }

  /** What was kept along is read anew: what was written last is not there after all. */
  forget(): void {
    this.#counts.forget()
    this.#pending.forget()
  }

  /**
   * Has a file read once more for each of these types, which it holds besides its own [N-22].
   *
   * @param readLines Its rows of all types: each reading should find as many.
   */
  split(n: number, types: readonly string[], readLines: number): void {
    for (const type of types) {
      const added = this.#storage.sql.exec<{ n: number }>(
        `INSERT INTO file (kind, type, state, url, address, announced) SELECT kind, ?2, 'pending', url, address, ?3 FROM file AS mixed
           WHERE n = ?1 AND NOT EXISTS (SELECT 1 FROM file WHERE address = mixed.address AND kind = mixed.kind AND type = ?2) RETURNING n`,
        n,
        type,
        readLines,
      )
      for (const row of added.toArray()) this.#pending.added(row.n)
      this.#counts.forget()
    }
  }

  /** Whether a file is one type out of a file of several. */
  isSplit(n: number): boolean {
    const same = 'SELECT 1 FROM file AS one JOIN file AS first USING (address, kind) WHERE one.n = ? AND first.n < one.n LIMIT 1'
    return this.#storage.sql.exec(same, n).toArray().length > 0
  }

  /** Takes the URLs of a manifest that was read again, as far as they are of the same files [N-25]. */
  refreshUrls(urls: readonly string[]): void {
    const rows = this.#storage.sql
      .exec<{ n: number; url: string }>('SELECT n, url FROM file WHERE url IS NOT NULL ORDER BY n')
      .toArray()
    this.#storage.transactionSync(() => {
      for (const [n, url] of freshUrls(rows, urls)) this.#storage.sql.exec('UPDATE file SET url = ? WHERE n = ?', url, n)
    })
  }

  #write(query: string, ...bindings: SqlStorageValue[]): void {
    this.#counts.forget()
    this.#storage.sql.exec(query, ...bindings)
  }

  #files(query: string, ...bindings: SqlStorageValue[]): FileRow[] {
    return this.#storage.sql.exec(query, ...bindings).toArray() as unknown as FileRow[]
  }
}
