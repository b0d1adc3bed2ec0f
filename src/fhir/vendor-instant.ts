/** A number of this size is a point in time, not a duration: milliseconds since 2001. */
const EPOCH_MS_FROM = 1e12
/** Seconds since 2001. */
const EPOCH_SECONDS_FROM = 1e9
const MAX_EPOCH_MS = 8.64e15

/**
 * Reads a number as a point in time by its size.
 *
 * @returns Epoch milliseconds; `undefined` when it is too small to be one, beyond what a date can hold, or NaN.
 */
export const epochMsOf = (value: number): number | undefined => {
  if (value > EPOCH_MS_FROM && value <= MAX_EPOCH_MS) return Math.floor(value)
  return value > EPOCH_SECONDS_FROM && value <= EPOCH_MS_FROM ? Math.floor(value * 1000) : undefined
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

const TIME = String.raw`(?<hour>\d{1,2}):(?<minute>\d{2})(?::(?<second>\d{2})(?:[.,](?<fraction>\d+))?)?`
const ZONE = String.raw`(?<zone>Z|UTC?|GMT|[+-]\d{2}:?\d{2})`

/** The forms vendors were seen to write. White space is single blanks by then. */
const FORMS: readonly RegExp[] = [
  // ISO 8601, its slashed form (LinuxForHealth), and Go's String(), which names the zone twice and may add a monotonic reading
  new RegExp(
    String.raw`^(?<year>\d{4})([-/])(?<month>\d{1,2})\2(?<day>\d{1,2})(?:[Tt ]${TIME})? ?${ZONE}?(?: (?:[A-Z]{3,5}|[+-]\d{2,4}))?(?: m=\S+)?$`,
  ),
  // AWS and Java: Apr 21, 2023 5:58:02 PM
  new RegExp(
    String.raw`^(?<monthName>[A-Za-z]{3,9})\.? (?<day>\d{1,2}), (?<year>\d{4}),? ${TIME} ?(?<half>[AaPp][Mm])?(?: ${ZONE})?$`,
  ),
  // IMF-fixdate and RFC 850; the weekday is not looked at, because Oracle's own sample has a wrong one
  new RegExp(
    String.raw`^(?:[A-Za-z]{3,9},? )?(?<day>\d{1,2})[ -](?<monthName>[A-Za-z]{3})[ -](?<year>\d{4}|\d{2})(?: ${TIME})?(?: ${ZONE})?$`,
  ),
  // asctime
  new RegExp(String.raw`^[A-Za-z]{3} (?<monthName>[A-Za-z]{3}) (?<day>\d{1,2}) ${TIME} (?<year>\d{4})$`),
]

/**
 * Reads a vendor's time in whatever form it came: ISO 8601 with or without zone (UTC then), slashes instead of dashes,
 * `Apr 21, 2023 5:58:02 PM`, PHP's `{ date, timezone }`, epoch seconds or milliseconds, Go's `2026-08-21 10:00:00.1 +0000 UTC`,
 * and HTTP dates whose weekday may be wrong. Fractions beyond milliseconds are cut.
 *
 * @returns Epoch milliseconds; `undefined` when absent or unreadable. Never NaN.
 * @see Bulk Data Status Request, `transactionTime` and `Expires` [MF-01, ST-12]
 */
export const parseVendorInstant = (value: unknown): number | undefined => {
  if (typeof value === 'number') return epochMsOf(value)
  if (typeof value === 'string') return textInstant(value)
  if (typeof value !== 'object' || value === null) return undefined
  const { date, timezone } = value as { readonly date?: unknown; readonly timezone?: unknown }
  if (typeof date !== 'string') return undefined
  return textInstant(date, typeof timezone === 'string' ? timezone : undefined)
}

/** `zone` is that of a text that names none: an offset, or an IANA name. */
const textInstant = (text: string, zone = 'UTC'): number | undefined => {
  if (text.length > MAX_CHARS) return undefined
  const plain = text.replaceAll(/^[\s"'“”]+|[\s"'“”]+$/g, '').replaceAll(/\s+/g, ' ')
  if (/^\d+(\.\d+)?$/.test(plain)) return epochMsOf(Number(plain))
  for (const form of FORMS) {
    const parts = form.exec(plain)?.groups
    if (parts !== undefined) return instantOf(parts, zone)
  }
  return undefined
}

const MAX_CHARS = 80

const instantOf = (parts: Readonly<Record<string, string | undefined>>, defaultZone: string): number | undefined => {
  const number = (name: string): number => Number(parts[name] ?? 0)
  const year = fullYear(parts['year'] ?? '')
  const month = parts['monthName'] === undefined ? number('month') : monthNumber(parts['monthName'])
  const hour = parts['half'] === undefined ? number('hour') : (number('hour') % 12) + (/^p/i.test(parts['half']) ? 12 : 0)
  // A leap second is not known to Date and becomes the second after it
  if (hour > 23 || number('minute') > 59 || number('second') > 60) return undefined
  const day = new Date(Date.UTC(year, month - 1, number('day')))
  if (day.getUTCMonth() !== month - 1 || day.getUTCDate() !== number('day')) return undefined
  const milliseconds = Number((parts['fraction'] ?? '').padEnd(3, '0').slice(0, 3))
  const wallClockMs = day.getTime() + ((hour * 60 + number('minute')) * 60 + number('second')) * 1000 + milliseconds
  const offsetMs = zoneOffsetMs(parts['zone'] ?? defaultZone, wallClockMs)
  return offsetMs === undefined ? undefined : wallClockMs - offsetMs
}

/** Two digits are an RFC 850 year. */
const fullYear = (digits: string): number =>
  digits.length > 2 ? Number(digits) : Number(digits) + (Number(digits) < 70 ? 2000 : 1900)

/** 1..12, or 0 for a name that no month has. */
const monthNumber = (name: string): number => MONTHS.indexOf(name.slice(0, 3).toLowerCase()) + 1

const zoneOffsetMs = (zone: string, wallClockMs: number): number | undefined => {
  if (/^(Z|UTC?|GMT)$/i.test(zone)) return 0
  const [, sign, hours, minutes] = /^([+-])(\d{2}):?(\d{2})$/.exec(zone) ?? []
  if (sign === undefined) return namedOffsetMs(zone, wallClockMs)
  const offsetMinutes = Number(hours) * 60 + Number(minutes)
  return offsetMinutes > 14 * 60 || Number(minutes) > 59 ? undefined : offsetMinutes * (sign === '-' ? -60_000 : 60_000)
}

/** Offset of an IANA zone, as PHP's objects carry; `undefined` for a name that is not known. */
const namedOffsetMs = (timeZone: string, wallClockMs: number): number | undefined => {
  try {
    const format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' })
    const at = (ms: number): number => {
      const name = format.formatToParts(ms).find((part) => part.type === 'timeZoneName')?.value
      const [, sign, hours, minutes] = /([+-])(\d{2}):(\d{2})/.exec(name ?? '') ?? []
      return (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * (sign === '-' ? -60_000 : 60_000)
    }
    // The offset holds at the instant, and only the wall clock is known: a second look corrects the first
    return at(wallClockMs - at(wallClockMs))
  } catch {
    return undefined
  }
}
