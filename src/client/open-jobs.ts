/** States of a job that has not ended. */
const OPEN: ReadonlySet<string> = new Set(['queued', 'submitting', 'running', 'collecting'])
/** The end of a job may never have been heard of here. No job is open for this long, so such a one does not count for ever. */
export const OPEN_AT_MOST_MS = 30 * 86_400_000

/**
 * The jobs of a client that have not ended: read once in an object's life and then kept along, since every kick-off asks for their number
 * and must not cost more the more there are. A number in a row would cost a write for each that begins or ends, as much as reading
 * thousands.
 */
export class OpenJobs {
  readonly #sql: SqlStorage
  /** Job → when it was created, the oldest first. */
  #created: Map<string, number> | undefined

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** Told after the row of a job has got a state. */
  set(jobId: string, state: string, createdMs: number): void {
    // Whatever has not been read yet will be read as it is by then.
    if (OPEN.has(state)) this.#created?.set(jobId, createdMs)
    else this.#created?.delete(jobId)
  }

  delete(jobId: string): void {
    this.#created?.delete(jobId)
  }

  count(nowMs: number): number {
    const created = (this.#created ??= this.#read())
    const sinceMs = nowMs - OPEN_AT_MOST_MS
    for (const [jobId, createdMs] of created) {
      if (createdMs > sinceMs) break
      created.delete(jobId)
    }
    return created.size
  }

  #read(): Map<string, number> {
    const states = [...OPEN].map((state) => `'${state}'`).join()
    const rows = this.#sql.exec<{ jobId: string; createdMs: number }>(
      `SELECT jobId, createdMs FROM jobs WHERE state IN (${states}) ORDER BY createdMs`,
    )
    return new Map(rows.toArray().map(({ jobId, createdMs }) => [jobId, createdMs]))
  }
}
