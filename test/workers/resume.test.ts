import { beforeEach, describe, expect, it, vi } from 'vitest'
import { CutOff, MalformedFile } from '../../src/job/file-errors.ts'
import { BrokenOff } from '../../src/job/keep-on.ts'
import { type StoredFile } from '../../src/job/store-file.ts'
import {
  joined,
  linesOf,
  objectAt,
  PART_BYTES,
  rangeBehind,
  ServedFile,
  storedAs,
  WatchedBucket,
  type Serving,
} from './collecting-support.ts'
import { bindings, memoryRecord, storeFile } from './support.ts'

/* One file that breaks off and is taken up again, as `FileStore` does it. */

const SIZE = 2 * PART_BYTES + 500_000
const TWO_PARTS = 2 * PART_BYTES
let keys = 0
let key: string
let record: ReturnType<typeof memoryRecord>
let watched: WatchedBucket

// Megabytes, on a machine that may be busy.
vi.setConfig({ testTimeout: 30_000 })

beforeEach(() => {
  key = `resumed/${(keys += 1)}`
  record = memoryRecord()
  watched = new WatchedBucket(bindings.FILES)
})

/** One reading. In parts, as every file that failed before is. */
const read = (served: ServedFile): Promise<StoredFile> =>
  storeFile(key, served.open, 'Patient', { bucket: watched.bucket, record, hasFailed: true })

/** A reading that breaks off after so many bytes. */
const readUntil = async (served: ServedFile, cutAt: number): Promise<void> => {
  const { serving } = served
  served.serving = { ...serving, cutAt }
  await expect(read(served)).rejects.toThrow('connection lost')
  served.serving = serving
}

/** Reads until it is whole. */
const readOn = async (served: ServedFile, readings = 3): Promise<StoredFile> => {
  for (; ; readings--) {
    try {
      return await read(served)
    } catch (error) {
      if (readings <= 1) throw error
    }
  }
}

const expectExactly = async (stored: StoredFile, bytes: Uint8Array<ArrayBuffer>): Promise<void> => {
  const { bytes: size, lines, sha256, readLines, otherTypes } = stored
  const wanted = await storedAs(bytes)
  expect({ bytes: size, lines, sha256 }).toEqual(wanted)
  expect({ readLines, otherTypes }).toEqual({ readLines: wanted.lines, otherTypes: [] })
  if (bytes.byteLength > 0) expect(await objectAt(key)).toEqual({ bytes: wanted.bytes, sha256: wanted.sha256 })
  expect([...watched.unfinished]).toEqual([])
}

