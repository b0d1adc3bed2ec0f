import { ExportError } from '../errors.ts'
import { RESPONSE_DEADLINE_MS } from './capped-body.ts'
import { carriesToken, checkedUrl, type TrustPolicy } from './trusted-url.ts'

export { MAX_PARSED_BYTES, readCapped, RESPONSE_DEADLINE_MS } from './capped-body.ts'
export { carriesToken, isSecure, originMatches, type TrustPolicy } from './trusted-url.ts'

/** Hops of one request; a longer chain is a loop or an attack [N-26]. */
export const MAX_REDIRECTS = 5
/** Of the header of an answer, all fields together. The platform's own limit is higher, and not the same everywhere. */
export const MAX_HEADER_BYTES = 64 * 1024
/** What stands around each field: `: ` and the line's end. */
const FIELD_BYTES = 4

export interface TrustedRequest {
  readonly method: 'GET' | 'POST' | 'DELETE' | 'HEAD'
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Value of `Authorization`; sent to credential origins only, dropped by every redirect to another origin. */
  readonly authorization?: string
  /** The body is wanted as it is encoded. */
  readonly isRaw?: boolean
  readonly deadlineMs?: number
  /** 0 for a request whose body is a secret. Omitted: `MAX_REDIRECTS`. */
  readonly maxRedirects?: number
}

const RAW = { encodeResponseBody: 'manual' } as const

const REDIRECTS = new Set([301, 302, 303, 307, 308])

/**
 * The only place that calls `fetch`. https only; hosts from configuration; redirects by hand, at most `MAX_REDIRECTS`; the vendor's
 * token goes to credential origins only and never beside a presigned query. Nothing of the client's request is forwarded.
 *
 * @returns The final response, its body unread.
 * @throws ExportError `vendor_url_untrusted`; `vendor_unreachable` when the connection failed or the header did not come in time,
 *   all redirects taken together; `vendor_answer_invalid` for a header of more than `MAX_HEADER_BYTES`.
 * @see [N-25], [N-26]
 */
export const trustedFetch = async (request: TrustedRequest, policy: TrustPolicy): Promise<Response> => {
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(), request.deadlineMs ?? policy.responseMs ?? RESPONSE_DEADLINE_MS)
  try {
    return await followed(request, policy, deadline.signal)
  } finally {
    clearTimeout(timer)
  }
}

const followed = async (request: TrustedRequest, policy: TrustPolicy, signal: AbortSignal): Promise<Response> => {
  const first = checkedUrl(request.url, policy)
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
    const response = await attempt(target, { method, headers, body: body ?? null, signal, ...(request.isRaw ? RAW : {}) })
    const location = response.headers.get('Location')
    if (!REDIRECTS.has(response.status) || location === null) return response
    await response.body?.cancel()
    if (!URL.canParse(location, target))
      throw new ExportError('vendor_url_untrusted', "The source's server redirected to a malformed URL.")
    target = URL.canParse(location) ? location : new URL(location, target).href
    const next = checkedUrl(target, policy)
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

const attempt = async (target: string, init: RequestInit): Promise<Response> => {
  let response: Response
  try {
    response = await fetch(target, { ...init, redirect: 'manual' })
  } catch (cause) {
    throw new ExportError('vendor_unreachable', "The source's server could not be reached or did not answer in time.", { cause })
  }
  let headerBytes = 0
  for (const [name, value] of response.headers) headerBytes += name.length + value.length + FIELD_BYTES
  if (headerBytes <= MAX_HEADER_BYTES) return response
  await response.body?.cancel()
  throw new ExportError(
    'vendor_answer_invalid',
    `The source's server sent a header of more than ${MAX_HEADER_BYTES} bytes with its answer.`,
  )
}
