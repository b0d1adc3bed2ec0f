import { describe, expect, it, vi } from 'vitest'
import { BucketError } from '../../src/job/bucket.ts'
import type { KeepOn } from '../../src/job/keep-on.ts'
import { organizeIssues } from '../../src/job/organize/organize-issues.ts'
import { SIZES } from '../../src/job/organize/sizes.ts'
import { purgeObjects } from '../../src/job/purge.ts'
import { JobStorage } from '../../src/job/storage.ts'
import { WatchedBucket } from './collecting-support.ts'
import { OrganizedJob, tiny, type Given } from './organize-support.ts'
import { bindings } from './support.ts'

vi.setConfig({ testTimeout: 120_000 })

/* Turns that end, and lives that do. */

/** Four runs, two generations of merges, three output files of which one goes on in the next. */
const FILES: readonly (readonly Given[])[] = [
  [
    { type: 'Patient', id: '2', patients: ['2'] },
    { type: 'Patient', id: '1', patients: ['1'] },
  ],
  Array.from({ length: 14 }, (_, index) => ({ type: 'Observation', id: `o${index}`, patients: [index < 12 ? '1' : '2'] })),
  [
    { type: 'Appointment', id: 'v', patients: ['1', '2'] },
    { type: 'Practitioner', id: 'p', patients: [] },
  ],
]
const SMALL = tiny({ runBytes: 350, rowBytes: 300, windowsBytes: 512, windowBytes: 256, objectBytes: 500 })

class Crash extends Error {}

/** Counts what passes, and throws at one of them, once. */
class Crashes {
  seen = 0
  readonly #at: number

  constructor(at: number) {
    this.#at = at
  }

