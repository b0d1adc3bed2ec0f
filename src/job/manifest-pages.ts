import type { FileKind, ManifestFile } from '../fhir/manifest.ts'
import { WIRE_FORMATS } from '../fhir/wire-formats.ts'
import { jobUrl, nameOfFile } from './answers.ts'
import type { FileRows } from './file-rows.ts'
import type { Job } from './model.ts'

/** Pages of a job's manifest. */
interface Pages {
  /** Those that stay as they are, from 1. */
  readonly frozen: number
  /** All that can be told now; one more than `frozen` where the export is complete and more is to be listed. */
  readonly count: number
}

/** What a manifest lists of a file, and of the one in which its last block goes on. */
interface Entry {
  readonly n: number
  readonly type: string
  readonly bytes: number | null
  readonly lines: number | null
  readonly sha256: string | null
  readonly nextN: number | null
  readonly nextType: string | null
}

/** Rows of a manifest. */
const LISTED = `file.state = 'ready' AND file.type IS NOT NULL`
/** The row of the file in which the last block of another goes on; all null where none does, or it could not be had. */
const WITH_NEXT = `file LEFT JOIN file AS next
  ON next.n = file.continues AND next.kind = 'output' AND next.state = 'ready' AND next.type IS NOT NULL`
/**
 * What goes onto a page before the end. Outcomes do not, since what failed is known at the end only; neither does a file whose last block
 * goes on in one that is not there yet, since its entry could not stay as it is.
 */
const READY = `SELECT file.n FROM ${WITH_NEXT} WHERE ${LISTED} AND file.kind <> 'error' AND file.page IS NULL
  AND (file.continues IS NULL OR next.n IS NOT NULL) ORDER BY file.n`

/** Rows that a manifest takes at a time: any number of files costs the same memory. */
const BATCH = 500

/**
 * The manifest of one job, out of its rows. For a client that takes partial manifests each full page is frozen: the rows keep its number,
 * and never more come to have it.
 *
 * @see Bulk Data Status Request, In-Progress Status [ST-13, ST-14]; Manifest, `link` [MF-16, MF-17]
 */
export class ManifestPages {
  readonly #sql: SqlStorage
  /** Until a page is frozen, what the rows said last. */
  #frozen: number | undefined
  /** The figures of the rows as they were when no page could be frozen; they are others as soon as a row is. */
  #seen: unknown

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /**
   * Freezes what fills pages by now. Costs no row write unless it does, and no query unless a file has changed since.
   *
   * @param pageFiles Files of a page; the last one has the rest.
   */
  settle(job: Job, files: FileRows, pageFiles: number): Pages {
    const isComplete = job.state === 'complete'
    if (!job.partialManifests || !(isComplete || job.state === 'collecting')) return { frozen: 0, count: isComplete ? 1 : 0 }
    let frozen = (this.#frozen ??= this.#one('SELECT max(page) AS n FROM file') ?? 0)
    const figures = files.progress()
    if (this.#seen !== figures) {
      // Once all is there, a page is full only when there is another one to come.
      const more = isComplete ? pageFiles : pageFiles - 1
      while (this.#one(`${READY} LIMIT 1 OFFSET ?`, more) !== undefined) {
        frozen += 1
        this.#sql.exec(`UPDATE file SET page = ? WHERE n IN (${READY} LIMIT ?)`, frozen, pageFiles)
      }
      this.#frozen = frozen
      this.#seen = figures
    }
    if (!isComplete) return { frozen, count: frozen }
    const hasRest = this.#one(`SELECT n FROM file WHERE ${LISTED} AND page IS NULL LIMIT 1`) !== undefined
    return { frozen, count: hasRest || frozen === 0 ? frozen + 1 : frozen }
  }

  /** Whether a file may be had before the export is complete: whatever a client was told of is there [ST-13]. */
  isTold(n: number): boolean {
    return this.#one('SELECT n FROM file WHERE n = ? AND page IS NOT NULL', n) !== undefined
  }

  /** One page, written out of the rows as it is read. */
  stream(job: Job, page: number, { frozen, count }: Pages, publicBase: string): ReadableStream<Uint8Array> {
    const url = jobUrl(publicBase, job.sourceId, job.jobId)
    const outputOrganizedBy = job.organizeBy ?? job.organizedBy
    const head = {
      transactionTimeMs: job.transactionTimeMs ?? job.createdMs,
      request: job.request,
      ...(outputOrganizedBy === undefined ? {} : { outputOrganizedBy }),
      ...(page < count ? { nextUrl: `${url}?page=${page + 1}` } : {}),
    }
    const urlOf = (type: string, n: number): string => `${url}/files/${nameOfFile(type, n)}`
    const rows = (kind: FileKind): Generator<Entry> => this.#listed(kind, page > frozen ? null : page)
    const chunks = WIRE_FORMATS['3.0'].manifestChunks(head, function* (kind): Generator<ManifestFile> {
      const isTyped = kind !== 'output' || outputOrganizedBy === undefined
      for (const { n, type, bytes, lines, sha256, nextN, nextType } of rows(kind))
        yield {
          ...(isTyped ? { type } : {}),
          url: urlOf(type, n),
          ...(lines === null ? {} : { count: lines }),
          ...(nextN === null || nextType === null ? {} : { continuesInFile: urlOf(nextType, nextN) }),
          ...(sha256 === null || bytes === null ? {} : { extension: { sha256, bytes } }),
        }
    })
    const encoder = new TextEncoder()
    return new ReadableStream({
      type: 'bytes',
      pull(controller) {
        const { value, done } = chunks.next()
        if (!done) controller.enqueue(encoder.encode(value))
        else controller.close()
      },
    })
  }

  *#listed(kind: FileKind, page: number | null): Generator<Entry> {
    for (let after = 0; ;) {
      const rows = this.#sql
        .exec<Entry & Record<string, SqlStorageValue>>(
          `SELECT file.n, file.type, file.bytes, file.lines, file.sha256, next.n AS nextN, next.type AS nextType FROM ${WITH_NEXT}
             WHERE file.kind = ? AND ${LISTED} AND file.page IS ? AND file.n > ? ORDER BY file.n LIMIT ?`,
          kind,
          page,
          after,
          BATCH,
        )
        .toArray()
      yield* rows
      const last = rows.at(-1)
      if (!last || rows.length < BATCH) return
      after = last.n
    }
  }

  #one(query: string, ...bindings: SqlStorageValue[]): number | undefined {
    const [row] = this.#sql.exec<{ n: number | null }>(query, ...bindings).toArray()
    return row?.n ?? undefined
  }
}
