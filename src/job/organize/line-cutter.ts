const LF = 10

/** One row without its newline; `undefined` when it is longer than may be held. Good until the next is asked for. */
export interface Line {
  readonly bytes: Uint8Array | undefined
  /** With its newline. */
  readonly length: number
}

/** Cuts blocks into rows, wherever the blocks were cut. */
export class LineCutter {
  readonly #maxBytes: number
  /** What there is of a row that no block has ended yet; copied, since a block is overwritten by the next. */
  #held: Uint8Array[] = []
  #heldBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  *push(block: Uint8Array): Generator<Line> {
    let start = 0
    for (let newline = block.indexOf(LF); newline !== -1; newline = block.indexOf(LF, start)) {
      yield this.#ended(block.subarray(start, newline), 1)
      start = newline + 1
    }
    if (start < block.byteLength) this.#hold(block.slice(start))
  }

  /** The last row, should it lack its newline. */
  *end(): Generator<Line> {
    if (this.#heldBytes > 0) yield this.#ended(new Uint8Array(0), 0)
  }

  #hold(piece: Uint8Array): void {
    this.#heldBytes += piece.byteLength
    if (this.#heldBytes > this.#maxBytes) this.#held = []
    else this.#held.push(piece)
  }

  #ended(last: Uint8Array, newline: number): Line {
    const size = this.#heldBytes + last.byteLength
    let bytes: Uint8Array | undefined = last
    if (size > this.#maxBytes) bytes = undefined
    else if (this.#heldBytes > 0) {
      bytes = new Uint8Array(size)
      let at = 0
      for (const piece of [...this.#held, last]) {
        bytes.set(piece, at)
        at += piece.byteLength
      }
    }
    this.#held = []
    this.#heldBytes = 0
    return { bytes, length: size + newline }
  }
}
