import type { FileChange } from './file-rows.ts'

/** Files by state. Another object once any of them is another. */
export interface Counts {
  readonly total: number
  readonly pending: number
  readonly ready: number
  readonly failed: number
}

/** Each status request asks for them and each file that comes changes them: they are counted once in an object's life, and kept along. */
export class FileCounts {
  readonly #sql: SqlStorage
  #counts: Counts | undefined

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  get(): Counts {
    return (this.#counts ??= this.#sql
      .exec<Counts & Record<string, SqlStorageValue>>(
        `SELECT count(*) AS total, total(state = 'pending') AS pending, total(state IN ('ready', 'empty', 'material') AND text IS NULL) AS ready,
           total(state = 'failed') AS failed FROM file`,
      )
      .one())
  }

  /** Told after a row was changed. */
  changed({ state }: FileChange, wasPending: boolean): void {
    const counts = this.#counts
    if (!counts) return
    if (state === undefined || (state === 'pending' && wasPending)) this.#counts = { ...counts }
    else if (state === 'pending' || !wasPending) this.forget()
    else {
      const came = state === 'failed' ? { failed: counts.failed + 1 } : { ready: counts.ready + 1 }
      this.#counts = { ...counts, pending: counts.pending - 1, ...came }
    }
  }

  /** They are to be counted anew. */
  forget(): void {
    this.#counts = undefined
  }
}