describe('a file cut off after two parts, of a vendor with ETag and ranges, goes on behind them', () => {
  it.each<[string, Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>]>([
    ['a line lies across the cut', linesOf(SIZE), linesOf(SIZE)],
    ['a line ends at the cut', joined(linesOf(TWO_PARTS), linesOf(500_000)), joined(linesOf(TWO_PARTS), linesOf(500_000))],
    ['no newline at its end', linesOf(SIZE).slice(0, -1), linesOf(SIZE)],
    ['one byte is left', linesOf(TWO_PARTS + 1), linesOf(TWO_PARTS + 1)],
    ['only its newline is missing behind the last part', linesOf(3 * PART_BYTES + 1).slice(0, -1), linesOf(3 * PART_BYTES + 1)],
  ])('%s', async (_, bytes, clean) => {
    const served = new ServedFile(bytes, { isSized: keys % 2 === 0 })
    await readUntil(served, Math.min(TWO_PARTS + 1_000, bytes.byteLength - 1))
    await expectExactly(await read(served), clean)
    expect(served.asked).toEqual([
      { range: null, ifRange: null },
      { range: rangeBehind(bytes, TWO_PARTS), ifRange: '"v1"' },
    ])
    expect(watched.uploaded).toEqual(Array.from({ length: Math.ceil(clean.byteLength / PART_BYTES) }, (__, index) => index + 1))
  })

  it('tells the type that its first line had [N-22]', async () => {
    const served = new ServedFile(linesOf(SIZE, 'a', 'Observation'))
    served.serving = { cutAt: TWO_PARTS + 5 }
    await expect(storeFile(key, served.open, undefined, { bucket: watched.bucket, record })).rejects.toThrow('connection lost')
    served.serving = {}
    expect(await storeFile(key, served.open, undefined, { bucket: watched.bucket, record })).toMatchObject({
      type: 'Observation',
    })
  })

  it('again and again', async () => {
    const bytes = linesOf(4 * PART_BYTES + 300_009)
    const served = new ServedFile(bytes)
    for (const parts of [1, 2, 4]) await readUntil(served, parts * PART_BYTES + 300_000)
    await expectExactly(await read(served), bytes)
    expect(served.asked.map(({ range }) => range)).toEqual([null, ...[1, 2, 4].map((n) => rangeBehind(bytes, n * PART_BYTES))])
    expect(watched.uploaded).toEqual([1, 2, 3, 4, 5])
  })

  it('is asked for no more when all its bytes were there', async () => {
    const bytes = linesOf(TWO_PARTS)
    const served = new ServedFile(bytes, { isSized: true })
    await readUntil(served, TWO_PARTS - 1)
    watched.before = (call) => {
      if (call === 'complete') throw new Error('down')
    }
    await expect(read(served)).rejects.toThrow('R2 failed')
    watched.before = () => undefined
    await expectExactly(await read(served), bytes)
    expect(served.asked).toHaveLength(2)
  })

  it('gets the newline that its last line lacks although all its bytes were there', async () => {
    const bytes = joined(linesOf(TWO_PARTS).slice(0, -1), ' ')
    const served = new ServedFile(bytes, { isSized: true })
    watched.before = (call, part) => {
      if (call === 'uploadPart' && part === 3) throw new Error('down')
    }
    await expect(read(served)).rejects.toThrow('R2 failed')
    watched.before = () => undefined
    // As it is when the object was ended before it could note that the file needs cleaning.
    record.setValidator('"v1"')
    await expectExactly(await readOn(served), joined(bytes, '\n'))
  })
})

const sized = () => new ServedFile(linesOf(SIZE), { isSized: true })
const put = (served: ServedFile, wish: 'go-on' | 'pause' | 'end' | 'stop') =>
  storeFile(key, served.open, 'Patient', { bucket: watched.bucket, record, keepOn: () => wish })

describe('a file of moderate length, which is one put', () => {
  it('counts as cut off when it is slower than a turn is long, so that it is in parts the next time', async () => {
    for (const wish of ['pause', 'end'] as const) await expect(put(sized(), wish)).rejects.toThrow(CutOff)
    expect([await objectAt(key), watched.uploaded]).toEqual([null, []])
  })

  it('ends, and says nothing of the file, when nobody wants it any more', async () => {
    await expect(put(sized(), 'stop')).rejects.toThrow(BrokenOff)
    expect(await objectAt(key)).toBeNull()
  })

  it('that needs cleaning is not taken for whole when its second reading ends early', async () => {
    const dirty = joined(linesOf(SIZE), '\n')
    let readings = 0
    const open = async () => {
      readings += 1
      const bytes = readings === 1 ? dirty : dirty.slice(0, PART_BYTES + 5)
      return new Response(bytes, { headers: { 'Content-Length': `${dirty.byteLength}` } })
    }
    await expect(storeFile(key, open, 'Patient', { bucket: watched.bucket, record })).rejects.toThrow(CutOff)
    expect([readings, await objectAt(key)]).toEqual([2, null])
  })
})

describe('a file cut off at a vendor that cannot go on is read again, and what is there is not stored again', () => {
  it.each<[string, Serving]>([
    ['ignores Range', { hasRanges: false }],
    ['ignores Range, and tells the length', { hasRanges: false, isSized: true }],
    ['has no ETag', { etag: null }],
    ['has a weak ETag', { etag: 'W/"v1"' }],
  ])('%s', async (_, serving) => {
    const bytes = linesOf(SIZE)
    const served = new ServedFile(bytes, serving)
    await readUntil(served, TWO_PARTS + 1_000)
    await expectExactly(await read(served), bytes)
    expect(served.asked[1]?.range ?? null).toBe(serving.hasRanges === false ? rangeBehind(bytes, TWO_PARTS) : null)
    expect(watched.uploaded).toEqual([1, 2, 3])
  })
})

