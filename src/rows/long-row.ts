import { Editor, type Edit } from './edits.ts'
import type { VendorAddresses } from './references.ts'
import { placesOf } from './row.ts'

/** What follows the start of an address at least, until it is looked at; longer than any base. */
const AHEAD_BYTES = 4096
/** What is kept of what was passed on, to tell what an address is the value of. */
const BEHIND_BYTES = 256
/** The longest scheme, with its slashes escaped. */
const SCHEME_BYTES = 16

/** A row that is too long to be held: it passes as it comes, and of all work only references that are written plainly are rewritten. */
export class LongRow {
  readonly #addresses: VendorAddresses
  readonly #editor = new Editor()
  /** What was passed on but may be needed, then what was not. */
  #kept: Uint8Array = new Uint8Array(0)
  #sent = 0

  constructor(addresses: VendorAddresses) {
    this.#addresses = addresses
  }

  /** @returns What may be passed on, good until the next call; and whether it is not what came. */
  push(part: Uint8Array, isLast: boolean): { readonly bytes: Uint8Array; readonly isChanged: boolean } {
    const bytes = new Uint8Array(this.#kept.length + part.length)
    bytes.set(this.#kept)
    bytes.set(part, this.#kept.length)
    const limit = isLast ? bytes.length : Math.max(this.#sent, bytes.length - AHEAD_BYTES)
    const edits: Edit[] = this.#addresses
      .edits(bytes, placesOf(bytes), limit + (isLast ? 0 : SCHEME_BYTES))
      .filter(({ start }) => start >= this.#sent)
    const until = Math.max(limit, edits.at(-1)?.end ?? 0)
    const sent = this.#sent
    const keptFrom = Math.max(0, until - BEHIND_BYTES)
    this.#kept = bytes.slice(keptFrom)
    this.#sent = until - keptFrom
    const shifted = edits.map((edit) => ({ ...edit, start: edit.start - sent, end: edit.end - sent }))
    return { bytes: this.#editor.apply(bytes.subarray(sent, until), shifted), isChanged: edits.length > 0 }
  }
}
