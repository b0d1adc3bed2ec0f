import { NdjsonScanner, resourceTypeOfFirstLine, sniff } from '../fhir/ndjson.ts'
import { DEFAULT_LIMITS } from '../vendor/adapter.ts'

/** Why a body is not the NDJSON that it should be. */
export class MalformedFile extends Error {
  /** False for a page that a server shows in a bad hour: the file itself may be well. */
  readonly isLasting: boolean
  constructor(message: string, isLasting = true) {
    super(message)
    this.isLasting = isLasting
  }
}

/** A body that ended, or stopped coming, before its end: what came of it is good. */
export class CutOff extends Error {}

/** A block that takes longer than this will not come: even 5 MiB are then slower than 18 kB/s. */
export const STALLED_MS = DEFAULT_LIMITS.blockSeconds * 1000

/** @throws MalformedFile when there is none. */
export const bodyOf = (response: Response): ReadableStream<Uint8Array> => {
  if (!response.body) throw new MalformedFile('has no body')
  return response.body
}

/** Enough of a file to tell what it is. */
const HEAD_BYTES = 4096

/**
 * Reads a body in blocks, the last one shorter; joining smaller chunks by hand is many times slower. A block is good until the next is
 * asked for: all of them lie in one buffer, since garbage of this kind is collected too late to keep memory flat. Where the reading allows
 * it a fast source is read in ever larger blocks, for the same reason; a slow one in small ones, so that what came is passed on.
 *
 * @param firstBytes Length of the first block.
 */
async function* blocksOf(body: ReadableStream<Uint8Array>, firstBytes: number, reading: Reading): AsyncGenerator<Uint8Array> {
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
        yield value
      }
      if (done || !value || value.byteLength < size) return
      if (tookMs > SLOW_BLOCK_MS) size = Math.max(firstBytes, size / 2)
      else size = Math.max(size, Math.min(2 * size, reading.maxBlockBytes))
      buffer = size > value.buffer.byteLength ? new Uint8Array(size) : new Uint8Array(value.buffer as ArrayBuffer, 0, size)
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

/** A chunk that was already taken, then the rest. Copied, since a stream may hold on to what it was given. */
const rejoined = (first: Uint8Array, rest: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> =>
  new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(first.slice()),
    async pull(controller) {
      const { value, done } = await rest.next()
      if (done) controller.close()
      else controller.enqueue(value.slice())
    },
    async cancel() {
      await rest.return(undefined)
    },
  })

async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) yield chunk
}

/** One reading of a file. */
export interface Reading {
  /** What a file must hold. `undefined`: the first line tells. */
  readonly type: string | undefined
  /** Cleans and counts what passes. */
  readonly scanner: NdjsonScanner
  /** Set when the body was gzip without saying so: its announced length is not that of its lines. */
  recoded: boolean
  /** Bytes as they came. */
  rawBytes: number
  /** The body is the rest of a file whose start was looked at before. */
  readonly goesOn: boolean
  readonly stalledMs: number
  readonly maxBlockBytes: number
}

/** What rules one reading. */
export interface ReadingOptions {
  /** A block that takes longer will not come. Omitted: `STALLED_MS`. */
  readonly stalledMs?: number
  /** How large blocks may become; what is under way of one is lost when the source breaks off. Omitted: as large as the first. */
  readonly maxBlockBytes?: number
  /** The body goes on in the midst of a file: whether what came before ended a line. */
  readonly goesOn?: { readonly atLineStart: boolean }
}

export const newReading = (
  type: string | undefined,
  { stalledMs = STALLED_MS, maxBlockBytes = 0, goesOn }: ReadingOptions = {},
): Reading => ({
  type,
  scanner: new NdjsonScanner(goesOn),
  recoded: false,
  rawBytes: 0,
  goesOn: goesOn !== undefined,
  stalledMs,
  maxBlockBytes,
})

/** Whether what came out is not byte for byte what came in. */
export const isChanged = ({ scanner, recoded }: Reading): boolean => scanner.changed || recoded

/**
 * Compares what came with what was announced.
 *
 * @param offset Bytes that this reading left out. @throws CutOff, MalformedFile
 */
