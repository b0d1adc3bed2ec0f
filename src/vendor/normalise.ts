import { parseManifest, type ParsedManifest } from '../fhir/manifest.ts'
import { parseOutcome } from '../fhir/operation-outcome.ts'
import { parseProgress, type Progress } from '../fhir/progress.ts'
import { retryAfterMs } from '../fhir/retry-after.ts'
import { parseVendorInstant } from '../fhir/vendor-instant.ts'
import type { Adapter, Phase, VendorResponse } from './adapter.ts'
import { at, readFrom } from './json-pointer.ts'

/** Vendor identifiers for its support, by the name of where they stood. */
export type Trace = Readonly<Record<string, string>>

/** What a vendor made of a kick-off. `ambiguous` means that a vendor job may exist that we cannot name. */
export type KickoffOutcome =
  | {
      readonly kind: 'accepted'
      readonly statusUrl: string
      readonly retryAfterMs?: number
      readonly vendorClockMs?: number
      readonly trace: Trace
    }
  /** The request is known not to run. `about`: whether the vendor counts all exports, or those of this level and group [N-05]. */
  | { readonly kind: 'busy'; readonly about: 'source' | 'target'; readonly retryAfterMs?: number }
  | { readonly kind: 'rejected'; readonly status: number; readonly trace: Trace }
  | { readonly kind: 'unauthorized' }
  | { readonly kind: 'ambiguous' }

/** Why an answer does not help: none came, or one that says "not now"; else it cannot be understood, and may never be [N-11]. */
export type Unclear = 'unreachable' | 'unreadable'

/** What a vendor says of a job. `unclear` is an answer that tells nothing; it is asked again. */
export type StatusOutcome =
  | { readonly kind: 'running'; readonly retryAfterMs?: number; readonly progress: Progress }
  | { readonly kind: 'complete'; readonly manifest: ParsedManifest; readonly expiresMs?: number; readonly trace: Trace }
  | { readonly kind: 'failed'; readonly trace: Trace }
  | { readonly kind: 'unclear'; readonly cause: Unclear; readonly retryAfterMs?: number }
  | { readonly kind: 'lost' }
  | { readonly kind: 'unauthorized' }

/** "Not now"; 500 is not among them, since it may mean the job as well as the moment. */
const NOT_NOW_STATUS = new Set([408, 425, 429, 502, 503, 504])
/** Epic's words for a kick-off inside its window; harmless to understand from everyone [N-05]. */
const TOO_SOON = /too recently/i
/** A trace id is for a support ticket: short, printable, and nothing that could hold more. */
const TRACE_ID = /^[\w.:/+=-]{1,128}$/

/** Declared reads first: envelope check, unwrapping, then the adapter's own code. `undefined`: not an answer to this phase. */
const prepare = (phase: Phase, dialect: Adapter, response: VendorResponse): VendorResponse | undefined => {
  const expected = dialect.read?.expect?.[phase]
  // An error need not come in the envelope.
  if (expected && response.status < 400) {
    const value = at(response.body, expected.body)
    if (value !== undefined && value !== expected.equals) return undefined
  }
  const pointer = dialect.read?.unwrap?.[phase]
  const unwrapped = pointer === undefined ? undefined : at(response.body, pointer)
  const plain = unwrapped === undefined ? response : { ...response, body: unwrapped }
  return dialect.conform?.[phase]?.(plain) ?? plain
}

/** A date of the vendor's is meant by the vendor's clock, which its `Date` tells. */
const vendorNowMs = (response: VendorResponse, nowMs: number): number => parseVendorInstant(response.headers.date) ?? nowMs

/** The wait that an answer asks for, in milliseconds [N-14], [N-15]. */
export const waitOf = (dialect: Adapter, response: VendorResponse, nowMs: number): { retryAfterMs?: number } => {
  const clockMs = vendorNowMs(response, nowMs)
  // Azure counts in this header's own unit beside the standard one [N-15].
  const precise = retryAfterMs(response.headers['x-ms-retry-after-ms'], 'ms', clockMs)
  const waitMs = precise ?? retryAfterMs(response.headers['retry-after'], dialect.read?.retryAfter ?? 's', clockMs)
  return waitMs === undefined ? {} : { retryAfterMs: waitMs }
}

const traceOf = (dialect: Adapter, response: VendorResponse): Trace => {
  const trace: Record<string, string> = {}
  for (const from of dialect.read?.trace ?? []) {
    const value = readFrom(response, from)
    if (typeof value === 'string' && TRACE_ID.test(value)) trace['header' in from ? from.header : from.body] = value
  }
  return trace
}

const textOf = (body: unknown): string => (typeof body === 'string' ? body : (JSON.stringify(body) ?? ''))

/** A location is one URL; AB2D lists several, comma-joined, to say that too many jobs run [N-05]. */
const locationOf = (dialect: Adapter, response: VendorResponse, requestUrl: string): string | undefined => {
  const declared = dialect.read?.statusUrl
  const value = (declared && readFrom(response, declared)) || response.headers['content-location'] || response.headers.location
  if (typeof value !== 'string' || value === '' || /,\s*https?:/.test(value) || !URL.canParse(value, requestUrl)) return undefined
  return URL.canParse(value) ? value : new URL(value, requestUrl).href
}

