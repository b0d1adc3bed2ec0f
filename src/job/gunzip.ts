/** Compressed bytes that are handed over at a time: deflate makes of them a thousand times as many at the very most. */
const SLICE_BYTES = 32 * 1024

/** What has been decompressed by now, or nothing. */
const NOTHING_YET = Symbol('nothing yet')
const turn = (): Promise<typeof NOTHING_YET> => new Promise((resolve) => setTimeout(() => resolve(NOTHING_YET), 0))

/**
 * Decompresses gzip a little at a time. A decompression stream takes whatever it is given at once and keeps what comes of it, so it is given
 * more only when nothing of it is left.
 *
 * @param chunks Each good until the next is asked for.
 * @throws TypeError for what is no gzip, or not all of it; or what `chunks` threw.
 */
export async function* gunzipped(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const stream = new DecompressionStream('gzip')
  const writer = stream.writable.getWriter()
  const reader = stream.readable.getReader()
  let pending = reader.read()
  // Looked at by whoever waits for it; until then it may fail unseen.
  pending.catch(() => undefined)
  try {
    for await (const chunk of chunks) {
      for (let from = 0; from < chunk.byteLength; from += SLICE_BYTES) {
        const written = writer.write(chunk.slice(from, from + SLICE_BYTES))
        written.catch(() => undefined)
        for (;;) {
          const next = await Promise.race([pending, turn()])
          if (next === NOTHING_YET || next.done) break
          yield next.value
          pending = reader.read()
          pending.catch(() => undefined)
        }
        await written
      }
    }
    const closed = writer.close()
    closed.catch(() => undefined)
    for (let next = await pending; !next.done; next = await reader.read()) yield next.value
    await closed
  } finally {
    await Promise.allSettled([writer.abort(), reader.cancel(), chunks.return(undefined)])
  }
}
