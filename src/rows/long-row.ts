import { Editor, type Edit } from './edits.ts'
import type { VendorAddresses } from './references.ts'
import { placesOf } from './byte-search.ts'

/** What follows the start of an address at least, until it is looked at; longer than any base. */
const AHEAD_BYTES = 4096
/** What is kept of what was passed on, to tell what an address is the value of. */
const BEHIND_BYTES = 256
/** The longest scheme, with its slashes escaped. */
const SCHEME_BYTES = 16
/** Looked at at a time. */
const SLICE_BYTES = 64 * 1024

/** Some of a row. */
interface Passed {
  /** Good until the next is asked for. */
  readonly bytes: Uint8Array
  /** It is not what came. */
  readonly isChanged: boolean
}

/** A row that is too long to be held: it passes as it comes, and of all work only references that are written plainly are rewritten. */
export class LongRow {
  readonly #addresses: VendorAddresses
  readonly #editor = new Editor()
  /** One for the whole row: garbage of this kind is collected too late to keep memory flat. */
  readonly #buffer = new Uint8Array(SLICE_BYTES + AHEAD_BYTES + BEHIND_BYTES)
  /** Of the buffer: what was passed on but may be needed, then what was not. */
  #keptFrom = 0
  #sent = 0
  #end = 0

  constructor(addresses: VendorAddresses) {
    this.#addresses = addresses
  }

  /** What may be passed on once a part has come. @param part Not empty. */
  *push(part: Uint8Array, isLast: boolean): Generator<Passed> {
    for (let at = 0; at < part.length; at += SLICE_BYTES)
      yield this.#pass(part.subarray(at, at + SLICE_BYTES), isLast && at + SLICE_BYTES >= part.length)
  }

  #pass(slice: Uint8Array, isLast: boolean): Passed {
    this.#buffer.copyWithin(0, this.#keptFrom, this.#end)
    const sent = this.#sent - this.#keptFrom
    const kept = this.#end - this.#keptFrom
    this.#buffer.set(slice, kept)
    const bytes = this.#buffer.subarray(0, kept + slice.length)
    const limit = isLast ? bytes.length : Math.max(sent, bytes.length - AHEAD_BYTES)
    const edits: Edit[] = this.#addresses
      .edits(bytes, placesOf(bytes), limit + (isLast ? 0 : SCHEME_BYTES))
      .filter(({ start }) => start >= sent)
    const until = Math.max(limit, edits.at(-1)?.end ?? 0)
    this.#keptFrom = Math.max(0, until - BEHIND_BYTES)
    this.#sent = until
    this.#end = bytes.length
    const shifted = edits.map((edit) => ({ ...edit, start: edit.start - sent, end: edit.end - sent }))
    return { bytes: this.#editor.apply(bytes.subarray(sent, until), shifted), isChanged: edits.length > 0 }
  }
}
