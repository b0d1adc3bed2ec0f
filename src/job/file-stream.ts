import { resourceTypeOfFirstLine, sniff } from '../fhir/ndjson-sniff.ts'
import { MalformedRow } from '../rows/row-program.ts'
import { mostExpandedBytes } from '../vendor/capped-body.ts'
import { contentTypeIn, looksWrapped, unwrapped } from './binary-unwrap.ts'
import { blocksOf } from './blocks.ts'
import { CutOff, MalformedFile } from './file-errors.ts'
import { gunzipped } from './gunzip.ts'
import { newReading, type Reading, type ReadingOptions } from './reading.ts'

/** @throws MalformedFile when there is none. */
export const bodyOf = (response: Response): ReadableStream<Uint8Array> => {
  if (!response.body) throw new MalformedFile('has no body')
  return response.body
}

/** Enough of a file to tell what it is. */
const HEAD_BYTES = 4096

/**
 * The rows of a file as the client is to have them, in blocks. Gzip without a header saying so is decoded, and so is a file in a Binary; a
 * login page, a Bundle or a file of another type is refused before any byte of it is passed on [N-09], [N-27]. Clean lines then pass the
 * reading's program.
 *
 * @throws MalformedFile, CutOff, or what the network threw.
 */
export async function* cleanBlocks(body: ReadableStream<Uint8Array>, size: number, reading: Reading): AsyncGenerator<Uint8Array> {
  const blocks = blocksOf(body, size, reading)
  const clean = cleaned(reading.goesOn ? blocks : decoded(blocks, reading), reading)
  try {
    yield* reading.program ? reading.program.run(clean) : clean
  } catch (error) {
    throw error instanceof MalformedRow ? new MalformedFile('has a row that is no resource') : error
  } finally {
    // One that is refused by its first block has not been asked for a second, and would hold its connection.
    await blocks.return(undefined)
  }
}

/** Gzip in a Binary in gzip is the most that anybody means. */
const MAX_WRAPPERS = 3

/** What is in gzip, or in a Binary, or in one in the other. */
async function* decoded(chunks: AsyncGenerator<Uint8Array>, reading: Reading, wrappers = 0): AsyncGenerator<Uint8Array> {
  const { value: first, done } = await chunks.next()
  if (done) return
  const head = first.subarray(0, HEAD_BYTES)
  const kind = sniff(head)
  const isWrapped = reading.type !== undefined && reading.type !== 'Binary' && (kind === 'binary-resource' || looksWrapped(head))
  if ((kind !== 'gzip' && !isWrapped) || wrappers === MAX_WRAPPERS) {
    yield* prepended(first, chunks)
    return
  }
  reading.recoded = true
  if (isWrapped) {
    yield* decoded(unwrapped(prepended(first, chunks)), reading, wrappers + 1)
    return
  }
  yield* decoded(withinExpansion(gunzipped(prepended(first, chunks)), reading), reading, wrappers + 1)
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
  try {
    yield first
    yield* rest
  } finally {
    await rest.return(undefined)
  }
}

async function* cleaned(chunks: AsyncGenerator<Uint8Array>, reading: Reading): AsyncGenerator<Uint8Array> {
  const { scanner, goesOn } = reading
  let first = !goesOn
  for await (const chunk of chunks) {
    if (first) refuse(chunk.subarray(0, HEAD_BYTES), reading)
    first = false
    const clean = scanner.push(chunk)
    if (clean.byteLength > 0) yield clean
  }
  // A resource ends with a brace: one that does not was cut, however soundly the transfer ended.
  if (scanner.isTorn) throw new CutOff('ends within a line')
  const tail = scanner.end()
  if (tail) yield tail
}

const refuse = (firstChunk: Uint8Array, { type, isMixed }: Reading): void => {
  const kind = sniff(firstChunk)
  if (kind === 'empty' || kind === 'ndjson') {
    const found = resourceTypeOfFirstLine(firstChunk)
    if (type !== undefined && found !== undefined && found !== type && !isMixed)
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
 * A file passed through, as `cleanBlocks` makes it. It fails in mid-stream when the source does, so that a cut file never looks whole.
 *
 * @param onBlock Called for each block before it is passed on; what it throws breaks the stream off.
 * @returns `undefined` when it is not the NDJSON that it should be.
 * @throws What the network threw before the first byte.
 */
export const cleanStream = async (
  body: ReadableStream<Uint8Array>,
  type: string,
  options: ReadingOptions = {},
  onBlock: () => void = () => undefined,
): Promise<ReadableStream<Uint8Array> | undefined> => {
  const blocks = cleanBlocks(body, STREAM_BLOCK_BYTES, newReading(type, { maxBlockBytes: MAX_STREAM_BLOCK_BYTES, ...options }))
  try {
    return await streamed(blocks, onBlock)
  } catch (error) {
    if (error instanceof MalformedFile) return undefined
    throw error
  }
}

/**
 * An attachment passed through; where the server gave the Binary that it is, its data.
 *
 * @param mayBeWrapped Its content type is FHIR's. @returns Whether it was; `contentType` as the Binary tells it.
 * @throws MalformedFile, or what broke it off before its first block.
 */
export const attachmentStream = async (
  body: ReadableStream<Uint8Array>,
  mayBeWrapped: boolean,
  options: ReadingOptions,
): Promise<{
  readonly body: ReadableStream<Uint8Array>
  readonly isWrapped: boolean
  readonly contentType?: string | undefined
}> => {
  const reading = newReading(undefined, { maxBlockBytes: MAX_STREAM_BLOCK_BYTES, ...options })
  const blocks = blocksOf(body, STREAM_BLOCK_BYTES, reading)
  const { value: first } = await blocks.next()
  if (!first) return { body: await streamed(blocks), isWrapped: false }
  const head = first.subarray(0, HEAD_BYTES)
  const chunks = prepended(first, blocks)
  if (!mayBeWrapped || (sniff(head) !== 'binary-resource' && !looksWrapped(head)))
    return { body: await streamed(chunks), isWrapped: false }
  // Told before the block is read on.
  const contentType = contentTypeIn(head)
  return { body: await streamed(unwrapped(chunks)), isWrapped: true, contentType }
}

const streamed = async (
  blocks: AsyncGenerator<Uint8Array>,
  onBlock: () => void = () => undefined,
): Promise<ReadableStream<Uint8Array>> => {
  const first = await blocks.next()
  try {
    onBlock()
  } catch (error) {
    await blocks.return(undefined)
    throw error
  }
  const through = new IdentityTransformStream()
  void pump(through.writable.getWriter(), first, blocks, onBlock)
  return through.readable
}

/** Writes blocks one after the other, each good until the next is asked for. What breaks the source breaks the reader, and the reverse. */
const pump = async (
  writer: WritableStreamDefaultWriter<Uint8Array>,
  first: IteratorResult<Uint8Array, void>,
  blocks: AsyncGenerator<Uint8Array>,
  onBlock: () => void,
): Promise<void> => {
  try {
    for (let next = first; !next.done; next = await blocks.next()) {
      onBlock()
      await writer.write(next.value)
    }
    onBlock()
    await writer.close()
  } catch (error) {
    await Promise.allSettled([blocks.return(undefined), writer.abort(error)])
  }
}
