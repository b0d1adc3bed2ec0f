const INSTANT =
  /^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))$/

/**
 * True for a FHIR instant: date, time to the second or finer, and a zone. `false` for anything else, and for a day that its
 * month does not have.
 *
 * @see FHIR R4 datatypes, instant [PA-02, PA-04]
 */
export const isInstant = (value: unknown): value is string => {
  if (typeof value !== 'string') return false
  const [, year, month, day] = INSTANT.exec(value) ?? []
  return year !== undefined && year !== '0000' && Number(day) <= daysIn(Number(year), Number(month))
}

/** Days of a month, 1..12. Day 0 of the next month is its last. */
const daysIn = (year: number, month: number): number => new Date(Date.UTC(year, month, 0)).getUTCDate()

/**
 * Writes a FHIR instant in UTC.
 *
 * @param epochMs Within what a `Date` can hold; else a RangeError, because a manifest with a wrong time loses data.
 * @see Bulk Data Manifest, `transactionTime` [MF-01]
 */
export const formatInstant = (epochMs: number): string => new Date(epochMs).toISOString()

/**
 * Writes an IMF-fixdate, the one HTTP date form that may be sent.
 *
 * @param epochMs Within what a `Date` can hold; else a RangeError.
 * @see RFC 9110 §5.6.7; Bulk Data Status Request, `Expires` [ST-12]
 */
export const formatHttpDate = (epochMs: number): string => {
  const date = new Date(epochMs)
  if (Number.isNaN(date.getTime())) throw new RangeError('not a point in time')
  return date.toUTCString()
}

export { parseVendorInstant } from './vendor-instant.ts'
