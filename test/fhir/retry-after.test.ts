import { expect, it } from 'vitest'
import { outwardRetryAfterSeconds, retryAfterMs } from '../../src/fhir/retry-after.ts'

const NOW_MS = Date.UTC(2026, 0, 31, 12, 0, 0)
const INSTANT = '2026-01-31T12:05:00Z'

it.each<[string | null | undefined, 's' | 'ms', number | undefined]>([
  ['120', 's', 120_000],
  [' "120" ', 's', 120_000],
  ['1.5', 's', 1_500],
  ['18000', 's', 18_000_000], // five hours were seen
  ['18000', 'ms', 18_000],
  [String(NOW_MS + 300_000), 's', 300_000],
  [String(NOW_MS + 300_000), 'ms', 300_000],
  [String(NOW_MS / 1000 + 300), 's', 300_000],
  [String(NOW_MS / 1000 + 300), 'ms', 300_000],
  [String(NOW_MS - 300_000), 'ms', 0],
  ['Sat, 31 Jan 2026 12:05:00 GMT', 's', 300_000],
  ['Saturday, 31-Jan-26 12:05:00 GMT', 'ms', 300_000],
  ['Sat Jan 31 12:05:00 2026', 's', 300_000],
  [INSTANT, 's', 300_000],
  [`"${INSTANT}"`, 's', 300_000],
  ['2026-01-31 12:05:00.5 +0000 UTC', 's', 300_500],
  ['Fri, 31 Dec 1999 23:59:59 GMT', 's', 0],
  ['soon', 's', undefined],
  ['120 s', 's', undefined],
  ['0', 's', undefined],
  ['-5', 's', undefined],
  ['NaN', 's', undefined],
  ['9'.repeat(400), 's', undefined],
  ['1e9', 's', undefined],
  ['', 's', undefined],
  [null, 's', undefined],
  [undefined, 's', undefined],
])('Retry-After %j in %s waits %j ms [ST-03, N-14, N-15]', (value, unit, expected) => {
  expect(retryAfterMs(value, unit, NOW_MS)).toBe(expected)
})

it.each([
  [0, 5],
  [-1, 5],
  [5_001, 6],
  [60_000, 60],
  [18_000_000, 120],
  [Number.POSITIVE_INFINITY, 120],
  [Number.NaN, 5],
])('a wait of %j ms reads %j seconds outside [ST-03, N-16]', (waitMs, seconds) => {
  expect(outwardRetryAfterSeconds(waitMs, { minSeconds: 5, maxSeconds: 120 })).toBe(seconds)
})
