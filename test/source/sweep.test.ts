import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Sweep, SWEPT_AT_ONCE, SWEPT_JOBS, type Rearm } from '../../src/source/sweep.ts'
import { gateDatabase } from './support.ts'

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(console, 'warn').mockReturnValue()
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

/** As many live jobs, and what becomes of them. */
const opened = (count: number, answer: Rearm = async () => true) => {
  const sql = gateDatabase()
  const swept: string[] = []
  const dropped: string[] = []
  const sweep = () =>
    new Sweep(
      sql,
      async (job) => {
        swept.push(job)
        return answer(job)
      },
      (job) => dropped.push(job),
    )
  const jobs = Array.from({ length: count }, (_, index) => `job-${String(index).padStart(5, '0')}`)
  const first = sweep()
  for (const job of jobs) first.track(job)
  return { jobs, swept, dropped, sweep, first }
}

it('takes a bounded number at a time, and all in turn, over restarts too', async () => {
  const { jobs, swept, sweep, first } = opened(SWEPT_JOBS + 10)
  expect(await first.run()).toBe(jobs.length)
  expect(swept).toEqual(jobs.slice(0, SWEPT_JOBS))
  expect(await sweep().run()).toBe(jobs.length)
  expect(swept.slice(SWEPT_JOBS)).toEqual([...jobs.slice(SWEPT_JOBS), ...jobs.slice(0, SWEPT_JOBS - 10)])
})

it('goes on where one was cut off, so that no job is left out for ever', async () => {
  const { jobs, swept, sweep, first } = opened(3 * SWEPT_AT_ONCE, (job) =>
    job >= 'job-00050' ? new Promise<never>(() => undefined) : Promise.resolve(true),
  )
  void first.run()
  await vi.waitFor(() => expect(swept.length).toBe(3 * SWEPT_AT_ONCE))
  void sweep().run()
  expect(swept.slice(3 * SWEPT_AT_ONCE)).toEqual(jobs.slice(2 * SWEPT_AT_ONCE))
})

it('calls a bounded number of jobs at the same time', async () => {
  let open = 0
  let most = 0
  const { first } = opened(10 * SWEPT_AT_ONCE, async () => {
    most = Math.max(most, (open += 1))
    await Promise.resolve()
    open -= 1
    return true
  })
  await first.run()
  expect(most).toBe(SWEPT_AT_ONCE)
})

it('leaves a job that does not answer to the next sweep, and takes nothing from it', async () => {
  const { jobs, swept, dropped, first } = opened(60, (job) =>
    job === 'job-00003' ? new Promise<never>(() => undefined) : Promise.resolve(true),
  )
  const running = first.run()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(await running).toBe(60)
  expect(swept).toEqual(jobs)
  expect(dropped).toEqual([])
})

it('takes everything from the jobs that are gone, and from those alone', async () => {
  const { dropped, first } = opened(5, async (job) => job !== 'job-00001' && job !== 'job-00004')
  expect(await first.run()).toBe(5)
  expect(dropped).toEqual(['job-00001', 'job-00004'])
  expect(await first.run()).toBe(3)
})

it('is one at a time', async () => {
  const { swept, first } = opened(1)
  expect(await Promise.all([first.run(), first.run()])).toEqual([1, 1])
  expect(swept).toEqual(['job-00000'])
})
