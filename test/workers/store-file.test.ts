import { describe, expect, it } from 'vitest'
import { CutOff, MalformedFile } from '../../src/job/file-errors.ts'
import { MIN_PART_BYTES } from '../../src/job/part-size.ts'
import { FileStore } from '../../src/job/store-file.ts'
import { bindings, ndjson, sha256Of, storeFile } from './support.ts'

const BUCKET = bindings.FILES
const BLOCK_BYTES = 256 * 1024
const utf8 = new TextEncoder()
let keys = 0
const freshKey = () => `files/${(keys += 1)}`

/** Clean NDJSON of exactly so many bytes. */
const ndjsonOf = (size: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(size).fill(120)
  const line = bytesOf('{"resourceType":"Patient","id":"1","text":"')
  const lineBytes = 1024
  for (let at = 0; at < size; at += lineBytes) {
    const isLast = at + 2 * lineBytes > size
    const end = isLast ? size : at + lineBytes
    bytes.set(line, at)
    bytes.set(utf8.encode('"}\n'), end - 3)
    if (isLast) break
  }
  return bytes
}
const bytesOf = (text: string): Uint8Array<ArrayBuffer> => joined(text)
const linesOf = (bytes: Uint8Array): number => {
  let lines = 0
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) lines += 1
  return lines
}
const joined = (...parts: (Uint8Array | string)[]): Uint8Array<ArrayBuffer> => {
  const chunks = parts.map((part) => (typeof part === 'string' ? utf8.encode(part) : part))
  const whole = new Uint8Array(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.byteLength
  }
  return whole
}
const gzipped = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await new Response(new Response(bytes).body?.pipeThrough(new CompressionStream('gzip'))).arrayBuffer())

/** A body as a server would send it: with its length announced, or in chunks. */
const answer = (bytes: Uint8Array<ArrayBuffer>, announced: number | undefined): Response =>
  new Response(bytes, { headers: announced === undefined ? {} : { 'Content-Length': `${announced}` } })

interface Stored {
  readonly opened: number
  readonly file: Awaited<ReturnType<FileStore['store']>>
  readonly object: R2ObjectBody | null
  readonly bytes: Uint8Array<ArrayBuffer>
}
const store = async (open: () => Response, type: string | null = 'Patient', files = new FileStore(BUCKET)): Promise<Stored> => {
  const key = freshKey()
  let opened = 0
  const file = await storeFile(
    key,
    async () => {
      opened += 1
      return open()
    },
    type ?? undefined,
    { files },
  )
  const object = await BUCKET.get(key)
  return { opened, file, object, bytes: new Uint8Array(object ? await object.arrayBuffer() : new ArrayBuffer(0)) }
}

/** What is told of a file, and what is true of the object that rests with us. */
const seen = async ({ file, object, bytes }: Stored) => ({
  file,
  object: { bytes: bytes.byteLength, sha256: await sha256Of(bytes), contentType: object?.httpMetadata?.contentType },
})
const wanted = async (expected: Uint8Array<ArrayBuffer>) => {
  const bytes = expected.byteLength
  const sha256 = await sha256Of(expected)
  return {
    file: { bytes, lines: linesOf(expected), readLines: linesOf(expected), otherTypes: [], sha256, type: 'Patient' },
    object: { bytes, sha256, contentType: 'application/fhir+ndjson' },
  }
}

const MOST_BYTES = 2 * MIN_PART_BYTES + 3