export const checkLength = ({ rawBytes }: Reading, offset: number, length: number | undefined): void => {
  if (length === undefined) return
  if (offset + rawBytes < length) throw new CutOff('shorter than announced')
  if (offset + rawBytes > length) throw new MalformedFile('is longer than announced')
}

/**
 * The lines of a file as the specification wants them, in blocks. Gzip without a header saying so is decoded; a login page, a Bundle
 * or a file of another type is refused before any byte of it is passed on [N-09], [N-27].
 *
 * @throws MalformedFile, or what the network threw.
 */
export async function* cleanBlocks(body: ReadableStream<Uint8Array>, size: number, reading: Reading): AsyncGenerator<Uint8Array> {
  const blocks = blocksOf(body, size, reading)
  const { value: first } = await blocks.next()
  if (!first) return
  if (reading.goesOn) {
    yield* cleaned(prepended(first, blocks), reading)
    return
  }
  const kind = sniff(first.subarray(0, HEAD_BYTES))
  if (kind === 'gzip') {
    reading.recoded = true
    const decoded = rejoined(first, blocks).pipeThrough(new DecompressionStream('gzip'))
    yield* cleaned(chunksOf(decoded), reading)
    return
  }
  yield* cleaned(prepended(first, blocks), reading)
}

async function* prepended(first: Uint8Array, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first
  yield* rest
}

async function* cleaned(chunks: AsyncGenerator<Uint8Array>, { scanner, type, goesOn }: Reading): AsyncGenerator<Uint8Array> {
  let first = !goesOn
  for await (const chunk of chunks) {
    if (first) refuse(chunk.subarray(0, HEAD_BYTES), type)
    first = false
    const clean = scanner.push(chunk)
    if (clean.byteLength > 0) yield clean
  }
  // A resource ends with a brace: one that does not was cut, however soundly the transfer ended.
  if (scanner.isTorn) throw new CutOff('ends within a line')
  const tail = scanner.end()
  if (tail) yield tail
}

const refuse = (firstChunk: Uint8Array, type: string | undefined): void => {
  const kind = sniff(firstChunk)
  if (kind === 'empty' || kind === 'ndjson') {
    const found = resourceTypeOfFirstLine(firstChunk)
    if (type !== undefined && found !== undefined && found !== type)
      throw new MalformedFile('holds another resource type than the manifest says')
    return
  }
  // Deletions are Bundles, one a line [MF-12].
  if (kind === 'bundle' && type === 'Bundle') return
  // A file of Binary resources looks just like one Binary that wraps a file; only the former can be delivered as it is.
  if (kind === 'binary-resource' && type === 'Binary') return
  if (kind === 'html') throw new MalformedFile('is a web page', false)
  throw new MalformedFile('is not NDJSON')
}

const STREAM_BLOCK_BYTES = 256 * 1024
const MAX_STREAM_BLOCK_BYTES = 2 * 1024 * 1024

/**
 * A file passed through, cleaned on its way. It fails in mid-stream when the source does, so that a cut file never looks whole.
 *
 * @returns `undefined` when it is not the NDJSON that it should be.
 * @throws What the network threw before the first byte.
 */
export const cleanStream = async (
  body: ReadableStream<Uint8Array>,
  type: string,
  options: ReadingOptions = {},
): Promise<ReadableStream<Uint8Array> | undefined> => {
  const blocks = cleanBlocks(body, STREAM_BLOCK_BYTES, newReading(type, { maxBlockBytes: MAX_STREAM_BLOCK_BYTES, ...options }))
  let next: IteratorResult<Uint8Array, void>
  try {
    next = await blocks.next()
  } catch (error) {
    if (error instanceof MalformedFile) return undefined
    throw error
  }
  const through = new IdentityTransformStream()
  void pump(through.writable.getWriter(), next, blocks)
  return through.readable
}

/** Writes blocks one after the other, each good until the next is asked for. What breaks the source breaks the reader, and the reverse. */
const pump = async (
  writer: WritableStreamDefaultWriter<Uint8Array>,
  first: IteratorResult<Uint8Array, void>,
  blocks: AsyncGenerator<Uint8Array>,
): Promise<void> => {
  try {
    for (let next = first; !next.done; next = await blocks.next()) await writer.write(next.value)
    await writer.close()
  } catch (error) {
    await Promise.allSettled([blocks.return(undefined), writer.abort(error)])
  }
}
