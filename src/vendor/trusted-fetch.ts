import { ExportError } from '../errors.ts'

/** Hops of one request; a longer chain is a loop or an attack [N-26]. */
export const MAX_REDIRECTS = 5
/** From sending to the response's header, and again from there to the end of a body that is parsed, where nothing else is said. */
export const RESPONSE_DEADLINE_MS = 60_000
/** Of any body that is parsed whole: token answers, job states, one page of a manifest. */
export const MAX_PARSED_BYTES = 16 * 1024 * 1024

/** Who may be asked, and who may be told the token. */
export interface TrustPolicy {
  /** http to loopback is allowed. */
  readonly sandbox: boolean
  /** Origins that may receive `authorization`. */
  readonly credentialOrigins: ReadonlySet<string>
  /** Origins that may be asked without it; `*` stands for labels of a host. */
  readonly openOrigins: readonly string[]
  /** From sending to the response's header. Omitted: `RESPONSE_DEADLINE_MS`. */
  readonly responseMs?: number
}

export interface TrustedRequest {
  readonly method: 'GET' | 'POST' | 'DELETE' | 'HEAD'
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Value of `Authorization`; sent to credential origins only, dropped by every redirect to another origin. */
  readonly authorization?: string
  readonly deadlineMs?: number
  /** 0 for a request whose body is a secret. Omitted: `MAX_REDIRECTS`. */
  readonly maxRedirects?: number
}

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]'])
const REDIRECTS = new Set([301, 302, 303, 307, 308])
/** A query with one of these is a credential by itself; a store refuses a second one beside it [N-26]. */
const PRESIGNED = /[?&](X-Amz-Signature|X-Goog-Signature|Signature|sig)=/i

/** Whether a request to this URL would carry the vendor's token. */
export const carriesToken = (url: URL, policy: TrustPolicy): boolean =>
  policy.credentialOrigins.has(url.origin) && !PRESIGNED.test(url.search)

const patterns = new Map<string, RegExp>()

/** Whether an origin matches `https://*.store.example`; a `*` never crosses into port or scheme. */
export const originMatches = (origin: string, pattern: string): boolean => {
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

/** @throws ExportError `vendor_url_untrusted` for anything but https to a host that the source names. */
const checked = (value: string, policy: TrustPolicy): URL => {
  if (!URL.canParse(value)) return refuse('is not absolute')
  const url = new URL(value)
  if (!isSecure(url, policy.sandbox)) return refuse('is not https')
  if (url.username !== '' || url.password !== '') return refuse('carries credentials')
  const known =
    policy.credentialOrigins.has(url.origin) || policy.openOrigins.some((pattern) => originMatches(url.origin, pattern))
  return known ? url : refuse("lies on an origin that the source's trust settings do not list")
}

/**
 * The only place that calls `fetch`. https only; hosts from configuration; redirects by hand, at most `MAX_REDIRECTS`; the vendor's
 * token goes to credential origins only and never beside a presigned query. Nothing of the client's request is forwarded.
 *
 * @returns The final response, its body unread.
 * @throws ExportError `vendor_url_untrusted`; `vendor_unreachable` when the connection failed or the header did not come in time.
 * @see [N-25], [N-26]
 */
export const trustedFetch = async (request: TrustedRequest, policy: TrustPolicy): Promise<Response> => {
  const first = checked(request.url, policy)
  let url = first
  // A vendor's URL is sent byte for byte [N-03]; parsing would normalise it.
  let target = request.url
  let { method, body } = request
  let withToken = request.authorization !== undefined
  const maxRedirects = request.maxRedirects ?? MAX_REDIRECTS
  for (let hop = 0; hop <= maxRedirects; hop++) {
    withToken &&= carriesToken(url, policy)
    // What a dialect declares besides is for the vendor, not for its store.
    const headers = new Headers(url.origin === first.origin ? request.headers : forStores(request))
    if (withToken && request.authorization !== undefined) headers.set('Authorization', request.authorization)
    const response = await attempt(
      target,
      { method, headers, body: body ?? null },
      request.deadlineMs ?? policy.responseMs ?? RESPONSE_DEADLINE_MS,
    )
    const location = response.headers.get('Location')
    if (!REDIRECTS.has(response.status) || location === null) return response
    await response.body?.cancel()
    if (!URL.canParse(location, target))
      throw new ExportError('vendor_url_untrusted', "The source's server redirected to a malformed URL.")
    const next = new URL(location, target)
    target = URL.canParse(location) ? location : next.href
    checked(target, policy)
    if (next.origin !== url.origin) withToken = false
    if (response.status === 303 || (method === 'POST' && response.status < 303)) {
      method = 'GET'
      body = undefined
    }
    url = next
  }
  throw new ExportError('vendor_url_untrusted', `The source's server redirected more than ${maxRedirects} times.`)
}

/** What says which bytes are wanted, and in what form. */
const CONTENT_HEADERS = new Set(['accept', 'accept-encoding', 'range', 'if-range'])

const forStores = ({ headers = {} }: TrustedRequest): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => CONTENT_HEADERS.has(name.toLowerCase())))

const attempt = async (target: string, init: RequestInit, deadlineMs: number): Promise<Response> => {
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(), deadlineMs)
  try {
    return await fetch(target, { ...init, redirect: 'manual', signal: deadline.signal })
  } catch (cause) {
    throw new ExportError('vendor_unreachable', "The source's server could not be reached or did not answer in time.", { cause })
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Reads a body whole, under a cap.
 *
 * @returns The text; '' for no body.
 * @throws ExportError `vendor_manifest_too_large` over `maxBytes`; `vendor_unreachable` when the body breaks off.
 */
export const readCapped = async (
  response: Response,
  maxBytes = MAX_PARSED_BYTES,
  deadlineMs = RESPONSE_DEADLINE_MS,
): Promise<string> => {
  if (!response.body) return ''
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const timer = setTimeout(() => void reader.cancel().catch(() => undefined), deadlineMs)
  const untilMs = Date.now() + deadlineMs
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  try {
    for (;;) {
      const { value, done } = await reader.read()
      if (done) break
      bytes += value.byteLength
      if (bytes > maxBytes) break
      text += decoder.decode(value, { stream: true })
    }
  } catch (cause) {
    throw unfinished(cause)
  } finally {
    clearTimeout(timer)
    await reader.cancel().catch(() => undefined)
  }
  if (bytes > maxBytes)
    throw new ExportError('vendor_manifest_too_large', `The source's server sent an answer of more than ${maxBytes} bytes.`)
  // A body that was cancelled for its slowness ends like one that is complete.
  if (Date.now() >= untilMs) throw unfinished()
  return text + decoder.decode()
}

const unfinished = (cause?: unknown): ExportError =>
  new ExportError('vendor_unreachable', "The source's server broke off its answer, or did not end it in time.", { cause })
