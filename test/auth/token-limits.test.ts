import { describe, expect, it } from 'vitest'
import { Buckets, MAX_BUCKETS, networkOf } from '../../src/auth/token-limits.ts'
import { NOW_MS } from './support.ts'

const empty = (buckets: Buckets, key: string, times: number, nowMs = NOW_MS): void => {
  for (let time = 0; time < times; time++) buckets.take(key, nowMs)
}

describe('a bucket', () => {
  it('gives as many as its minute has, then says when the next is there, and keeps its word', () => {
    const buckets = new Buckets(30)
    for (let time = 0; time < 30; time++) {
      expect(buckets.waitSeconds('a', NOW_MS)).toBeUndefined()
      buckets.take('a', NOW_MS)
    }
    expect(buckets.waitSeconds('a', NOW_MS)).toBe(2)
    expect(buckets.waitSeconds('a', NOW_MS + 1999)).toBe(1)
    expect(buckets.waitSeconds('a', NOW_MS + 2000)).toBeUndefined()
    expect(buckets.waitSeconds('b', NOW_MS)).toBeUndefined()
  })

  it('is full again after a minute, and no fuller after an hour', () => {
    const buckets = new Buckets(3)
    empty(buckets, 'a', 3)
    empty(buckets, 'a', 2, NOW_MS + 3_600_000)
    expect(buckets.waitSeconds('a', NOW_MS + 3_600_000)).toBeUndefined()
    buckets.take('a', NOW_MS + 3_600_000)
    expect(buckets.waitSeconds('a', NOW_MS + 3_600_000)).toBe(20)
  })

  it('gets no emptier than empty, however much was in flight', () => {
    const buckets = new Buckets(60)
    empty(buckets, 'a', 10_000)
    expect(buckets.waitSeconds('a', NOW_MS)).toBe(1)
  })

  it('loses nothing when the clock goes back', () => {
    const buckets = new Buckets(2)
    empty(buckets, 'a', 1)
    expect(buckets.waitSeconds('a', NOW_MS - 60_000)).toBeUndefined()
  })

  it.each([1, 7, 60, 1000, 100_000])('of %d a minute never makes anyone wait for less than a second', (perMinute) => {
    const buckets = new Buckets(perMinute)
    empty(buckets, 'a', perMinute)
    const waitSeconds = buckets.waitSeconds('a', NOW_MS) ?? 0
    expect(Number.isInteger(waitSeconds) && waitSeconds >= 1 && waitSeconds <= 60).toBe(true)
    expect(buckets.waitSeconds('a', NOW_MS + waitSeconds * 1000)).toBeUndefined()
  })
})

it('memory is bounded: over the most, the bucket that was drawn on longest ago is forgotten', () => {
  const buckets = new Buckets(1)
  for (let key = 0; key < MAX_BUCKETS; key++) buckets.take(`${key}`, NOW_MS)
  buckets.take('1', NOW_MS)
  expect(buckets.size).toBe(MAX_BUCKETS)
  expect(buckets.waitSeconds('0', NOW_MS)).toBe(60)
  for (const key of ['new', 'newer']) buckets.take(key, NOW_MS)
  expect(buckets.size).toBe(MAX_BUCKETS)
  for (const forgotten of ['0', '2']) expect(buckets.waitSeconds(forgotten, NOW_MS)).toBeUndefined()
  for (const kept of ['1', '3', 'new', 'newer']) expect(buckets.waitSeconds(kept, NOW_MS)).toBe(60)
})

it.each([
  ['203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8:1:2::9', '2001:db8:1:2'],
  ['2001:0DB8:1:2:ffff::', '2001:db8:1:2'],
  ['2001:db8::1', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  [undefined, undefined],
  ['', undefined],
  ['localhost', undefined],
  ['1.2.3', undefined],
  [':::', undefined],
  ['a]:b', undefined],
  ['1:2/..', undefined],
  ['x'.repeat(100_000), undefined],
])('the address %j counts as %j', (address, network) => {
  expect(networkOf(address)).toBe(network)
})
