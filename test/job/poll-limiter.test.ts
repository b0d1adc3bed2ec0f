import { describe, expect, it } from 'vitest'
import { PollLimiter } from '../../src/job/poll-limiter.ts'

const START_MS = 1_700_000_000_000

describe('PollLimiter [ST-04]', () => {
  it('lets as many pass in a minute as it is told, and names a whole number of seconds to the next', () => {
    const limiter = new PollLimiter()
    const waits = Array.from({ length: 5 }, (_, index) => limiter.overLimit(START_MS + index * 1_000, 3))
    expect(waits).toEqual([undefined, undefined, undefined, 57, 56])
  })

  it('keeps its word: after the wait it named a request passes, and not before', () => {
    const limiter = new PollLimiter()
    limiter.overLimit(START_MS, 1)
    expect(limiter.overLimit(START_MS + 500, 1)).toBe(60)
    expect(limiter.overLimit(START_MS + 59_999, 1)).toBe(1)
    expect(limiter.overLimit(START_MS + 60_000, 1)).toBeUndefined()
  })

  it('does not count the requests that it refused', () => {
    const limiter = new PollLimiter()
    limiter.overLimit(START_MS, 1)
    for (let second = 1; second < 60; second++) expect(limiter.overLimit(START_MS + second * 1_000, 1)).toBe(60 - second)
    expect(limiter.overLimit(START_MS + 60_000, 1)).toBeUndefined()
  })

  it('looks back a minute at any moment, so that a burst at the turn of one does not pass', () => {
    const limiter = new PollLimiter()
    for (let index = 0; index < 10; index++) expect(limiter.overLimit(START_MS + 59_000, 10)).toBeUndefined()
    expect(limiter.overLimit(START_MS + 61_000, 10)).toBe(58)
  })
})
