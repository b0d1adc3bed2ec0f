import { WIRE_FORMATS } from '../fhir/wire-formats.ts'
import { jobUrl } from './answers.ts'
import type { FileRows } from './file-rows.ts'
import { LISTED, ManifestEntries, NEXT } from './manifest-entries.ts'
import type { Job } from './model.ts'

/** Pages of a job's manifest. */
interface Pages {
  /** Those that stay as they are, from 1. */
  readonly frozen: number
  /** All that can be told now; one more than `frozen` where the export is complete and more is to be listed. */
  readonly count: number
}

/**
 * What goes onto a page before the end. Outcomes do not, since what failed is known at the end only; neither does a file whose last block
 * goes on in one that is not there yet, since its entry could not stay as it is.
 */
const READY = `SELECT n FROM file WHERE ${LISTED} AND kind <> 'error' AND page IS NULL
  AND (continues IS NULL OR EXISTS (SELECT 1 ${NEXT})) ORDER BY n`

const FORMAT = WIRE_FORMATS['3.0']

/**
 * The manifest of one job, out of its rows. For a client that takes partial manifests each full page is frozen: the rows keep its number,
 * and never more come to have it.
 *
 * @see Bulk Data Status Request, In-Progress Status [ST-13, ST-14]; Manifest, `link` [MF-16, MF-17]
 */
export class ManifestPages {
  readonly #sql: SqlStorage
  readonly #entries: ManifestEntries
  /** Until a page is frozen, what the rows said last. */
  #frozen: number | undefined
  /** The figures of the rows as they were when no page could be frozen; they are others as soon as a row is. */
  #seen: unknown

  constructor(sql: SqlStorage) {
    this.#sql = sql
    this.#entries = new ManifestEntries(sql, FORMAT)
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
        if (isComplete) this.#entries.forgetRest()
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
    const isTyped = outputOrganizedBy === undefined
    const on = page > frozen ? null : page
    const { isLong } = this.#entries
    const pieces = FORMAT.manifestPieces(head, (kind) =>
      this.#entries.read({ kind, page: on, base: `${url}/files/`, isTyped: isTyped || kind !== 'output' }, isLong),
    )
    const encoder = new TextEncoder()
    return new ReadableStream({
      type: 'bytes',
      pull(controller) {
        const { value, done } = pieces.next()
        if (done) controller.close()
        else controller.enqueue(typeof value === 'string' ? encoder.encode(value) : value)
      },
    })
  }

  #one(query: string, ...bindings: SqlStorageValue[]): number | undefined {
    const [row] = this.#sql.exec<{ n: number | null }>(query, ...bindings).toArray()
    return row?.n ?? undefined
  }
}
