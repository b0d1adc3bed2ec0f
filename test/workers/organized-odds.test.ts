import { evictDurableObject } from 'cloudflare:test'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { joined, linesOf, newlinesIn, PART_BYTES, ServedFile, WatchedBucket } from './collecting-support.ts'
import { Bench, manifestOf, ring, type JobStub } from './job-support.ts'
import { bindings, holdTime, letGo, ndjson } from './support.ts'

/* Organized exports whose source, bucket or connection fails. */

vi.setConfig({ testTimeout: 30_000 })

const { FILES, GATES } = bindings
const SIZE = 2 * PART_BYTES + 500_000
const HEADER = '{"resourceType":"Parameters","parameter":[{"name":"header","valueReference":{"reference":"Patient/1"}}]}\n'
let bench: Bench
let watched: WatchedBucket

beforeEach(() => {
  holdTime()
  bench = Bench.withSource()
  watched = new WatchedBucket(FILES)
  Object.assign(bindings, { FILES: watched.bucket })
})
afterEach(() => {
  Object.assign(bindings, { FILES, GATES })
  letGo()
})

const ringTillDone = async (job: JobStub, turns: number): Promise<void> => {
  for (let turn = 0; turn < turns && (await bench.kind(job)) === 'in-progress'; turn++) await ring(job)
}

const serve = (served: ServedFile): void => {
  const url = bench.file('large')
  bench.vendor.on(`GET ${url}`, (request) => served.answer(request))
  bench.vendor.on(bench.status, bench.manifest([{ url }]))
}

it('blocks are made while the source is left alone: all that they are made of rests with us [PA-17]', async () => {
  bench.vendor.on(bench.status, bench.manifest([{ type: 'Patient', url: bench.file('p', ndjson('Patient', 2)) }]))
  const { job } = await bench.start({ organizeBy: 'Patient' })
  let puts = 0
  watched.before = (call) => {
    if (call === 'put' && (puts += 1) === 2) throw new Error('R2 failed')
  }
  await ring(job)
  expect([puts, await bench.kind(job)]).toEqual([2, 'in-progress'])
  await evictDurableObject(job)
  const shut = { permit: async () => ({ kind: 'refused', retryMs: 600_000 }) }
  Object.assign(bindings, { GATES: { idFromName: (name: string) => name, get: () => shut } })
  await ringTillDone(job, 3)
  expect((await manifestOf(bench, job)).output).toMatchObject([{ count: 2 }])
})

it('a file that never comes costs its own rows alone: at the deadline what is at rest is organized [PA-17, ST-09]', async () => {
  const away = bench.file('o')
  bench.vendor.on(`GET ${away}`, () => new Response(null, { status: 503 }))
  const patients = { type: 'Patient', url: bench.file('p', ndjson('Patient', 2)) }
  bench.vendor.on(bench.status, bench.manifest([patients, { type: 'Observation', url: away }]))
  const { job } = await bench.start({ organizeBy: 'Patient' })
  await ring(job)
  vi.setSystemTime(Date.now() + 3 * 86_400_000)
  await ringTillDone(job, 3)
  const manifest = await manifestOf(bench, job)
  expect(manifest.output).toMatchObject([{ count: 2 }])
  expect(manifest.error).toMatchObject([{ count: 1 }])
})

describe('count of a file that the source organized is that of its resources, without the headers of blocks [MF-08]', () => {
  const bytes = joined(HEADER, linesOf(SIZE))

  it.each([
    ['before the second part', PART_BYTES + 400_000],
    ['after the second part', 2 * PART_BYTES + 100_000],
  ])('also of one that broke off %s', async (_, cutAt) => {
    const served = new ServedFile(bytes, { cutAt })
    serve(served)
    const { job } = await bench.start({ organizedBy: 'Patient' })
    await ring(job)
    served.serving = {}
    await ringTillDone(job, 20)
    expect((await manifestOf(bench, job)).output).toMatchObject([{ count: newlinesIn(bytes) - 1 }])
  })

  it('also of one whose upload was completed, and nobody heard of it', async () => {
    serve(new ServedFile(bytes))
    const { job } = await bench.start({ organizedBy: 'Patient' })
    let isOver = false
    watched.after = (call) => {
      if (call !== 'complete' || isOver) return
      isOver = true
      throw new Error('R2 failed')
    }
    await ringTillDone(job, 20)
    expect(isOver).toBe(true)
    expect((await manifestOf(bench, job)).output).toMatchObject([{ count: newlinesIn(bytes) - 1 }])
  })
})
