import * as fc from 'fast-check'

export const pick = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values)

/** Mostly the first, now and then the second. */
export const mostly = <T>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<T>, weight = 8): fc.Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: odd })

export const LONG = 'x'.repeat(9_000)
const ODD = [
  '',
  '.',
  '..',
  '%2e%2e',
  '%2E',
  '..%2f..',
  'a%2fb',
  '%00',
  'a%0d%0ab',
  '%',
  '%zz',
  '%ff',
  '%c0%ae',
  'é',
  '\u{1f600}',
  '%F0%9F%98%80',
  '*',
  '$',
  "'",
  ';a=b',
  '@',
  'a b',
  '__proto__',
  'constructor',
  'toString',
  LONG,
  ':source',
  'null',
  '\\',
  '%5c',
  '%252e',
] as const
export const oddSegment: fc.Arbitrary<string> = fc.oneof(
  pick(...ODD),
  fc.string({ maxLength: 12 }).map((text) => encodeURIComponent(text.toWellFormed())),
)

export const TEXT = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.string({ unit: 'binary', maxLength: 10 }),
  pick(
    'canary-text',
    LONG,
    '\ud800',
    '\0',
    "'; DROP TABLE job; --",
    '<script>',
    '../../etc',
    '{}',
    '[]',
    'null',
    '0',
    '-1',
    '1e309',
    'true',
  ),
)
