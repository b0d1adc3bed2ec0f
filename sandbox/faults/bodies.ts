import { pipeline, Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { Chunks } from '../ndjson.ts'

type Body = ReadableStream<Uint8Array> | null

const GZIP_TRAILER_BYTES = 8
/** Where damage begins: behind the header of the format, within the compressed data of any file. */
const DAMAGE_FROM = 24
const DAMAGE_TO = 32

/** At most the first `bytes`, and never the last byte of all, so that something is missing whatever the length. Ends the source. */
export async function* firstBytes(body: Body, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes
  let held: Uint8Array | undefined
  for await (const chunk of body ?? []) {
    if (chunk.length === 0) continue
    if (held !== undefined) yield held
    held = chunk.subarray(0, left)
    left -= held.length
    if (held.length === chunk.length) continue
    if (held.length > 0) yield held
    return
  }
  if (held !== undefined && held.length > 1) yield held.subarray(0, -1)
}

/**
 * How long a body is, and its first bytes. A length that the headers do not tell is found by reading to the end; no more than the first
 * bytes are held.
 */
export const measured = async (response: Response, bytes: number): Promise<{ total: number; part: Chunks }> => {
  const told = response.headers.get('Content-Length')
  if (told !== null) return { total: Number(told), part: firstBytes(response.body, bytes) }
  const kept: Uint8Array[] = []
  let total = 0
  for await (const chunk of response.body ?? []) {
    if (total < bytes) kept.push(chunk.subarray(0, bytes - total))
    total += chunk.length
  }
  const part = Buffer.concat(kept).subarray(0, Math.max(0, total - 1))
  return {
    total,
    part: (async function* () {
      if (part.length > 0) yield part
    })(),
  }
}

/** What `body` is when compressed; as it is when it already was. */
export const compressed = (response: Response): Chunks => {
  const body = response.body ?? new ReadableStream<Uint8Array>()
  if (response.headers.get('Content-Encoding') === 'gzip') return body
  // Errors reach whoever reads the end of it.
  return pipeline(Readable.from(body), createGzip({ level: 1 }), () => undefined)
}

/** All but the trailer, by which a reader would know that it has everything. */
export async function* withoutTrailer(chunks: Chunks): AsyncGenerator<Uint8Array> {
  let held = Buffer.alloc(0)
  for await (const chunk of chunks) {
    held = Buffer.concat([held, chunk])
    if (held.length <= GZIP_TRAILER_BYTES) continue
    yield held.subarray(0, -GZIP_TRAILER_BYTES)
    held = held.subarray(-GZIP_TRAILER_BYTES)
  }
}

/** The same bytes with some of them inverted. */
export async function* corrupted(chunks: Chunks): AsyncGenerator<Uint8Array> {
  let at = 0
  for await (const chunk of chunks) {
    const copy = Uint8Array.from(chunk)
    for (let index = Math.max(0, DAMAGE_FROM - at); index < Math.min(copy.length, DAMAGE_TO - at); index += 1)
      copy[index] = (copy[index] ?? 0) ^ 0xff
    yield copy
    at += chunk.length
  }
}
