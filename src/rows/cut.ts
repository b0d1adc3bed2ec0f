import { MAX_ROW_BYTES } from './row.ts'

/** Bytes of some rows, or of a part of one that is too long to be held. */
export interface Piece {
  readonly bytes: Uint8Array
  /** The first, a further, or the last part of one row. Absent: these are whole rows. */
  readonly part?: 'first' | 'further' | 'last'
}

const LF = 10

/** Joins what lies across blocks. What is held serves again and again, save what only a long row needed. */
class Held {
  length = 0
  #buffer = new Uint8Array(0)

  add(bytes: Uint8Array): void {
    const length = this.length + bytes.length
    if (length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(length, Math.min(2 * this.#buffer.length, MAX_ROW_BYTES)))
      larger.set(this.#buffer.subarray(0, this.length))
      this.#buffer = larger
    }
    this.#buffer.set(bytes, this.length)
    this.length = length
  }

  take(): Uint8Array {
    const bytes = this.#buffer.subarray(0, this.length)
    this.length = 0
    if (bytes.length > KEPT_BYTES) this.#buffer = new Uint8Array(0)
    return bytes
  }
}

const KEPT_BYTES = 1024 * 1024

/**
 * Cuts blocks where rows end. Nothing is copied but the one row that lies across two of them.
 *
 * @returns Pieces that are not empty, each good until the next is asked for.
 */
export async function* cutAtRows(blocks: AsyncGenerator<Uint8Array>): AsyncGenerator<Piece> {
  const held = new Held()
  let isLong = false
  for await (const block of blocks) {
    let from = 0
    if (held.length > 0 || isLong) {
      const newline = block.indexOf(LF)
      from = newline === -1 ? block.length : newline + 1
      const head = block.subarray(0, from)
      if (isLong) {
        if (from > 0) yield { bytes: head, part: newline === -1 ? 'further' : 'last' }
        isLong = newline === -1
      } else if (held.length + from > MAX_ROW_BYTES) {
        yield { bytes: held.take(), part: 'first' }
        yield { bytes: head, part: newline === -1 ? 'further' : 'last' }
        isLong = newline === -1
      } else {
        held.add(head)
        if (newline !== -1) yield { bytes: held.take() }
      }
    }
    const end = block.lastIndexOf(LF) + 1
    if (end > from) yield { bytes: from === 0 && end === block.length ? block : block.subarray(from, end) }
    if (Math.max(from, end) < block.length) held.add(block.subarray(Math.max(from, end)))
  }
  if (held.length > 0) yield { bytes: held.take() }
}
