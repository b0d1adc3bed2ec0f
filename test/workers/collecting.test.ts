import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FILES_AT_A_TIME } from '../../src/job/collect.ts'
import { END_MS, SLICE_MS } from '../../src/job/keep-on.ts'
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
import { alarmOf, Bench, crash, manifestOf, objectsOf, ring, settled, stored, stubOf, type JobStub } from './job-support.ts'
import { EVERYTHING, addTokenSource, bindings, holdTime, letGo, ndjson } from './support.ts'

/* Large files of an export: what they survive on their way to R2. */

const { FILES } = bindings
const SIZE = 2 * PART_BYTES + 500_000
let bench: Bench
let watched: WatchedBucket

// Megabytes, on a machine that may be busy.
vi.setConfig({ testTimeout: 30_000 })

beforeEach(() => {
  holdTime()
  bench = Bench.withSource()
  watched = new WatchedBucket(FILES)
  Object.assign(bindings, { FILES: watched.bucket })
})
afterEach(() => {
  Object.assign(bindings, { FILES })
  letGo()
})

/** Puts a file into the vendor's manifest. */
const serve = (served: ServedFile, name = 'large'): string => {
  const url = bench.file(name)
  bench.vendor.on(`GET ${url}`, (request) => served.answer(request))
  return url
}

const startWith = async (...urls: string[]) => {
  bench.vendor.on(bench.status, bench.manifest(urls.map((url) => ({ type: 'Patient', url }))))
  return bench.start()
}

const ringTillDone = async (job: JobStub): Promise<void> => {
  for (let turn = 0; turn < 40 && (await bench.kind(job)) === 'in-progress'; turn++) await ring(job)
}

const remove = async (job: JobStub): Promise<void> => {
  await job.delete({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING })
  await settled(job)
  await ring(job)
}

const expectDelivered = async (job: JobStub, jobId: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> => {
  const { bytes: size, lines, sha256 } = await storedAs(bytes)
  expect((await manifestOf(bench, job)).output).toMatchObject([{ type: 'Patient', count: lines }])
  expect((await manifestOf(bench, job)).error).toEqual([])
  expect(await objectAt(`jobs/${jobId}/1`)).toEqual({ bytes: size, sha256 })
  const answer = await job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, 'Patient.1.ndjson')
  expect(answer).toMatchObject({ bytes: size, sha256 })
}

