import { CutOff, MalformedFile } from './file-errors.ts'
import type { Reading } from './reading.ts'

/**
 * Reads a body in blocks, the last one shorter; joining smaller chunks by hand is many times slower. A block is good until the next is
 * asked for: all of them lie in one buffer, since garbage of this kind is collected too late to keep memory flat. Where the reading allows
 * it a fast source is read in ever larger blocks, for the same reason; a slow one in small ones, so that what came is passed on.
 *
 * @param firstBytes Length of the first block.
 */
export async function* blocksOf(
  body: ReadableStream<Uint8Array>,
  firstBytes: number,
  reading: Reading,
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader({ mode: 'byob' })
  let askedMs: number | undefined
  let hasStalled = false
  // One timer for a body: one for each block would cost more than the block.
  const timer = setInterval(() => {
    if (askedMs === undefined || Date.now() - askedMs < reading.stalledMs) return
    hasStalled = true
    void reader.cancel().catch(() => undefined)
  }, reading.stalledMs / STALL_LOOKS)
  let size = firstBytes
  try {
    for (let buffer = new Uint8Array(size); ;) {
      askedMs = Date.now()
      const { value, done } = await reader.readAtLeast(size, buffer)
      const tookMs = Date.now() - askedMs
      askedMs = undefined
      // A body that was cancelled for its slowness ends like one that is complete.
      if (hasStalled) throw new CutOff('the source stalled')
      if (value && value.byteLength > 0) {
        reading.rawBytes += value.byteLength
        if (reading.rawBytes > reading.maxBytes) throw new MalformedFile('expands too much')
        // Asked for each block, since of a file of blanks nothing ever comes to rest.
        reading.mayGoOn()
        yield value
      }
      if (done || !value || value.byteLength < size) return
      if (tookMs > SLOW_BLOCK_MS) size = Math.max(firstBytes, size / 2)
      // Where a block of twice the size would begin anyway: one that lies across the end of a part takes both with it when it does not come.
      else if (reading.rawBytes % (2 * size) === 0) size = Math.max(size, Math.min(2 * size, reading.maxBlockBytes))
      buffer = size > value.buffer.byteLength ? new Uint8Array(size) : new Uint8Array(value.buffer, 0, size)
    }
  } finally {
    clearInterval(timer)
    await reader.cancel().catch(() => undefined)
  }
}

/** A block that takes longer is large enough. */
const SLOW_BLOCK_MS = 250
/** How often within the longest wait a body is looked after. */
const STALL_LOOKS = 4
