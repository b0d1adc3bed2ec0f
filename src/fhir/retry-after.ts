import { epochMsOf, parseVendorInstant } from './vendor-instant.ts'

/**
 * Wait that a vendor asks for before the next request.
 *
 * A number too large to be a duration is a point in time, whatever the unit (SMART's reference server sends epoch seconds and
 * milliseconds). A point in time may have any form of {@link parseVendorInstant}.
 *
 * @param value `Retry-After`: delay-seconds or HTTP-date (RFC 9110 §10.2.3); quotes and blanks around it do not matter.
 * @param unit What a bare number means at this vendor.
 * @param nowMs Epoch milliseconds.
 * @returns Milliseconds, 0 for a time that has passed; `undefined` when absent, malformed, negative or a bare zero. Never NaN.
 * @see Bulk Data Status Request [ST-03]
 */
export const retryAfterMs = (value: string | null | undefined, unit: 's' | 'ms', nowMs: number): number | undefined => {
  const text = (value ?? '').slice(0, MAX_CHARS).replaceAll(/^[\s"'“”]+|[\s"'“”]+$/g, '')
  if (!/^\d+(\.\d+)?$/.test(text)) return waitUntil(parseVendorInstant(text), nowMs)
  const amount = Number(text)
  if (amount > LONGEST_DELAY) return waitUntil(epochMsOf(amount), nowMs)
  // At zero a vendor would be asked again and again: the caller's default serves both better
  return amount > 0 ? amount * (unit === 's' ? 1000 : 1) : undefined
}

const MAX_CHARS = 80

/** A larger number is a point in time: 30 years in seconds, 11 days in milliseconds. */
const LONGEST_DELAY = 1e9

const waitUntil = (atMs: number | undefined, nowMs: number): number | undefined =>
  atMs === undefined ? undefined : Math.max(0, atMs - nowMs)

/** Bounds of what we ask of a client. */
export interface RetryAfterBounds {
  readonly minSeconds: number
  readonly maxSeconds: number
}

/**
 * `Retry-After` towards a client: whole seconds, because common clients read a date as NaN and poll at once.
 *
 * @param waitMs Milliseconds; NaN gives the lower bound.
 * @see Bulk Data Status Request [ST-03]
 */
export const outwardRetryAfterSeconds = (waitMs: number, { minSeconds, maxSeconds }: RetryAfterBounds): number =>
  Number.isNaN(waitMs) ? minSeconds : Math.min(maxSeconds, Math.max(minSeconds, Math.ceil(waitMs / 1000)))
