/**
 * Joins chunks of any size into parts of exactly `size` bytes, the last one shorter: what a multipart upload needs. A part is good
 * until the one after the next is asked for; a file smaller than a part takes no more memory than it is long.
 */
export async function* equalParts(chunks: AsyncGenerator<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let part = new Uint8Array(0)
  let spare = new Uint8Array(0)
  let filled = 0
  for await (const chunk of chunks) {
    for (let from = 0; from < chunk.byteLength;) {
      const taken = chunk.subarray(from, from + size - filled)
      part = withRoom(part, filled, filled + taken.byteLength, size)
      part.set(taken, filled)
      filled += taken.byteLength
      from += taken.byteLength
      if (filled === size) {
        yield part
        const next = spare
        spare = part
        part = next
        filled = 0
      }
    }
  }
  if (filled > 0) yield part.subarray(0, filled)
}

/** A buffer that holds what is in this one and has room for more; doubled, so that little is copied. */
const withRoom = (buffer: Uint8Array<ArrayBuffer>, filled: number, needed: number, most: number): Uint8Array<ArrayBuffer> => {
  if (buffer.byteLength >= needed) return buffer
  const larger = new Uint8Array(Math.min(most, Math.max(needed, 2 * buffer.byteLength)))
  larger.set(buffer.subarray(0, filled))
  return larger
}
