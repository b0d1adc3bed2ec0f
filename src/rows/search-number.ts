import type { Test } from './search-path.ts'
import { isRecord } from './search-path.ts'

/** Both ends belong to it; a number is a range without width. */
interface Range {
  readonly from: number
  readonly to: number
}

const NUMBER = /^(eq|ne|gt|lt|ge|le|sa|eb|ap)?(-?)(\d+)(?:\.(\d+))?([eE][+-]?\d+)?$/

/**
 * How a number compares. By default, and for `ne`, within half of its last digit; with other prefixes it is exact, and `ap` is within
 * a tenth.
 *
 * @returns `undefined` when it is no number, or one whose precision R4 leaves open: an exponent without a prefix.
 * @see https://hl7.org/fhir/R4/search.html#number
 */
const comparisonOf = (text: string): ((target: Range) => boolean) | undefined => {
  const [, prefix = 'eq', sign = '', whole, decimals = '', exponent] = NUMBER.exec(text) ?? []
  if (whole === undefined) return undefined
  const value = Number(text.replace(/^[a-z]+/, ''))
  const isPrecise = prefix !== 'eq' && prefix !== 'ne'
  if (!Number.isFinite(value) || (exponent !== undefined && !isPrecise)) return undefined
  // Decimal digits, not sums of binary fractions, so that a value on the edge falls on its right side.
  const half = (offset: bigint): number =>
    Number(`${BigInt(`${sign}${whole}${decimals}`) * 10n + offset}e-${decimals.length + 1}`)
  const tenth = Math.abs(value) / 10
  switch (prefix) {
    case 'gt':
      return (target) => target.to > value
    case 'lt':
      return (target) => target.from < value
    case 'ge':
      return (target) => target.to >= value
    case 'le':
      return (target) => target.from <= value
    case 'sa':
      return (target) => target.from > value
    case 'eb':
      return (target) => target.to < value
    case 'ap':
      return (target) => target.to >= value - tenth && target.from <= value + tenth
    default: {
      const [low, high] = [half(-5n), half(5n)]
      const isNear = (target: Range): boolean => low <= target.from && target.to < high
      return prefix === 'eq' ? isNear : (target) => !isNear(target)
    }
  }
}

/** The nearest number on either side: what is less than 5 is not 5. */
const besides = (value: number, direction: 1 | -1): number =>
  value + direction * Math.max(Math.abs(value) * 2 ** -52, Number.MIN_VALUE)

/** A Quantity as a range: all that its comparator allows. */
const quantityRange = ({ value, comparator }: Readonly<Record<string, unknown>>): Range | undefined => {
  if (typeof value !== 'number') return undefined
  switch (comparator) {
    case '<':
      return { from: -Infinity, to: besides(value, -1) }
    case '<=':
      return { from: -Infinity, to: value }
    case '>':
      return { from: besides(value, 1), to: Infinity }
    case '>=':
      return { from: value, to: Infinity }
    default:
      return { from: value, to: value }
  }
}

/** A number, a Quantity, Money or a Range of quantities; `undefined` for what has no single value, such as SampledData. */
const rangeOf = (value: unknown, isUnit: Test): Range | undefined => {
  if (typeof value === 'number') return { from: value, to: value }
  if (!isRecord(value)) return undefined
  const { low, high } = value
  if (low === undefined && high === undefined) return isUnit(value) ? quantityRange(value) : undefined
  const [from, to] = [low, high].map((end) => (isRecord(end) && isUnit(end) ? quantityRange(end) : undefined))
  const isWhole = (low === undefined || from !== undefined) && (high === undefined || to !== undefined)
  return isWhole ? { from: from?.from ?? -Infinity, to: to?.to ?? Infinity } : undefined
}

const MONEY = 'urn:iso:std:iso:4217'

/**
 * A number, or a quantity with its unit. Units are compared, not converted.
 *
 * @param unit System and code; an empty system stands for the code or the unit as it is written. Absent: any unit.
 * @returns `undefined` when the search value cannot be compared.
 */
export const numberTest = (number: string, unit?: readonly [system: string, code: string]): Test | undefined => {
  const compare = comparisonOf(number)
  if (compare === undefined) return undefined
  const isUnit: Test = (value) => {
    if (unit === undefined || !isRecord(value)) return true
    const [system, code] = unit
    if (system === '') return [value['code'], value['unit'], value['currency']].includes(code)
    if (value['currency'] !== undefined) return system === MONEY && value['currency'] === code
    return value['system'] === system && value['code'] === code
  }
  return (candidate) => {
    const target = rangeOf(candidate, isUnit)
    return target !== undefined && compare(target)
  }
}
