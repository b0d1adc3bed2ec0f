import { createHash } from 'node:crypto'

const NEWLINE = 10
const CARRIAGE_RETURN = 13

export type Chunks = AsyncIterable<Uint8Array>

const trimmed = (line: Buffer): Buffer => (line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line)

/** The lines of a stream without their ends; a last line needs no newline, and empty lines are left out. Holds one line at most. */
export async function* lines(chunks: Chunks): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0)
  for await (const chunk of chunks) {
    const bytes = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
    let start = 0
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      const line = trimmed(bytes.subarray(start, end))
      if (line.length > 0) yield line
      start = end + 1
    }
    rest = bytes.subarray(start)
  }
  const last = trimmed(rest)
  if (last.length > 0) yield last
}

export interface Digest {
  readonly resources: number
  readonly bytes: number
  /** Lower-case hexadecimal. */
  readonly sha256: string
}

/**
 * Count and sha256 over what stands in some NDJSON streams, in their order: each resource line followed by exactly one `\n`, so that a
 * missing final newline, CRLF or an empty line makes no difference.
 */
export const digestLines = async (streams: Iterable<Chunks> | AsyncIterable<Chunks>): Promise<Digest> => {
  const hash = createHash('sha256')
  let resources = 0
  let bytes = 0
  for await (const stream of streams) {
    for await (const line of lines(stream)) {
      hash.update(line).update('\n')
      resources += 1
      bytes += line.length + 1
    }
  }
  return { resources, bytes, sha256: hash.digest('hex') }
}

/** A web stream of what an async iterable yields; `cancel` ends the iteration. */
export const toStream = (chunks: Chunks): ReadableStream<Uint8Array> => {
  const iterator = chunks[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const next = await iterator.next()
      if (next.done === true) controller.close()
      else controller.enqueue(next.value)
    },
    cancel: async () => {
      await iterator.return?.()
    },
  })
}