describe('a clean file is stored byte for byte', () => {
  it.each([100, MIN_PART_BYTES - 1, MIN_PART_BYTES, MIN_PART_BYTES + 1, MIN_PART_BYTES + BLOCK_BYTES, MOST_BYTES])(
    '%d bytes of known length, read once',
    async (size) => {
      const bytes = ndjsonOf(size)
      const stored = await store(() => answer(bytes, size))
      expect(await seen(stored)).toEqual(await wanted(bytes))
      expect(stored.opened).toBe(1)
    },
  )

  it.each([100, MIN_PART_BYTES - 1, MIN_PART_BYTES, MIN_PART_BYTES + 1, MOST_BYTES])(
    '%d bytes of unknown length, read once, in equal parts',
    async (size) => {
      const bytes = ndjsonOf(size)
      const stored = await store(() => answer(bytes, undefined))
      expect(await seen(stored)).toEqual(await wanted(bytes))
      expect(stored.opened).toBe(1)
      // R2 marks what came in parts by their number.
      const parts = /-(\d+)$/.exec(stored.object?.etag ?? '')?.[1]
      expect(parts).toBe(size < MIN_PART_BYTES ? undefined : `${Math.ceil(size / MIN_PART_BYTES)}`)
    },
  )

  it('in chunks of any size', async () => {
    const bytes = ndjsonOf(MIN_PART_BYTES + 77)
    const chunked = (): Response => {
      let at = 0
      let size = 1
      return new Response(
        new ReadableStream({
          type: 'bytes',
          pull(controller) {
            controller.enqueue(bytes.slice(at, at + size))
            at += size
            size = (size * 7) % 65_521
            if (at >= bytes.byteLength) controller.close()
          },
        }),
      )
    }
    expect(await seen(await store(chunked))).toEqual(await wanted(bytes))
  })
})

describe('a file that needs it is cleaned [FI-05, N-27]', () => {
  const big = ndjsonOf(MIN_PART_BYTES + 10)
  const small = ndjsonOf(3_000)
  const bom = Uint8Array.of(0xef, 0xbb, 0xbf)
  const blankLineInside = (bytes: Uint8Array) => joined(bytes.subarray(0, 1024), '\n \r\n', bytes.subarray(1024))
  const withCarriageReturns = (bytes: Uint8Array) => joined(bytes.subarray(0, 1023), '\r\n', bytes.subarray(1024, -1), '\r\n')

  it.each<[string, Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>]>([
    ['no final newline', small.slice(0, -1), small],
    ['no final newline, large', big.slice(0, -1), big],
    ['CRLF', withCarriageReturns(small), small],
    ['CRLF, large', withCarriageReturns(big), big],
    ['a byte order mark', joined(bom, small), small],
    ['a byte order mark, large', joined(bom, big), big],
    ['blank lines', joined('\n', blankLineInside(small), '\n\n'), small],
    ['blank lines, large', joined('\n', blankLineInside(big), '\n\n'), big],
    ['a blank line at the end, large', joined(big, '\n'), big],
  ])('%s: known and unknown length give the same object', async (_, dirty, clean) => {
    expect(await seen(await store(() => answer(dirty, undefined)))).toEqual(await wanted(clean))
    const stored = await store(() => answer(dirty, dirty.byteLength))
    expect(await seen(stored)).toEqual(await wanted(clean))
    // Only a put of known length must be begun again.
    expect(stored.opened).toBe(dirty.byteLength > MIN_PART_BYTES ? 2 : 1)
  })

  it('is learnt from the first file that was: the next is read once', async () => {
    const files = new FileStore(BUCKET)
    const dirty = big.slice(0, -1)
    expect((await store(() => answer(dirty, dirty.byteLength), 'Patient', files)).opened).toBe(2)
    const next = await store(() => answer(dirty, dirty.byteLength), 'Patient', files)
    expect(next.opened).toBe(1)
    expect(await seen(next)).toEqual(await wanted(big))
  })

  it.each([3_000, MIN_PART_BYTES + 10])('gzip that no header tells of, %d bytes inside', async (size) => {
    const bytes = ndjsonOf(size)
    const packed = await gzipped(bytes)
    expect(await seen(await store(() => answer(packed, packed.byteLength)))).toEqual(await wanted(bytes))
    expect(await seen(await store(() => answer(packed, undefined)))).toEqual(await wanted(bytes))
  })
})

