import { expect, it } from 'vitest'
import { formatHttpDate, formatInstant, isInstant, parseVendorInstant } from '../../src/fhir/instant.ts'

it.each([
  ['2026-01-31T10:20:30Z', true],
  ['2026-01-31T10:20:30.1234567+14:00', true],
  ['2024-02-29T23:59:60-05:30', true],
  ['2026-02-29T10:20:30Z', false],
  ['2026-13-01T10:20:30Z', false],
  ['2026-01-31T24:00:00Z', false],
  ['2026-01-31T10:20:30', false],
  ['2026-01-31T10:20Z', false],
  ['2026-01-31T10:20:30+15:00', false],
  ['0000-01-31T10:20:30Z', false],
  ['2026-01-31', false],
  ['', false],
  [1_769_854_830_000, false],
  [null, false],
])('isInstant(%j) is %j [PA-02]', (value, expected) => {
  expect(isInstant(value)).toBe(expected)
})

it.each<[unknown, string | undefined]>([
  ['2026-01-31T10:20:30Z', '2026-01-31T10:20:30.000Z'],
  ['2026-01-31T10:20:30.5+02:00', '2026-01-31T08:20:30.500Z'],
  ['2026-01-31T10:20:30+0200', '2026-01-31T08:20:30.000Z'],
  ['2026-01-31T10:20:30', '2026-01-31T10:20:30.000Z'], // no zone: UTC
  ['2026-01-31', '2026-01-31T00:00:00.000Z'],
  ['2023-06-16T17:01:04.6036373+00:00', '2023-06-16T17:01:04.603Z'],
  ['2020/01/20 16:53:41.160 -0500', '2020-01-20T21:53:41.160Z'],
  ['Apr 21, 2023 5:58:02 PM', '2023-04-21T17:58:02.000Z'],
  ['Apr 21, 2023, 12:58:02\u202fAM', '2023-04-21T00:58:02.000Z'],
  ['"2026-01-31T10:20:30Z"', '2026-01-31T10:20:30.000Z'],
  [{ date: '2021-02-05 20:48:38.000000', timezone_type: 3, timezone: 'UTC' }, '2021-02-05T20:48:38.000Z'],
  [{ date: '2021-02-05 20:48:38.000000', timezone_type: 3, timezone: 'America/New_York' }, '2021-02-06T01:48:38.000Z'],
  [{ date: '2021-07-05 20:48:38.000000', timezone_type: 3, timezone: 'Europe/Paris' }, '2021-07-05T18:48:38.000Z'],
  [{ date: '2021-02-05 20:48:38', timezone_type: 1, timezone: '+05:30' }, '2021-02-05T15:18:38.000Z'],
  [{ date: '2021-02-05 20:48:38' }, '2021-02-05T20:48:38.000Z'],
  [1_700_000_000, '2023-11-14T22:13:20.000Z'],
  [1_700_000_000_123, '2023-11-14T22:13:20.123Z'],
  ['1700000000', '2023-11-14T22:13:20.000Z'],
  ['2026-08-21 10:00:00.1 +0000 UTC', '2026-08-21T10:00:00.100Z'],
  ['2026-08-21 10:00:00.123456789 -0400 EDT m=+0.004', '2026-08-21T14:00:00.123Z'],
  ['Fri, 31 Dec 1999 23:59:59 GMT', '1999-12-31T23:59:59.000Z'],
  ['Mon, 22 Jul 2025 23:59:59 GMT', '2025-07-22T23:59:59.000Z'], // a Tuesday
  ['Mon, 22 Jul 2025', '2025-07-22T00:00:00.000Z'],
  ['Sunday, 06-Nov-94 08:49:37 GMT', '1994-11-06T08:49:37.000Z'],
  ['Sun Nov  6 08:49:37 1994', '1994-11-06T08:49:37.000Z'],
  ['EXAMPLE_EXPIRATION_DATE', undefined],
  ['2026-02-30T10:20:30Z', undefined],
  ['2026-01-31T25:20:30Z', undefined],
  ['31 Foo 2026 10:00:00 GMT', undefined],
  ['Fri, 31 Dec 1999 23:59:59 EST', undefined], // a guessed offset is worse than none
  [{ date: '2021-02-05 20:48:38', timezone: 'Mars/Olympus' }, undefined],
  [{ date: 5 }, undefined],
  ['', undefined],
  [' '.repeat(100_000), undefined],
  [-5, undefined],
  [0, undefined],
  [Number.NaN, undefined],
  [Number.POSITIVE_INFINITY, undefined],
  [null, undefined],
  [undefined, undefined],
  [true, undefined],
  [[], undefined],
])('parseVendorInstant(%j) is %j [N-20, MF-01]', (value, expected) => {
  const epochMs = parseVendorInstant(value)
  expect(epochMs === undefined ? undefined : formatInstant(epochMs)).toBe(expected)
})

it('writes FHIR instants and IMF-fixdates [MF-01, ST-12, N-34]', () => {
  expect(formatInstant(0)).toBe('1970-01-01T00:00:00.000Z')
  expect(isInstant(formatInstant(1_700_000_000_123))).toBe(true)
  expect(formatHttpDate(784_111_777_000)).toBe('Sun, 06 Nov 1994 08:49:37 GMT')
  expect(() => formatInstant(Number.NaN)).toThrow(RangeError)
  expect(() => formatHttpDate(Number.NaN)).toThrow(RangeError)
})
