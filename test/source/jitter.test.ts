import { expect, it } from 'vitest'
import { fractionOf, MAX_JITTER_MS, Spread, withJitter } from '../../src/source/jitter.ts'

it.each([
  [1_000, 0, 1_000],
  [1_000, 0.5, 1_100],
  [1_000, 1, 1_200],
  [86_400_000, 1, 86_400_000 + MAX_JITTER_MS],
  [0, 1, 0],
])('a wait of %d ms, at %d of its spread, becomes %d ms', (waitMs, fraction, expected) => {
  expect(withJitter(waitMs, fraction)).toBe(expected)
})

it.each([
  ['texts', (index: number) => fractionOf(`job-${index}`)],
  [
    'turns',
    (
      (spread: Spread) => () =>
        spread.next()
    )(new Spread()),
  ],
])('fractions of %s are spread evenly, so that a herd becomes a queue', (_, fraction) => {
  const tenths = Array.from({ length: 10 }, () => 0)
  for (let index = 0; index < 1_000; index++) {
    const tenth = Math.floor(fraction(index) * 10)
    tenths[tenth] = (tenths[tenth] ?? 0) + 1
  }
  expect(tenths).toHaveLength(10)
  expect(Math.min(...tenths)).toBeGreaterThan(60)
  expect(Math.max(...tenths)).toBeLessThan(140)
})

it('a text has the same fraction each time', () => {
  expect(fractionOf('5b0a')).toBe(fractionOf('5b0a'))
})
