/** A stretch of bytes that goes, and what comes in its place. */
export interface Edit {
  readonly start: number
  readonly end: number
  readonly by?: Uint8Array
}

/** Makes the edited copy of bytes, in one buffer that serves again and again: garbage of this kind is collected too late to keep memory flat. */
export class Editor {
  #buffer = new Uint8Array(0)

  /**
   * @param edits In their order, none in another.
   * @returns The bytes themselves when there are none; a copy is good until the next is made.
   */
  apply(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
    if (edits.length === 0) return bytes
    let added = 0
    for (const { by } of edits) added += by?.length ?? 0
    if (this.#buffer.length < bytes.length + added) this.#buffer = new Uint8Array(bytes.length + added)
    const buffer = this.#buffer
    let length = 0
    let from = 0
    for (const { start, end, by } of edits) {
      if (start > from) {
        buffer.set(bytes.subarray(from, start), length)
        length += start - from
      }
      if (by) {
        buffer.set(by, length)
        length += by.length
      }
      from = end
    }
    buffer.set(bytes.subarray(from), length)
    return buffer.subarray(0, length + bytes.length - from)
  }
}

/** Joins two lists of edits; what lies within a stretch that goes is left out of it. */
export const mergedEdits = (outer: readonly Edit[], inner: readonly Edit[]): readonly Edit[] => {
  if (inner.length === 0) return outer
  if (outer.length === 0) return inner
  const merged: Edit[] = []
  let next = 0
  for (const edit of outer) {
    for (let candidate = inner[next]; candidate && candidate.start < edit.end; candidate = inner[(next += 1)])
      if (candidate.end <= edit.start) merged.push(candidate)
    merged.push(edit)
  }
  return merged.concat(inner.slice(next))
}
