/** R2 wants parts of at least this, save the last. */
export const MIN_PART_BYTES = 5 * 1024 * 1024
/** Parts of one object. A file of unknown length is cut into the smallest parts, and cannot be longer than so many of them. */
export const MAX_PARTS = 10_000
/** A file of known length up to here is one put; a longer one would be lost whole with a connection that breaks near its end. */
export const MAX_SINGLE_PUT_BYTES = 64 * 1024 * 1024
/** What is read of a body at a time, and what that grows to where the source is fast: each block costs something, however long it is. */
export const PUT_BLOCK_BYTES = 256 * 1024
export const MAX_PUT_BLOCK_BYTES = 1024 * 1024

/** Size of the equal parts of a file. @param length Bytes; `undefined` when unknown. */
export const partBytesFor = (length: number | undefined): number => Math.max(MIN_PART_BYTES, Math.ceil((length ?? 0) / MAX_PARTS))

/** What to read at a time of a file of this length: the whole of a small one, and its end with it. */
export const blockBytesFor = (length: number | undefined): number => Math.min(PUT_BLOCK_BYTES, (length ?? PUT_BLOCK_BYTES) + 1)
