import { beforeEach, describe, expect, it, vi } from 'vitest'
import { BucketError } from '../../src/job/bucket.ts'
import type { StoredFile } from '../../src/job/store-file.ts'
import {
  linesOf,
  objectAt,
  PART_BYTES,
  rangeBehind,
  ServedFile,
  storedAs,
  WatchedBucket,
  type BucketCall,
} from './collecting-support.ts'
import { bindings, memoryRecord, storeFile } from './support.ts'

/* R2 that fails while a file is stored. */

const SIZE = 2 * PART_BYTES + 500_000
const BYTES = linesOf(SIZE)
let keys = 0
let key: string
let record: ReturnType<typeof memoryRecord>
let watched: WatchedBucket
let served: ServedFile

// Megabytes, on a machine that may be busy.
vi.setConfig({ testTimeout: 30_000 })

beforeEach(() => {
  key = `bucket/${(keys += 1)}`
  record = memoryRecord()
  watched = new WatchedBucket(bindings.FILES)
  served = new ServedFile(BYTES)
})

const read = (): Promise<StoredFile> => storeFile(key, served.open, 'Patient', { bucket: watched.bucket, record })

/** R2 fails at this call, once; at the call itself or when it has done its work, before its answer comes. */
const failOnce = (when: 'before' | 'after', call: BucketCall, part?: number): void => {
  let isOver = false
  watched[when] = (one, n) => {
    if (isOver || one !== call || n !== part) return
    isOver = true
    throw new Error('We encountered an internal error. Please try again. (10001)')
  }
}

const expectWhole = async (stored: StoredFile): Promise<void> => {
  const wanted = await storedAs(BYTES)
  expect(stored).toEqual({ ...wanted, readLines: wanted.lines, otherTypes: [], type: 'Patient' })
  expect(await objectAt(key)).toEqual({ bytes: wanted.bytes, sha256: wanted.sha256 })
}

describe('R2 that fails once is not the file’s fault, and costs no part that it has', () => {
  it.each<[BucketCall, number | undefined, (string | null)[]]>([
    ['create', undefined, [null, null]],
    ['uploadPart', 1, [null, null]],
    ['uploadPart', 2, [null, rangeBehind(BYTES, PART_BYTES)]],
    ['uploadPart', 3, [null, rangeBehind(BYTES, 2 * PART_BYTES)]],
    ['complete', undefined, [null]],
  ])('%s %s', async (call, part, ranges) => {
    failOnce('before', call, part)
    await expect(read()).rejects.toBeInstanceOf(BucketError)
    expect(await objectAt(key)).toBeNull()
    await expectWhole(await read())
    expect(served.asked.map(({ range }) => range)).toEqual(ranges)
    expect(watched.uploaded).toEqual([1, 2, 3])
    expect([...watched.unfinished]).toEqual([])
  })

  it.each(['put', 'head', 'get'] as const)('%s', async (call) => {
    if (call === 'put') served.bytes = linesOf(4_000)
    else {
      // A file that was gone on with is read back; one that was completed already is looked for.
      served.serving = { cutAt: PART_BYTES + 5 }
      await expect(read()).rejects.toThrow('connection lost')
      served.serving = {}
    }
    if (call === 'head') {
      failOnce('after', 'complete')
      await expect(read()).rejects.toBeInstanceOf(BucketError)
    }
    failOnce('before', call)
    await expect(read()).rejects.toBeInstanceOf(BucketError)
    const asked = served.asked.length
    expect(await read()).toMatchObject(await storedAs(served.bytes))
    if (call !== 'put') expect(served.asked).toHaveLength(asked)
  })

  it('an upload that was completed although its answer was lost is not completed twice', async () => {
    failOnce('after', 'complete')
    await expect(read()).rejects.toBeInstanceOf(BucketError)
    await expectWhole(await read())
    expect(served.asked).toHaveLength(1)
  })
})

const forget = async (): Promise<void> => {
  const id = record.load()?.upload.id
  if (id !== undefined) await bindings.FILES.resumeMultipartUpload(key, id).abort()
}

describe('an upload that R2 has forgotten', () => {
  it('in the midst of its parts: the file is begun anew', async () => {
    served.serving = { cutAt: 2 * PART_BYTES + 5 }
    await expect(read()).rejects.toThrow('connection lost')
    await forget()
    served.serving = {}
    await expect(read()).rejects.toBeInstanceOf(BucketError)
    await expectWhole(await read())
    expect(served.asked.at(-1)?.range).toBeNull()
  })

  it('before it was completed: the file is begun anew', async () => {
    failOnce('before', 'complete')
    await expect(read()).rejects.toBeInstanceOf(BucketError)
    await forget()
    await expect(read()).rejects.toBeInstanceOf(BucketError)
    await expectWhole(await read())
    expect(served.asked).toHaveLength(2)
  })

  it('beside an older reading of the same length: that one is not taken for it', async () => {
    await bindings.FILES.put(key, linesOf(SIZE, 'b'))
    failOnce('before', 'complete')
    await expect(read()).rejects.toBeInstanceOf(BucketError)
    await forget()
    await expect(read()).rejects.toBeInstanceOf(BucketError)
    await expectWhole(await read())
  })
})
