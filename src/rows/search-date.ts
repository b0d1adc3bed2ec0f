import type { Test } from './search-path.ts'
import { isRecord } from './search-path.ts'

/** Epoch milliseconds, the end exclusive. */
interface Range {
  readonly from: number
  readonly to: number
}

const DATE = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?$/
const DAY_MS = 86_400_000

const utcMs = (year: number, monthIndex: number, day: number): number => new Date(0).setUTCFullYear(year, monthIndex, day)

/** The time that a date, dateTime or instant may mean by its precision; without a zone, in UTC. `undefined` for anything else. */
export const dateRange = (text: unknown): Range | undefined => {
  const parts = typeof text === 'string' ? DATE.exec(text) : null
  if (parts === null) return undefined
  const [, year = '', month, day, hour, minute, second, fraction, zone] = parts
  const [y, m, d] = [Number(year), Number(month ?? 1) - 1, Number(day ?? 1)]
  const midnight = utcMs(y, m, d)
  if (m > 11 || m < 0 || new Date(midnight).getUTCDate() !== d) return undefined
  if (month === undefined) return { from: midnight, to: utcMs(y + 1, 0, 1) }
  if (day === undefined) return { from: midnight, to: utcMs(y, m + 1, 1) }
  if (hour === undefined) return { from: midnight, to: midnight + DAY_MS }
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second ?? 0) > 60) return undefined
  const [, sign = '+', offsetHours = 0, offsetMinutes = 0] = /^([+-])(\d\d):(\d\d)$/.exec(zone ?? '') ?? []
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === '-' ? -60_000 : 60_000)
  const from =
    midnight +
    Number(hour) * 3_600_000 +
    Number(minute) * 60_000 +
    Number(second ?? 0) * 1000 +
    Number((fraction ?? '').slice(0, 3).padEnd(3, '0')) -
    offset
  const width = second === undefined ? 60_000 : 1000 / 10 ** Math.min(fraction?.length ?? 0, 3)
  return { from, to: from + width }
}

const boundsOf = (start: unknown, end: unknown): Range | undefined => {
  // What is no date is as good as absent.
  const [from, to] = [dateRange(start), dateRange(end)]
  return from === undefined && to === undefined ? undefined : { from: from?.from ?? -Infinity, to: to?.to ?? Infinity }
}

/** A Timing by its outer limits: those of its bounds, or else of its events, or else none. */
const timingRange = (timing: Readonly<Record<string, unknown>>): Range => {
  const { event, repeat } = timing
  const period = isRecord(repeat) ? repeat['boundsPeriod'] : undefined
  const bounds = isRecord(period) ? boundsOf(period['start'], period['end']) : undefined
  const events = (Array.isArray(event) ? event : []).flatMap((each) => dateRange(each) ?? [])
  if (bounds !== undefined) return bounds
  if (events.length === 0) return { from: -Infinity, to: Infinity }
  return { from: Math.min(...events.map(({ from }) => from)), to: Math.max(...events.map(({ to }) => to)) }
}

const rangeOf = (value: unknown): Range | undefined => {
  if (!isRecord(value)) return dateRange(value)
  if ('start' in value || 'end' in value) return boundsOf(value['start'], value['end'])
  return 'event' in value || 'repeat' in value || 'code' in value ? timingRange(value) : undefined
}

const isWithin = (target: Range, search: Range): boolean => search.from <= target.from && target.to <= search.to

/**
 * How the range of a value in a resource and that of the search compare. Above a value begins where its own range ends for `gt`, and
 * where it begins for `ge`, so that the two differ by the value itself.
 *
 * @see https://hl7.org/fhir/R4/search.html#prefix
 */
const COMPARISONS: Readonly<Record<string, (target: Range, search: Range) => boolean>> = {
  eq: isWithin,
  ne: (target, search) => !isWithin(target, search),
  gt: (target, search) => target.to > search.to,
  lt: (target, search) => target.from < search.from,
  ge: (target, search) => target.to > search.from,
  le: (target, search) => target.from < search.to,
  sa: (target, search) => target.from >= search.to,
  eb: (target, search) => target.to <= search.from,
  // How near is near is left to us: what overlaps, so that the answer does not depend on when it is asked.
  ap: (target, search) => target.to > search.from && target.from < search.to,
}

/** `undefined` when the search value is no date with one of the prefixes. */
export const dateTest = (value: string): Test | undefined => {
  const [, prefix = 'eq', date] = /^(eq|ne|gt|lt|ge|le|sa|eb|ap)?(\d.*)$/.exec(value.replace(/ (?=\d\d:\d\d$)/, '+')) ?? []
  const search = dateRange(date)
  const compare = COMPARISONS[prefix]
  if (search === undefined || compare === undefined) return undefined
  return (candidate) => {
    const target = rangeOf(candidate)
    return target !== undefined && compare(target, search)
  }
}