/** With a newline at its end. */
const ended = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  bytes.byteLength === 0 || bytes.at(-1) === 10 ? bytes : joined(bytes, '\n')

describe('a file that was changed between two readings is the new one, never a mixture', () => {
  const old = linesOf(SIZE)
  // So that its first part alone could be a file: a brace ends it.
  old[PART_BYTES - 1] = 125
  const sameStart = joined(old.subarray(0, PART_BYTES), linesOf(SIZE - PART_BYTES, 'b'))
  const contents: [string, Uint8Array<ArrayBuffer>][] = [
    ['other bytes of the same length', linesOf(SIZE, 'b')],
    ['the same first part', sameStart],
    ['longer by a part', linesOf(SIZE + PART_BYTES, 'b')],
    ['the old one and more', joined(old, linesOf(PART_BYTES, 'b'))],
    ['shorter, and longer than a part', linesOf(PART_BYTES + 70_000, 'b')],
    ['the first part only', old.slice(0, PART_BYTES)],
    ['shorter than a part', linesOf(4_000, 'b')],
    ['nothing', new Uint8Array(0)],
  ]
  const validators: [string, Serving, Serving][] = [
    ['another ETag', { etag: '"v1"' }, { etag: '"v2"' }],
    ['another ETag, with lengths', { etag: '"v1"', isSized: true }, { etag: '"v2"', isSized: true }],
    ['no ETag', { etag: null }, { etag: null }],
    ['an ETag at first only', { etag: '"v1"' }, { etag: null }],
    ['an ETag at last only', { etag: null }, { etag: '"v2"' }],
    ['an ETag that did not change, and no ranges', { hasRanges: false }, { hasRanges: false }],
  ]
  // Every content where only comparing tells, and every way to tell with one content.
  const cases = contents.flatMap(([what, bytes], row) =>
    validators
      .filter(([how]) => row === 0 || how === 'no ETag')
      .map(([how, before, after]) => [what, how, bytes, before, after] as const),
  )

  it.each(cases)('%s, %s', async (_, __, bytes, before, after) => {
    const served = new ServedFile(old, before)
    await readUntil(served, TWO_PARTS + 1_000)
    served.bytes = bytes
    served.serving = after
    await expectExactly(await readOn(served), ended(bytes))
  })

  it.each(validators)('cut again before the old one had ended, and then gone on with: %s', async (_, before, after) => {
    const served = new ServedFile(old, before)
    await readUntil(served, TWO_PARTS + 1_000)
    served.bytes = sameStart
    served.serving = after
    await readUntil(served, PART_BYTES + 1_000)
    await expectExactly(await readOn(served), sameStart)
  })

  it('cut again just where the old one had ended: its length says nothing of the new one', async () => {
    const served = new ServedFile(linesOf(TWO_PARTS), { isSized: true })
    await readUntil(served, PART_BYTES + 1_000)
    served.bytes = linesOf(SIZE, 'b')
    served.serving = { etag: '"v2"', isSized: true }
    await readUntil(served, TWO_PARTS + 1_000)
    await expectExactly(await readOn(served), served.bytes)
  })

  it('grown under the same ETag: the length of its first reading says nothing of the second', async () => {
    const served = new ServedFile(linesOf(TWO_PARTS), { isSized: true, hasRanges: false })
    await readUntil(served, PART_BYTES + 1_000)
    served.bytes = joined(linesOf(TWO_PARTS), linesOf(500_000, 'b'))
    await readUntil(served, TWO_PARTS + 1_000)
    await expectExactly(await readOn(served), served.bytes)
  })

  it('changed under the same ETag: from then on it is compared, and not gone on with', async () => {
    const served = new ServedFile(old, { hasRanges: false })
    await readUntil(served, TWO_PARTS + 1_000)
    served.bytes = sameStart
    await readUntil(served, TWO_PARTS + 1_000)
    served.bytes = joined(old.subarray(0, PART_BYTES), linesOf(SIZE - PART_BYTES, 'c'))
    served.serving = {}
    await expectExactly(await readOn(served), served.bytes)
    expect(served.asked.at(-1)?.range).toBeNull()
  })

  it('of another type: the type is that of the new one', async () => {
    const served = new ServedFile(old, { etag: null, cutAt: TWO_PARTS + 1 })
    await expect(storeFile(key, served.open, undefined, { bucket: watched.bucket, record })).rejects.toThrow('connection lost')
    served.bytes = linesOf(SIZE, 'b', 'Observation')
    served.serving = { etag: null }
    const stored = await storeFile(key, served.open, undefined, { bucket: watched.bucket, record })
    expect(stored.type).toBe('Observation')
    await expectExactly(stored, served.bytes)
  })
})

