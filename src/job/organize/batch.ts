/** Gathers small pieces in one buffer, so that what comes after is called once for many. */
export class Batch {
  readonly #buffer: Uint8Array
  #end = 0

  constructor(size: number) {
    this.#buffer = new Uint8Array(size)
  }

  /** Takes the pieces if there is room for all of them. */
  takes(...pieces: readonly Uint8Array[]): boolean {
    let end = this.#end
    for (const { byteLength } of pieces) end += byteLength
    if (end > this.#buffer.byteLength) return false
    for (const piece of pieces) this.#append(piece)
    return true
  }

  /** Takes a piece of any length. @returns The buffer each time that it is full, good until the next is asked for. */
  *split(piece: Uint8Array): Generator<Uint8Array> {
    for (let rest = piece; rest.byteLength > 0;) {
      const fitting = rest.subarray(0, this.#buffer.byteLength - this.#end)
      this.#append(fitting)
      rest = rest.subarray(fitting.byteLength)
      if (this.#end === this.#buffer.byteLength) yield this.flush()
    }
  }

  /** What has been gathered; the next piece overwrites it. */
  flush(): Uint8Array {
    const gathered = this.#buffer.subarray(0, this.#end)
    this.#end = 0
    return gathered
  }

  #append(piece: Uint8Array): void {
    this.#buffer.set(piece, this.#end)
    this.#end += piece.byteLength
  }
}
