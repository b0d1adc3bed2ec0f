import { Batch } from './batch.ts'
import { recordHead } from './keys.ts'
import type { Sizes } from './sizes.ts'

const NEWLINE = Uint8Array.of(10)

/** Rows in memory, to be written in the order of their keys. A row with several keys lies there once. */
export class RunBuffer {
  readonly #sizes: Sizes
  readonly #bytes: Uint8Array
  #end = 0
  #recordBytes = 0
  readonly #keys: string[] = []
  readonly #starts: number[] = []
  readonly #ends: number[] = []

  constructor(sizes: Sizes) {
    this.#sizes = sizes
    this.#bytes = new Uint8Array(sizes.runBytes)
  }

  get isEmpty(): boolean {
    return this.#keys.length === 0
  }

  clear(): void {
    this.#end = 0
    this.#recordBytes = 0
    this.#keys.length = 0
    this.#starts.length = 0
    this.#ends.length = 0
  }

  /** Whether there was room. The first row always has it. */
  add(row: Uint8Array, keys: readonly string[]): boolean {
    const { runBytes, runRecords } = this.#sizes
    const start = this.#end
    const end = start + row.byteLength
    const isFull = end > this.#bytes.byteLength || this.#recordBytes >= runBytes || this.#keys.length >= runRecords
    if (isFull) return false
    this.#bytes.set(row, start)
    this.#end = end
    for (const key of keys) {
      this.#keys.push(key)
      this.#starts.push(start)
      this.#ends.push(end)
      this.#recordBytes += key.length + row.byteLength + 2
    }
    return true
  }

  /** The records; those of one key as they came. */
  async *sorted(): AsyncGenerator<Uint8Array> {
    const keys = this.#keys
    const order = Uint32Array.from(keys, (_, index) => index).toSorted((one, other) => {
      const first = keys[one] ?? ''
      const second = keys[other] ?? ''
      return first < second ? -1 : first > second ? 1 : one - other
    })
    const batch = new Batch(this.#sizes.batchBytes)
    for (const index of order) {
      const head = recordHead(keys[index] ?? '')
      const row = this.#bytes.subarray(this.#starts[index], this.#ends[index])
      if (!batch.takes(head, row, NEWLINE)) for (const piece of [head, row, NEWLINE]) yield* batch.split(piece)
    }
    yield batch.flush()
  }
}
