import { resourceTypeOfFirstLine, sniff } from '../fhir/ndjson.ts'
import { mostExpandedBytes } from '../vendor/capped-body.ts'
import { blocksOf } from './blocks.ts'
import { CutOff, MalformedFile } from './file-errors.ts'
import { newReading, type Reading, type ReadingOptions } from './reading.ts'

/** @throws MalformedFile when there is none. */
export const bodyOf = (response: Response): ReadableStream<Uint8Array> => {
  if (!response.body) throw new MalformedFile('has no body')
  return response.body
}

/** Enough of a file to tell what it is. */
const HEAD_BYTES = 4096

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

/**
 * The lines of a file as the specification wants them, in blocks. Gzip without a header saying so is decoded; a login page, a Bundle
 * or a file of another type is refused before any byte of it is passed on [N-09], [N-27].
 *
 * @throws MalformedFile, or what the network threw.
 */
export async function* cleanBlocks(body: ReadableStream<Uint8Array>, size: number, reading: Reading): AsyncGenerator<Uint8Array> {
  const blocks = blocksOf(body, size, reading)
  try {
    const { value: first } = await blocks.next()
    if (!first) return
    if (!reading.goesOn && sniff(first.subarray(0, HEAD_BYTES)) === 'gzip') {
      reading.recoded = true
      const decoded = rejoined(first, blocks).pipeThrough(new DecompressionStream('gzip'))
      yield* cleaned(withinExpansion(chunksOf(decoded), reading), reading)
    } else {
      yield* cleaned(prepended(first, blocks), reading)
    }
  } finally {
    // One that is refused by its first block has not been asked for a second, and would hold its connection.
    await blocks.return(undefined)
  }
}

/** @throws MalformedFile for gzip that holds far more than any file of patients does. */
async function* withinExpansion(chunks: AsyncGenerator<Uint8Array>, reading: Reading): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.byteLength
    if (bytes > mostExpandedBytes(reading.rawBytes)) throw new MalformedFile('expands too much')
    yield chunk
  }
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