describe('an answer to a Range that is not what was asked for is not stored, and the file comes right in the end', () => {
  const size = PART_BYTES + 100_000
  const bytes = linesOf(size)
  const last = size - 1
  const start = bytes.lastIndexOf(10, PART_BYTES - 1) + 1
  const rest = (headers: Record<string, string>, from = start, to = size, status = 206) =>
    new Response(bytes.slice(from, to), { status, headers: { ETag: '"v1"', ...headers } })

  it.each<[string, () => Response]>([
    ['another start', () => rest({ 'Content-Range': `bytes 1000-${last}/${size}` }, 1_000)],
    ['no more than a piece', () => rest({ 'Content-Range': `bytes ${start}-${last - 9}/${size}` }, start, size - 9)],
    ['a longer rest than comes', () => rest({ 'Content-Range': `bytes ${start}-${last + 1}/${size + 1}` })],
    [
      'a total that nobody knows, and less than all',
      () => rest({ 'Content-Range': `bytes ${start}-${last - 9}/*` }, start, size - 9),
    ],
    ['no Content-Range', () => rest({})],
    ['a Content-Range that is none', () => rest({ 'Content-Range': 'bytes all' })],
    [
      'another version: If-Range is not known there',
      () => rest({ 'Content-Range': `bytes ${start}-${last}/${size}`, ETag: '"v2"' }),
    ],
    ['another form', () => rest({ 'Content-Range': `bytes ${start}-${last}/${size}`, 'Content-Encoding': 'gzip' })],
    ['a body that ends early', () => rest({ 'Content-Range': `bytes ${start}-${last}/${size}` }, start, size - 2_000)],
    ['no byte at all', () => rest({ 'Content-Range': `bytes ${start}-${last}/${size}` }, start, start)],
    ['416', () => new Response(null, { status: 416, headers: { 'Content-Range': `bytes */${size}` } })],
  ])('%s', async (_, answer) => {
    // Of a length that nobody told: then it is the answer alone that tells.
    const served = new ServedFile(bytes)
    await readUntil(served, PART_BYTES + 1_000)
    const odd = async () => answer()
    await expect(storeFile(key, odd, 'Patient', { bucket: watched.bucket, record })).rejects.toThrow(CutOff)
    await expectExactly(await read(served), bytes)
    // What was there was not stored again.
    expect(watched.uploaded.slice(0, 2)).toEqual([1, 2])
  })

  it('another total than was announced', async () => {
    const served = new ServedFile(bytes, { isSized: true })
    await readUntil(served, PART_BYTES + 1_000)
    const grown = async () =>
      new Response(joined(bytes.subarray(start), 'x\n'), {
        status: 206,
        headers: { ETag: '"v1"', 'Content-Range': `bytes ${start}-${size + 1}/${size + 2}` },
      })
    await expect(storeFile(key, grown, 'Patient', { bucket: watched.bucket, record })).rejects.toThrow(CutOff)
    await expectExactly(await read(served), bytes)
  })

  it('a body longer than the rest', async () => {
    const served = new ServedFile(bytes, { isSized: true })
    await readUntil(served, PART_BYTES + 1_000)
    const longer = async () =>
      new Response(joined(bytes.subarray(start), 'x\n'), {
        status: 206,
        headers: { ETag: '"v1"', 'Content-Range': `bytes ${start}-${last}/${size}` },
      })
    await expect(storeFile(key, longer, 'Patient', { bucket: watched.bucket, record })).rejects.toThrow(MalformedFile)
    await expectExactly(await read(served), bytes)
  })

  it('a file that was all there, of a length that nobody had told: 416, then read again', async () => {
    const whole = linesOf(TWO_PARTS)
    const served = new ServedFile(whole)
    served.bytes = joined(whole, linesOf(1_000))
    await readUntil(served, TWO_PARTS + 1)
    served.bytes = whole
    await expect(read(served)).rejects.toThrow(CutOff)
    await expectExactly(await read(served), whole)
    expect(watched.uploaded).toEqual([1, 2])
  })
})

