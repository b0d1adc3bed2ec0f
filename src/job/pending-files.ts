import type { FileChange } from './file-rows.ts'

/**
 * The files of a job that are still to come: read once in an object's life and then kept along. An index of them would be one more row to
 * write for each file, and one to delete.
 */
export class PendingFiles {
  readonly #sql: SqlStorage
  /** Number → when it may be tried, epoch ms. Those that were never tried come first, in their order. */
  #nextMs: Map<number, number> | undefined

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** The one that has waited longest of those that may be tried and are not under way. */
  next(nowMs: number, underWay: ReadonlySet<number>): number | undefined {
    let first: { readonly n: number; readonly nextMs: number } | undefined
    for (const [n, nextMs] of this.#all()) {
      if (nextMs > nowMs || underWay.has(n)) continue
      if (nextMs === 0) return n
      if (!first || nextMs < first.nextMs || (nextMs === first.nextMs && n < first.n)) first = { n, nextMs }
    }
    return first?.n
  }

  has(n: number): boolean {
    return this.#all().has(n)
  }

  /** When the next may be tried, epoch ms; `undefined` where there is none. */
  get nextMs(): number | undefined {
    let first: number | undefined
    for (const nextMs of this.#all().values()) {
      if (nextMs === 0) return 0
      if (first === undefined || nextMs < first) first = nextMs
    }
    return first
  }

  /** Told after a row was added that may be tried at once. */
  added(n: number): void {
    this.#nextMs?.set(n, 0)
  }

  /** Told after a row was changed. */
  changed(n: number, { state, nextMs }: FileChange): void {
    if (state !== undefined && state !== 'pending') this.#nextMs?.delete(n)
    else if (state !== undefined && !this.#nextMs?.has(n)) this.forget()
    else if (nextMs !== undefined && this.#nextMs?.delete(n)) this.#nextMs.set(n, nextMs)
  }

  /** Rows have come or gone: they are read again when they are asked for. */
  forget(): void {
    this.#nextMs = undefined
  }

  #all(): Map<number, number> {
    const query = `SELECT n, next_ms AS nextMs FROM file WHERE state = 'pending' ORDER BY next_ms, n`
    return (this.#nextMs ??= new Map(
      this.#sql
        .exec<{ n: number; nextMs: number }>(query)
        .toArray()
        .map(({ n, nextMs }) => [n, nextMs]),
    ))
  }
}
