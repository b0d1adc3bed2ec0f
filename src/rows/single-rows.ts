import { cutAtRows } from './cut.ts'
import type { RowProgram } from './row-program.ts'
import { placesOf } from './byte-search.ts'

/**
 * Makes of one row what is to come out.
 *
 * @param bytes The row without its newline; `undefined` when it is too long to be held.
 * @returns `undefined` when it is left out. @throws MalformedRow
 */
export type Rewrite = (bytes: Uint8Array | undefined) => string | undefined

const ENCODER = new TextEncoder()

/** Rows that are all read and written anew, one by one: deletions and outcomes, of which there are few. */
export class SingleRows implements RowProgram {
  readLines = 0
  lines = 0
  isChanged = false
  readonly otherTypes: ReadonlySet<string>
  readonly #rewrite: Rewrite

  constructor(rewrite: Rewrite, otherTypes: ReadonlySet<string> = new Set()) {
    this.#rewrite = rewrite
    this.otherTypes = otherTypes
  }

  async *run(blocks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const { bytes, part } of cutAtRows(blocks)) {
      if (part !== undefined) {
        if (part !== 'first') continue
        const written = this.#one(undefined)
        if (written) yield ENCODER.encode(written)
        continue
      }
      const text = placesOf(bytes)
      let written = ''
      for (let start = 0; start < bytes.length;) {
        const newline = text.indexOf('\n', start)
        const end = newline === -1 ? bytes.length : newline
        written += this.#one(bytes.subarray(start, end))
        start = end + 1
        if (written.length < MOST_CHARS) continue
        yield ENCODER.encode(written)
        written = ''
      }
      if (written) yield ENCODER.encode(written)
    }
  }

  #one(bytes: Uint8Array | undefined): string {
    this.readLines += 1
    const written = this.#rewrite(bytes)
    if (written !== undefined) this.lines += 1
    this.isChanged ||= written === undefined || bytes === undefined || !isSame(ENCODER.encode(written), bytes)
    return written === undefined ? '' : `${written}\n`
  }
}

const MOST_CHARS = 256 * 1024

const isSame = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, place) => byte === other[place])