describe('a file that is not what it should be leaves no object behind', () => {
  const page = bytesOf('<!DOCTYPE html><title>Log in</title>')
  const bundle = bytesOf('{"resourceType":"Bundle","type":"searchset"}\n')
  const observations = bytesOf(ndjson('Observation', 2))
  const pretty = bytesOf('{\n  "resourceType": "Patient"\n}\n')

  it.each([
    ['a login page', page],
    ['a Bundle', bundle],
    ['lines of another type', observations],
    ['indented JSON', pretty],
    ['a page as large as a file', joined(page, ndjsonOf(MIN_PART_BYTES))],
  ])('%s [N-09]', async (_, bytes) => {
    for (const length of [bytes.byteLength, undefined]) {
      const key = freshKey()
      await expect(storeFile(key, async () => answer(bytes, length), 'Patient')).rejects.toThrow(MalformedFile)
      expect(await BUCKET.head(key)).toBeNull()
    }
  })

  it.each([3_000, MIN_PART_BYTES + 100_000])('gzip of %d bytes that is cut short', async (size) => {
    // Random text does not shrink much, so that the cut falls behind the first part.
    const noise = new Uint8Array(size)
    for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(noise.subarray(at, at + 65_536))
    const bytes = joined(
      '{"resourceType":"Patient","id":"',
      noise.map((byte) => 97 + (byte % 26)),
      '"}\n',
    )
    const packed = await gzipped(bytes)
    const key = freshKey()
    const cut = packed.slice(0, -20)
    await expect(storeFile(key, async () => answer(cut, cut.byteLength), 'Patient')).rejects.toThrow(/incomplete|prematurely/)
    expect(await BUCKET.head(key)).toBeNull()
  })

  it('a body that breaks off in the middle', async () => {
    const bytes = ndjsonOf(MIN_PART_BYTES + 100)
    const broken = (announced: boolean) =>
      new Response(
        new ReadableStream({
          type: 'bytes',
          start: (controller) => controller.enqueue(bytes.slice(0, MIN_PART_BYTES + 1)),
          pull: (controller) => controller.error(new Error('Network connection lost.')),
        }),
        { headers: announced ? { 'Content-Length': `${bytes.byteLength}` } : {} },
      )
    for (const announced of [true, false]) {
      const key = freshKey()
      await expect(storeFile(key, async () => broken(announced), 'Patient')).rejects.toThrow('connection lost')
      expect(await BUCKET.head(key)).toBeNull()
    }
  })

  it.each([
    ['longer', MIN_PART_BYTES + 100, MIN_PART_BYTES + 1_000, CutOff],
    ['shorter', MIN_PART_BYTES + 1_000, MIN_PART_BYTES + 100, MalformedFile],
  ])('an announced length %s than the body, in one put', async (_, size, announced, error) => {
    const key = freshKey()
    const open = async () => answer(ndjsonOf(size), announced)
    await expect(storeFile(key, open, 'Patient')).rejects.toBeInstanceOf(error)
    expect(await BUCKET.head(key)).toBeNull()
  })

  it('an announced length longer than a small body is an error', async () => {
    await expect(store(() => answer(ndjsonOf(100), 200))).rejects.toThrow(CutOff)
  })

  it('no body at all', async () => {
    const key = freshKey()
    await expect(storeFile(key, async () => new Response(null), 'Patient')).rejects.toThrow(MalformedFile)
    expect(await BUCKET.head(key)).toBeNull()
  })
})

it.each([
  ['nothing', ''],
  ['blank lines', '\n \r\n'],
])('a body of %s has no lines [MF-07]', async (_, text) => {
  const { file } = await store(() => answer(bytesOf(text), undefined))
  expect(file).toMatchObject({ bytes: 0, lines: 0 })
})

it('tells the type of a file whose entry names none [N-22]', async () => {
  const { file } = await store(() => answer(bytesOf(ndjson('Observation', 2)), undefined), null)
  expect(file).toMatchObject({ type: 'Observation', lines: 2 })
})