/**
 * Reads the answer to a kick-off.
 *
 * @param response The raw answer; `requestUrl` resolves a relative location.
 * @see Bulk Data Kick-off Request, KO-11 to KO-13; [N-02], [N-05], [N-06], [N-15]
 */
export const normaliseKickoff = (dialect: Adapter, raw: VendorResponse, requestUrl: string, nowMs: number): KickoffOutcome => {
  const response = prepare('kickoff', dialect, raw)
  if (!response) return { kind: 'ambiguous' }
  const { status } = response
  if (status >= 200 && status < 300) {
    const statusUrl = locationOf(dialect, response, requestUrl)
    if (statusUrl === undefined) return { kind: 'ambiguous' }
    const vendorClockMs = parseVendorInstant(response.headers.date)
    return {
      kind: 'accepted',
      statusUrl,
      ...waitOf(dialect, response, nowMs),
      ...(vendorClockMs === undefined ? {} : { vendorClockMs }),
      trace: traceOf(dialect, response),
    }
  }
  if (status === 401) return { kind: 'unauthorized' }
  const duplicate = status === 409 && parseOutcome(response.body)?.codes.includes('duplicate') === true
  const tooSoon = status < 500 && TOO_SOON.test(textOf(response.body).slice(0, 4096))
  if (status === 429 || status === 503 || duplicate || tooSoon) {
    return { kind: 'busy', about: duplicate || tooSoon ? 'target' : 'source', ...waitOf(dialect, response, nowMs) }
  }
  // A gateway that gave up waiting does not know what happened behind it, and a redirect to nowhere says nothing.
  if (status < 400 || status === 408 || status === 502 || status === 504) return { kind: 'ambiguous' }
  return { kind: 'rejected', status, trace: traceOf(dialect, response) }
}

/**
 * Reads the answer to a status request. The state comes from the dialect where it declares one, else from HTTP; a 200 is complete
 * only with a manifest in it.
 *
 * @param requestUrl Resolves relative file URLs.
 * @see Bulk Data Status Request, ST-01 to ST-11; [N-08], [N-09], [N-11], [N-16], [N-17]
 */
export const normaliseStatus = (dialect: Adapter, raw: VendorResponse, requestUrl: string, nowMs: number): StatusOutcome => {
  const response = prepare('status', dialect, raw)
  if (!response) return { kind: 'unclear', cause: 'unreadable' }
  const { status, body } = response
  const wait = waitOf(dialect, response, nowMs)
  if (status === 401) return { kind: 'unauthorized' }
  const outcome = parseOutcome(body)
  if (NOT_NOW_STATUS.has(status) || (status >= 400 && outcome?.transient === true)) {
    return { kind: 'unclear', cause: 'unreachable', ...wait }
  }
  if (status === 500) return { kind: 'unclear', cause: 'unreadable', ...wait }
  if (status === 403 || status === 404 || status === 410) return { kind: 'lost' }
  if (status >= 400) return { kind: 'failed', trace: traceOf(dialect, response) }

  const declared = dialect.read?.state
  const value = declared && readFrom(response, declared.from)
  const named = typeof value === 'string' ? value : textOf(value)
  const state = value !== undefined && declared && Object.hasOwn(declared.map, named) ? declared.map[named] : undefined
  // A state that the dialect does not know is not a state that HTTP knows better.
  if (value !== undefined && state === undefined) return { kind: 'unclear', cause: 'unreadable', ...wait }
  if (state === 'failed') return { kind: 'failed', trace: traceOf(dialect, response) }
  if (state === 'in-progress' || (state === undefined && status === 202)) {
    const source = dialect.read?.progress
    return {
      kind: 'running',
      ...wait,
      progress: parseProgress(source ? readFrom(response, source) : response.headers['x-progress']),
    }
  }
  const manifest = parseManifest(body, requestUrl)
  if (manifest) {
    const expiresMs = parseVendorInstant(response.headers.expires)
    const lifeMs = expiresMs === undefined ? undefined : expiresMs - vendorNowMs(response, nowMs)
    return {
      kind: 'complete',
      manifest,
      ...(lifeMs === undefined ? {} : { expiresMs: nowMs + lifeMs }),
      trace: traceOf(dialect, response),
    }
  }
  if (outcome && !outcome.transient) return { kind: 'failed', trace: traceOf(dialect, response) }
  return { kind: 'unclear', cause: outcome ? 'unreachable' : 'unreadable', ...wait }
}

/** Whether a status says that the server cannot answer now, and nothing of what was asked for. 500 does where no job is spoken of. */
export const isNotNow = (status: number): boolean => status >= 500 || NOT_NOW_STATUS.has(status)

/** Whether the answer to a DELETE means that the vendor job is gone [N-31]. */
export const isCancelled = (status: number): boolean => [200, 202, 204, 404, 409, 410].includes(status)