const dirtyAt = (bytes: Uint8Array<ArrayBuffer>, at: number): Uint8Array<ArrayBuffer> => {
  const newline = bytes.indexOf(10, at)
  return joined(bytes.subarray(0, newline), '\r\n\n', bytes.subarray(newline + 1))
}

describe('a file that needs cleaning is never gone on with from a wrong place [FI-05, N-27]', () => {
  const clean = linesOf(SIZE)
  const longer = linesOf(4 * PART_BYTES + 200_000)
  it.each<[string, Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>]>([
    ['a byte order mark', joined(Uint8Array.of(0xef, 0xbb, 0xbf), clean), clean],
    ['CRLF in its first part', dirtyAt(clean, 5_000), clean],
    ['CRLF at the end of its first part', dirtyAt(clean, PART_BYTES - 1_100), clean],
  ])('%s: never', async (_, bytes, wanted) => {
    const served = new ServedFile(bytes)
    await readUntil(served, TWO_PARTS + 1_000)
    await expectExactly(await read(served), wanted)
    expect(served.asked.map(({ range }) => range)).toEqual([null, null])
    expect(watched.uploaded).toEqual([1, 2, 3])
  })

  it('CRLF in its third part: behind the second one, and not behind the third', async () => {
    const served = new ServedFile(dirtyAt(longer, TWO_PARTS + 500_000))
    await readUntil(served, TWO_PARTS + 1_000)
    await readUntil(served, 4 * PART_BYTES + 100)
    await expectExactly(await read(served), longer)
    expect(served.asked.map(({ range }) => range)).toEqual([null, rangeBehind(served.bytes, TWO_PARTS), null])
    // The third was stored by a reading that began behind the second, so nothing tells that it is the same.
    expect(watched.uploaded).toEqual([1, 2, 3, 3, 4, 5])
  })
})

describe('gzip is never gone on with', () => {
  it('that no header tells of: read again from its start', async () => {
    const noise = new Uint8Array(SIZE)
    for (let at = 0; at < SIZE; at += 65_536) crypto.getRandomValues(noise.subarray(at, at + 65_536))
    const bytes = joined(
      '{"resourceType":"Patient","id":"',
      noise.map((byte) => 97 + (byte % 26)),
      '"}\n',
    )
    const packed = new Uint8Array(
      await new Response(new Response(bytes).body?.pipeThrough(new CompressionStream('gzip'))).arrayBuffer(),
    )
    const served = new ServedFile(packed)
    await readUntil(served, packed.byteLength - 1_000)
    const corrupt = packed.slice()
    corrupt.set([1, 2, 3, 4, 5], packed.byteLength - 200)
    served.bytes = corrupt
    await expect(read(served)).rejects.toThrow(/decompress|incomplete|prematurely/i)
    expect(await objectAt(key)).toBeNull()
    served.bytes = packed
    await expectExactly(await read(served), bytes)
    expect(served.asked.map(({ range }) => range)).toEqual([null, null, null])
  })

  it('that a header tells of: its ETag and length are not those of what is stored', async () => {
    const served = new ServedFile(linesOf(SIZE), { headers: { 'Content-Encoding': 'gzip', 'Content-Length': '77777' } })
    await readUntil(served, TWO_PARTS + 1_000)
    await expectExactly(await read(served), linesOf(SIZE))
    expect(served.asked.map(({ range }) => range)).toEqual([null, null])
  })
})