/** Rings, and waits until R2 is called so; the call then lasts until it is let go. */
const ringUntilCall = async (job: JobStub, when: 'before' | 'after', call: BucketCall, part?: number) => {
  let isThere = false
  const hold = { isOver: false }
  watched[when] = async (one, n) => {
    if (isThere || one !== call || n !== part) return
    isThere = true
    while (!hold.isOver) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  const ringing = ring(job).catch(() => undefined)
  await vi.waitFor(() => expect(isThere).toBe(true), { interval: 2, timeout: 5_000 })
  return async () => {
    hold.isOver = true
    await ringing
  }
}

describe('an object that ends in the midst of a file goes on where it was', () => {
  it.each<['before' | 'after', BucketCall, number | undefined, (string | null)[]]>([
    ['after', 'create', undefined, [null, null]],
    ['after', 'uploadPart', 1, [null, null]],
    ['before', 'uploadPart', 2, [null, rangeBehind(linesOf(SIZE), PART_BYTES)]],
    ['before', 'uploadPart', 3, [null, rangeBehind(linesOf(SIZE), 2 * PART_BYTES)]],
    ['before', 'complete', undefined, [null]],
    ['after', 'complete', undefined, [null]],
  ])('%s %s %s', async (when, call, part, ranges) => {
    const served = new ServedFile(linesOf(SIZE))
    const { job: first, jobId } = await startWith(serve(served))
    const letOn = await ringUntilCall(first, when, call, part)
    await crash(first)
    await letOn()
    const job = stubOf(jobId)
    await ringTillDone(job)
    await expectDelivered(job, jobId, served.bytes)
    expect(served.asked.map(({ range }) => range)).toEqual(ranges)
    expect(bench.vendor.count(bench.kickoff)).toBe(1)
    await remove(job)
    expect(await objectsOf(jobId)).toEqual([])
    // Only an upload whose id never reached us is left to R2, which drops it by itself.
    expect(watched.unfinished.size).toBe(call === 'create' ? 1 : 0)
  })

  it('and a job that is deleted before it comes back leaves nothing behind', async () => {
    const { job: first, jobId } = await startWith(serve(new ServedFile(linesOf(SIZE))))
    const letOn = await ringUntilCall(first, 'before', 'uploadPart', 2)
    await crash(first)
    await letOn()
    const job = stubOf(jobId)
    await remove(job)
    for (let turn = 0; turn < 3 && (await stored(job)) !== ''; turn++) await ring(job)
    expect([await stored(job), await objectsOf(jobId), [...watched.unfinished]]).toEqual(['', [], []])
  })
})

describe('DELETE in the midst of a file', () => {
  it('ends the reading at the next part; nothing more is asked of the vendor, and nothing is left [DL-01, DL-04]', async () => {
    const served = new ServedFile(linesOf(4 * PART_BYTES))
    const { job, jobId } = await startWith(serve(served), serve(new ServedFile(linesOf(1_000)), 'next'))
    const letOn = await ringUntilCall(job, 'before', 'uploadPart', 1)
    const asked = bench.vendor.requests.length
    await job.delete({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING })
    await letOn()
    await settled(job)
    expect(bench.vendor.requests.slice(asked).filter((line) => line !== `DELETE ${bench.statusUrl}`)).toEqual([])
    expect(watched.uploaded.length).toBeLessThan(3)
    await ring(job)
    expect([await stored(job), await objectsOf(jobId), [...watched.unfinished]]).toEqual(['', [], []])
  })
})

/** Lets this much time pass while the first part is stored. */
const slowFirstPart = (ms: number): void => {
  let isOver = false
  watched.after = (call) => {
    if (call !== 'uploadPart' || isOver) return
    isOver = true
    vi.setSystemTime(Date.now() + ms)
  }
}

describe('a file that takes longer than a turn', () => {
  it('is left to the next turn where the vendor knows ranges', async () => {
    const served = new ServedFile(linesOf(3 * PART_BYTES + 9))
    const { job, jobId } = await startWith(serve(served))
    slowFirstPart(SLICE_MS)
    await ring(job)
    expect(await bench.kind(job)).toBe('in-progress')
    await ringTillDone(job)
    await expectDelivered(job, jobId, served.bytes)
    expect(served.asked).toHaveLength(2)
    expect(watched.uploaded).toEqual([1, 2, 3, 4])
  })

  it('goes on where it does not', async () => {
    const served = new ServedFile(linesOf(SIZE), { etag: null })
    const { job, jobId } = await startWith(serve(served))
    slowFirstPart(SLICE_MS)
    await ring(job)
    await expectDelivered(job, jobId, served.bytes)
    expect(served.asked).toHaveLength(1)
  })

  it('is ended by us before the platform ends the turn, so that it counts as tried', async () => {
    const served = new ServedFile(linesOf(SIZE), { etag: null })
    const { job, jobId } = await startWith(serve(served))
    slowFirstPart(END_MS)
    await ring(job)
    // The wait after a first failure.
    expect(await alarmOf(job)).toBe(Date.now() + 2_000)
    await ringTillDone(job)
    await expectDelivered(job, jobId, served.bytes)
    expect(served.asked).toHaveLength(2)
    expect(watched.uploaded.filter((n) => n === 1)).toEqual([1])
  })
})

describe('a connection that breaks', () => {
  it('within a file of moderate length: from then on it is kept part by part', async () => {
    const served = new ServedFile(linesOf(SIZE), { isSized: true })
    const { job, jobId } = await startWith(serve(served))
    for (const parts of [1, 1, 2]) {
      served.serving = { isSized: true, cutAt: parts * PART_BYTES + 300_000 }
      await ring(job)
    }
    served.serving = { isSized: true }
    await ringTillDone(job)
    await expectDelivered(job, jobId, served.bytes)
    expect(served.asked.map(({ range }) => range)).toEqual([
      null,
      null,
      ...[1, 2].map((n) => rangeBehind(served.bytes, n * PART_BYTES)),
    ])
  })

  it('and a rest that the vendor then refuses to give: it is not asked for a rest of this file again', async () => {
    const served = new ServedFile(linesOf(PART_BYTES + 100_000), { cutAt: PART_BYTES + 9 })
    const url = serve(served)
    bench.vendor.on(
      `GET ${url}`,
      (request) => served.answer(request),
      () => new Response(null, { status: 416 }),
      (request) => served.answer(request),
    )
    const { job, jobId } = await startWith(url)
    await ring(job)
    served.serving = {}
    await ringTillDone(job)
    await expectDelivered(job, jobId, served.bytes)
    expect(served.asked.map(({ range }) => range)).toEqual([null, null])
    expect(watched.uploaded).toEqual([1, 2])
  })

  it('more often than a file is tried, each time a part further: it is had all the same', async () => {
    const served = new ServedFile(linesOf(8 * PART_BYTES + 9), { cutAt: PART_BYTES + 9 })
    const { job, jobId } = await startWith(serve(served))
    const beganMs = Date.now()
    await ring(job)
    for (let parts = 2; parts <= 8; parts++) {
      served.serving = { cutAt: parts * PART_BYTES + 5 }
      await ring(job)
    }
    served.serving = {}
    await ringTillDone(job)
    await expectDelivered(job, jobId, served.bytes)
    expect(Date.now() - beganMs).toBeLessThan(60_000)
  })

  it('each time, in a file that is another each time: it is given up like any other', async () => {
    const served = new ServedFile(linesOf(SIZE), { etag: null })
    const { job } = await startWith(serve(served), bench.file('small', ndjson('Patient', 1)))
    let readings = 0
    vi.spyOn(served, 'answer').mockImplementation(function (this: ServedFile) {
      readings += 1
      this.bytes = linesOf(SIZE, String.fromCharCode(97 + readings))
      this.serving = { etag: null, cutAt: (1 + (readings % 2)) * PART_BYTES + 9 }
      return ServedFile.prototype.answer.call(this, { headers: new Headers() })
    })
    await ringTillDone(job)
    expect(readings).toBe(6)
    expect((await manifestOf(bench, job)).error).toMatchObject([{ type: 'OperationOutcome', count: 1 }])
  })
})

it('a token that the vendor refuses in the midst of an export is renewed, and no file is the worse for it [N-12]', async () => {
  bench = new Bench(addTokenSource())
  let tokens = 0
  bench.vendor.on(`POST ${bench.source.tokenUrl}`, () =>
    Response.json({ access_token: `t${(tokens += 1)}`, token_type: 'bearer', expires_in: 3600 }),
  )
  let valid = 't1'
  const names = ['a', 'b', 'c', 'd']
  const urls = names.map((name) => bench.file(name))
  for (const [index, url] of urls.entries()) {
    bench.vendor.on(`GET ${url}`, (request) => {
      if (index === 2) valid = 't2'
      const isValid = request.headers.get('Authorization') === `Bearer ${valid}`
      return isValid ? new Response(ndjson('Patient', index + 1)) : new Response(null, { status: 401 })
    })
  }
  const { job } = await startWith(...urls)
  const beganMs = Date.now()
  await ringTillDone(job)
  expect((await manifestOf(bench, job)).output.map(({ count }) => count)).toEqual([1, 2, 3, 4])
  expect(tokens).toBe(2)
  // In one turn: nothing had to be waited for.
  expect(Date.now() - beganMs).toBeLessThan(20_000)
  expect(bench.vendor.requests.filter((line) => line.includes('/files/')).length).toBeLessThanOrEqual(4 + FILES_AT_A_TIME)
})
