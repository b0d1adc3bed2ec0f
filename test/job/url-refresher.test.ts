import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { UrlRefresher, type Reread } from '../../src/job/url-refresher.ts'

const FLOOR_MS = 5_000
const START_MS = 1_000_000

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: START_MS })
})
afterEach(() => {
  vi.useRealTimers()
})

/** A refresher of a vendor that says this, and when it was asked. */
const refresherOf = (...answers: (() => Promise<{ said: Reread }>)[]) => {
  const askedMs: number[] = []
  const refresher = new UrlRefresher(() => {
    askedMs.push(Date.now())
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    return answer ? answer() : Promise.resolve({ said: 'complete' as const })
  }, FLOOR_MS)
  return { refresher, askedMs }
}
const yes = () => Promise.resolve({ said: 'complete' as const })
const no = () => Promise.resolve({ said: 'no-answer' as const })

describe('URLs had anew [N-25]', () => {
  it('however many files ask at the same time, the vendor is asked once', async () => {
    const { refresher, askedMs } = refresherOf(yes)
    expect(await Promise.all(Array.from({ length: 20 }, () => refresher.refresh()))).toEqual(Array(20).fill('complete'))
    expect(askedMs).toEqual([START_MS])
  })

  it('no more often than the floor lets; too early, what it said last', async () => {
    const { refresher, askedMs } = refresherOf(yes, no, yes)
    const seen: string[] = []
    for (let second = 0; second < 16; second++) {
      vi.setSystemTime(START_MS + second * 1_000)
      seen.push(await refresher.refresh())
    }
    expect(askedMs.map((ms) => ms - START_MS)).toEqual([0, 5_000, 10_000, 15_000])
    expect(seen.slice(0, 6)).toEqual([...Array<string>(5).fill('complete'), 'no-answer'])
    expect(seen.slice(9, 11)).toEqual(['no-answer', 'complete'])
  })

  it('tells when they were had, and when the vendor may be asked again', async () => {
    const { refresher } = refresherOf(yes, no)
    expect([refresher.refreshedMs, refresher.nextMs]).toEqual([-Infinity, -Infinity])
    await refresher.refresh()
    expect([refresher.refreshedMs, refresher.nextMs]).toEqual([START_MS, START_MS + FLOOR_MS])
    vi.setSystemTime(START_MS + FLOOR_MS)
    await refresher.refresh()
    expect([refresher.refreshedMs, refresher.nextMs]).toEqual([START_MS, START_MS + 2 * FLOOR_MS])
  })

  it('the status request that brought the manifest counts as one', async () => {
    const askedMs: number[] = []
    const read = () => Promise.resolve((askedMs.push(Date.now()), { said: 'complete' as const }))
    const refresher = new UrlRefresher(read, FLOOR_MS, START_MS)
    await refresher.refresh()
    expect(askedMs).toEqual([])
    vi.setSystemTime(START_MS + FLOOR_MS)
    await refresher.refresh()
    expect(askedMs).toEqual([START_MS + FLOOR_MS])
  })

  it('the vendor is not asked again before it wants to be, whoever asks', async () => {
    const askedMs: number[] = []
    const refresher = new UrlRefresher(() => {
      askedMs.push(Date.now())
      return Promise.resolve({ said: 'no-answer', retryAfterMs: 600_000 })
    }, FLOOR_MS)
    await refresher.refresh()
    vi.setSystemTime(START_MS + 599_999)
    expect(await refresher.refresh()).toBe('no-answer')
    expect(await refresher.refreshWhenAllowed()).toBe('no-answer')
    expect(askedMs).toEqual([START_MS])
    vi.setSystemTime(START_MS + 600_000)
    await refresher.refresh()
    expect(askedMs).toEqual([START_MS, START_MS + 600_000])
  })

  it('a reading that throws is no answer, and the next one is made', async () => {
    const { refresher, askedMs } = refresherOf(() => Promise.reject(new Error('the gate is gone')), yes)
    expect(await refresher.refresh()).toBe('no-answer')
    vi.setSystemTime(START_MS + FLOOR_MS)
    expect(await refresher.refresh()).toBe('complete')
    expect(askedMs).toHaveLength(2)
  })

  it('is vain from when a file says so until the vendor is asked again', async () => {
    const { refresher } = refresherOf(yes)
    await refresher.refresh()
    expect(refresher.isVain).toBe(false)
    refresher.hasNotHelped()
    await refresher.refresh()
    expect(refresher.isVain).toBe(true)
    vi.setSystemTime(START_MS + FLOOR_MS)
    await refresher.refresh()
    expect(refresher.isVain).toBe(false)
  })
})