  strike(): void {
    this.seen += 1
    if (this.seen === this.#at) throw new Crash()
  }
}

/** Each call strikes before its work, and again when it has done it. */
const struckBucket = (inner: R2Bucket, crashes: Crashes): R2Bucket => {
  const struck = <T extends object>(target: T): T =>
    new Proxy(target, {
      get: (_, name) => {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        if (name === 'resumeMultipartUpload') return (key: string, id: string) => struck(inner.resumeMultipartUpload(key, id))
        return async (...parameters: unknown[]): Promise<unknown> => {
          crashes.strike()
          const result: unknown = await (value as (...all: unknown[]) => Promise<unknown>).apply(target, parameters)
          crashes.strike()
          return result
        }
      },
    })
  return struck(inner)
}

/** Each statement that writes strikes before its work, and each transaction when it is committed. */
const struckStorage = (inner: DurableObjectStorage, crashes: Crashes): DurableObjectStorage => {
  const sql = new Proxy(inner.sql, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name)
      if (name !== 'exec') return value
      return (query: string, ...parameters: SqlStorageValue[]) => {
        if (!query.trimStart().startsWith('SELECT')) crashes.strike()
        return target.exec(query, ...parameters)
      }
    },
  })
  return new Proxy(inner, {
    get: (target, name) => {
      if (name === 'sql') return sql
      if (name === 'transactionSync')
        return <T>(work: () => T): T => {
          const result = target.transactionSync(work)
          crashes.strike()
          return result
        }
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** Dies at one call, and goes on in another life. @returns Whether there was such a call, and how many uploads R2 was left with. */
const survives = async (
  job: OrganizedJob,
  at: number,
  where: 'bucket' | 'rows',
  sizes = SMALL,
): Promise<{ wasThere: boolean; unfinished: number }> => {
  const crashes = new Crashes(at)
  const watched = new WatchedBucket(bindings.FILES)
  const failing =
    where === 'bucket' ? { bucket: struckBucket(watched.bucket, crashes) } : { storage: struckStorage(job.storage, crashes) }
  try {
    await job.finish({ bucket: watched.bucket, ...failing, sizes })
  } catch (error) {
    if (!(error instanceof Crash || (error instanceof BucketError && error.cause instanceof Crash))) throw error
    await job.finish({ bucket: watched.bucket, sizes })
  }
  // What is read ahead may fail without anybody having waited for it.
  return { wasThere: crashes.seen >= at, unfinished: watched.unfinished.size }
}

describe('a life that ends in the midst of organizing', () => {
  it.each(['bucket', 'rows'] as const)('at any call of the %s: the next gives the same files', async (where) => {
    await OrganizedJob.in(async (newJob) => {
      let at = 1
      for (; ; at++) {
        const job = newJob()
        await job.put(FILES)
        const { wasThere } = await survives(job, at, where)
        const output = await job.expectBlocksOf(FILES)
        if (at === 1) expect(output.some(({ continues }) => continues !== null)).toBe(true)
        expect(job.rows().state()).toMatchObject({ unrelated: 1 })
        if (!wasThere) break
      }
      expect(at).toBeGreaterThan(60)
    })
  })

  it('at any call of a large object, in parts: the next gives the same file', async () => {
    const text = 'x'.repeat(100_000)
    const files = [
      Array.from({ length: 53 }, (_, index) => ({ type: 'Observation', id: `o${index}`, patients: [`${index % 7}`], text })),
    ]
    await OrganizedJob.in(async (newJob) => {
      const job = newJob()
      await job.put(files)
      const crashes = new Crashes(Infinity)
      await job.finish({ bucket: struckBucket(bindings.FILES, crashes), sizes: SIZES })
      await job.expectBlocksOf(files)
      // One read of the file, then the run: its upload, parts and completion, each before and after.
      let lost = 0
      for (let at = 3; at <= crashes.seen; at += 2) {
        const other = newJob()
        await other.put(files)
        const { wasThere, unfinished } = await survives(other, at, 'bucket', SIZES)
        expect(wasThere).toBe(true)
        lost += unfinished
        await other.expectBlocksOf(files)
      }
      expect(crashes.seen).toBeGreaterThan(20)
      // Only an upload whose number never reached us can be left, one of each of the two objects.
      expect(lost).toBeLessThanOrEqual(2)
    })
  })
})

describe('a turn', () => {
  it('takes up nothing new after so many operations, and the next goes on', async () => {
    await OrganizedJob.in(async (newJob) => {
      const job = newJob()
      await job.put(FILES)
      expect(await job.turn({ sizes: { ...SMALL, operations: 1 } })).toEqual({ kind: 'paused', retryMs: 0 })
      expect(await job.finish({ sizes: { ...SMALL, operations: 1 } })).toBeGreaterThan(6)
      await job.expectBlocksOf(FILES)
      expect(await job.turn()).toEqual({ kind: 'settled' })
    })
  })

  it('reads no more files than it has operations for', async () => {
    await OrganizedJob.in(async (newJob) => {
      const job = newJob()
      const files = Array.from({ length: 30 }, (_, index) => [{ type: 'Patient', id: `${index}`, patients: [`${index}`] }])
      await job.put(files)
      await job.turn({ sizes: { ...SIZES, operations: 10 } })
      expect(job.rows().state()).toMatchObject({ phase: 'reading', file: 11 })
      await job.finish({ sizes: { ...SIZES, operations: 10 } })
      await job.expectBlocksOf(files)
    })
  })

  it('takes up nothing new when its time is over, or it is not to go on', async () => {
    await OrganizedJob.in(async (newJob) => {
      const job = newJob()
      await job.put(FILES)
      expect(await job.turn({ sizes: { ...SMALL, turnMs: 0 } })).toEqual({ kind: 'paused', retryMs: 0 })
      for (const wish of ['pause', 'end', 'stop'] as const) {
        expect(await job.turn({ keepOn: () => wish })).toEqual({ kind: 'paused', retryMs: 0 })
      }
      expect(job.rows().state()).toMatchObject({ phase: 'reading', file: 0, offset: 0 })
    })
  })

  it.each(['end', 'stop'] as const)('that is to %s breaks off what is under way, and loses nothing', async (wish) => {
    await OrganizedJob.in(async (newJob) => {
      for (let asked = 1, isOver = false; !isOver; asked += 9) {
        const job = newJob()
        await job.put(FILES)
        let times = 0
        const keepOn: KeepOn = () => ((times += 1) >= asked ? wish : 'go-on')
        isOver = (await job.turn({ sizes: SMALL, keepOn })).kind === 'settled'
        await job.finish({ sizes: SMALL })
        await job.expectBlocksOf(FILES)
      }
    })
  })
})

describe('an export that is over before its files are organized', () => {
  it('leaves nothing in R2 when it was cancelled [DL-02]', async () => {
    await OrganizedJob.in(async (newJob) => {
      const job = newJob()
      const text = 'x'.repeat(100_000)
      await job.put([
        Array.from({ length: 120 }, (_, index) => ({ type: 'Observation', id: `o${index}`, patients: ['1'], text })),
      ])
      let asked = 0
      // Within the upload of the run: its first part is under way.
      const keepOn: KeepOn = () => ((asked += 1) > 80 ? 'stop' : 'go-on')
      await job.turn({ sizes: SIZES, keepOn })
      const { uploads } = new JobStorage(job.storage)
      expect((await job.keys()).length + uploads.all().length).toBeGreaterThan(1)
      await purgeObjects(bindings.FILES, uploads, job.jobId)
      expect(await job.keys()).toEqual([])
      expect(uploads.all()).toEqual([])
    })
  })

  it('says that blocks are missing when some were made, and that files failed when none was', async () => {
    await OrganizedJob.in(async (newJob) => {
      const early = newJob()
      await early.put(FILES)
      await early.turn({ sizes: { ...SMALL, operations: 1 } })
      early.rows().giveUp()
      const { files } = new JobStorage(early.storage)
      expect(files.progress()).toMatchObject({ ready: 0, failed: 3 })
      expect(organizeIssues(early.rows())).toMatchObject([{ severity: 'error', code: 'incomplete' }])

      const late = newJob()
      await late.put(FILES)
      while (late.listed().length === 0) await late.turn({ sizes: { ...SMALL, operations: 1 } })
      late.rows().giveUp()
      expect(new JobStorage(late.storage).files.progress()).toMatchObject({ failed: 0 })
      expect(organizeIssues(late.rows())).toMatchObject([{ severity: 'error', code: 'incomplete' }, { severity: 'information' }])

      const done = newJob()
      await done.put(FILES)
      await done.finish()
      done.rows().giveUp()
      await done.expectBlocksOf(FILES)
    })
  })
})
