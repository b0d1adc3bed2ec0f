import { Batch } from './batch.ts'
import { blockHeader, recordHead } from './keys.ts'
import type { RunReader } from './run-reader.ts'
import type { Sizes } from './sizes.ts'

/** What a merge writes: a longer run, or blocks with their headers for the client. */
export type Layout = 'run' | 'blocks'

/** Writes the records of several runs in order into one object, up to where that is to end. */
export class Merge {
  readonly #layout: Layout
  readonly #sizes: Sizes
  /** Those that have a record left, by key; of the same key by age. */
  readonly #runs: RunReader[]
  #patient: string | undefined
  #rows = 0

  private constructor(runs: RunReader[], layout: Layout, sizes: Sizes) {
    this.#runs = runs
    this.#layout = layout
    this.#sizes = sizes
  }

  static async of(readers: readonly RunReader[], layout: Layout, sizes: Sizes): Promise<Merge> {
    await Promise.all(readers.map((reader) => reader.advance()))
    const runs = readers.filter(({ key }) => key !== undefined).toSorted((one, other) => (isBefore(one, other) ? -1 : 1))
    return new Merge(runs, layout, sizes)
  }

  /** Rows written; headers of blocks are none. */
  get rows(): number {
    return this.#rows
  }

  /** Whether no record is left. */
  get isOver(): boolean {
    return this.#runs.length === 0
  }

  /** Whether the object ended in the midst of a block. */
  get isSplit(): boolean {
    return this.#patient !== undefined && this.#runs[0]?.patient === this.#patient
  }

  /** The object, in pieces that are each good until the next is asked for. */
  async *object(): AsyncGenerator<Uint8Array> {
    const { objectBytes, batchBytes } = this.#sizes
    const batch = new Batch(batchBytes)
    let bytes = 0
    for (let run = this.#runs[0]; run?.key !== undefined; run = this.#runs[0]) {
      const { patient, key } = run
      const isNewBlock = patient !== this.#patient
      if (bytes >= (isNewBlock ? objectBytes : 2 * objectBytes)) break
      this.#patient = patient
      const head = this.#layout === 'run' ? recordHead(key) : isNewBlock ? blockHeader(patient ?? '') : undefined
      if (head) {
        bytes += head.byteLength
        if (!batch.takes(head)) yield* batch.split(head)
      }
      for (let isWhole = false; !isWhole;) {
        const { piece, isEnd } = run.take()
        bytes += piece.byteLength
        if (!batch.takes(piece)) yield* batch.split(piece)
        isWhole = isEnd
        if (!isEnd) await run.refill()
      }
      this.#rows += 1
      await run.advance()
      this.#place(run)
    }
    yield batch.flush()
  }

  /** Puts the first run, which has another record now, where it belongs: a step or none while one run has the whole block. */
  #place(run: RunReader): void {
    const runs = this.#runs
    if (run.key === undefined) {
      runs.shift()
      return
    }
    let at = 0
    for (let next = runs[1]; next && isBefore(next, run); next = runs[at + 1]) {
      runs[at] = next
      at += 1
    }
    runs[at] = run
  }
}

const isBefore = (one: RunReader, other: RunReader): boolean => {
  const first = one.key ?? ''
  const second = other.key ?? ''
  return first === second ? one.ordinal < other.ordinal : first < second
}
