import { ExportError } from '../errors.ts'

/** Of a URL that a vendor names; a presigned one with a session token has a few thousand. */
export const MAX_URL_LENGTH = 16_384

/** Who may be asked, and who may be told the token. */
export interface TrustPolicy {
  /** http to loopback is allowed. */
  readonly sandbox: boolean
  /** Origins that may receive `authorization`. */
  readonly credentialOrigins: ReadonlySet<string>
  /** Origins that may be asked without it; `*` stands for labels of a host. */
  readonly openOrigins: readonly string[]
  /** Our own public origin, never asked whatever else is listed: a vendor could make us ask ourselves without end. */
  readonly ownOrigin?: string
  /** From sending to the response's header, redirects included. Omitted: `RESPONSE_DEADLINE_MS`. */
  readonly responseMs?: number
}

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]'])
/** A query with one of these is a credential by itself; a store refuses a second one beside it [N-26]. */
const PRESIGNED = /[?&](X-Amz-Signature|X-Goog-Signature|Signature|sig)=/i
/** Programs disagree on what these mean in a URL, and so on the host that it names. */
const AMBIGUOUS = /[\p{Cc}\\]/u
/** Addresses and names of inner networks, the metadata services among them. */
const INNER_HOST = /^\[|^[\d.]+$|^[^.]+$|\.(?:localhost|local|internal)$/

/** Whether a request to this URL would carry the vendor's token. */
export const carriesToken = (url: URL, policy: TrustPolicy): boolean =>
  policy.credentialOrigins.has(url.origin) && !PRESIGNED.test(url.search)

const patterns = new Map<string, RegExp>()

/**
 * Whether an origin matches `https://*.store.example`; a `*` never crosses into port or scheme, and no pattern reaches into an inner
 * network: an address or a name there matches only when it is listed as it is.
 */
export const originMatches = (origin: string, pattern: string): boolean => {
  const [, host = ''] = /^\w+:\/\/(.*?)(?::\d+)?$/.exec(origin) ?? []
  if (pattern.includes('*') && INNER_HOST.test(host)) return false
  let expression = patterns.get(pattern)
  if (!expression) {
    const source = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[a-z0-9.-]+')
    patterns.set(pattern, (expression = new RegExp(`^${source}$`)))
  }
  return expression.test(origin)
}

/** https, or in a sandbox http to this machine. */
export const isSecure = ({ protocol, hostname }: URL, sandbox: boolean): boolean =>
  protocol === 'https:' || (sandbox && protocol === 'http:' && LOOPBACK.has(hostname))

const refuse = (why: string): never => {
  throw new ExportError('vendor_url_untrusted', `The source's server named a URL that ${why}.`)
}

/**
 * The URL that a vendor named, once it is known to be harmless.
 *
 * @throws ExportError `vendor_url_untrusted` for anything but https to a host that the source names; the message repeats nothing of it.
 * @see [N-26], [N-30]
 */
export const checkedUrl = (value: string, policy: TrustPolicy): URL => {
  if (value.length > MAX_URL_LENGTH) return refuse('is too long')
  if (AMBIGUOUS.test(value)) return refuse('holds a backslash or a control character')
  if (!URL.canParse(value)) return refuse('is not absolute')
  const url = new URL(value)
  if (!isSecure(url, policy.sandbox)) return refuse('is not https')
  if (url.username !== '' || url.password !== '') return refuse('carries credentials')
  if (url.origin === policy.ownOrigin) return refuse('is one of Bulkhead itself')
  const known =
    policy.credentialOrigins.has(url.origin) || policy.openOrigins.some((pattern) => originMatches(url.origin, pattern))
  return known ? url : refuse("lies on an origin that the source's trust settings do not list")
}
