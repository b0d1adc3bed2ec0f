import { ExportError, type ExportErrorCode } from '../errors.ts'
import type { VendorResponse } from './adapter.ts'
import { MAX_STRING_LENGTH, parseCappedJson } from './capped-json.ts'
import {
  isCancelled,
  isNotNow,
  normaliseKickoff,
  normaliseStatus,
  waitOf,
  type KickoffOutcome,
  type StatusOutcome,
} from './normalise.ts'
import { baseOf, headersFor, kickoffRequest, trustPolicyOf, type VendorKickoff } from './requests.ts'
import type { Source } from './source.ts'
import {
  carriesToken,
  MAX_PARSED_BYTES,
  readCapped,
  trustedFetch,
  type TrustedRequest,
  type TrustPolicy,
} from './trusted-fetch.ts'
import { checkedUrl } from './trusted-url.ts'

/** Where the vendor's token comes from. Throws `ExportError`: `vendor_refused_credential`, `vendor_unreachable`, `config_invalid`. */
export interface TokenSource {
  token(): Promise<string>
  /** A token other than `stale`, which the vendor refused. */
  renew(stale: string): Promise<string>
}

/** Where a file is to be taken up. */
export interface ResumeFrom {
  /** Bytes that are there already. */
  readonly offset: number
  /** Strong `ETag` that the file must still have. */
  readonly validator: string
}

/**
 * How a file was had. `open`: 200, or 206 or 416 where a part was asked for. `gone`: its URL no longer works and the status should be
 * read again. `missing`: the vendor is there and has no such file, or not yet. `unavailable`: no answer, or "not now".
 */
export type FileAnswer =
  | { readonly kind: 'open'; readonly response: Response }
  | { readonly kind: 'gone' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unavailable'; readonly retryAfterMs?: number }
  | { readonly kind: 'untrusted' }

const isJson = (text: string): boolean => /^\s*[[{"]/.test(text)

const bodyOf = (text: string, maxStringLength: number): unknown => {
  if (text.trim() === '') return undefined
  if (!isJson(text)) return text
  try {
    return parseCappedJson(text, maxStringLength)
  } catch (error) {
    if (error instanceof SyntaxError) return text
    throw error
  }
}

const headersOf = (response: Response): Record<string, string> =>
  Object.fromEntries([...response.headers].map(([name, value]) => [name.toLowerCase(), value]))

/** Reads a response whole, under the caps, into what the pure part of this layer works on. */
const read = async (
  response: Response,
  { responseMs }: TrustPolicy,
  maxStringLength = MAX_STRING_LENGTH,
): Promise<VendorResponse> => ({
  status: response.status,
  headers: headersOf(response),
  body: bodyOf(await readCapped(response, MAX_PARSED_BYTES, responseMs), maxStringLength),
})

/** What a file that was not opened is. */
const unopened = (code: ExportErrorCode): FileAnswer => {
  if (code === 'vendor_url_untrusted') return { kind: 'untrusted' }
  // It answered, with what no file can be read from.
  return { kind: code === 'vendor_answer_invalid' ? 'missing' : 'unavailable' }
}

/** One source's server, spoken to in its dialect; every answer comes back as the specification's. */
export class VendorClient {
  readonly #source: Source
  readonly #tokens: TokenSource
  readonly #policy: TrustPolicy

  /** @param publicBase Ours: it is never asked, unless the source itself lies there. */
  constructor(source: Source, tokens: TokenSource, sandbox: boolean, publicBase?: string) {
    this.#source = source
    this.#tokens = tokens
    const ownOrigin = publicBase === undefined ? undefined : new URL(publicBase).origin
    const isSourceThere = ownOrigin === new URL(baseOf(source)).origin
    this.#policy = {
      ...trustPolicyOf(source, sandbox),
      ...(ownOrigin === undefined || isSourceThere ? {} : { ownOrigin }),
    }
  }

  /**
   * Sends the kick-off, once: no error on the way tells whether it arrived, so each is `ambiguous` [N-06].
   *
   * @throws ExportError before anything is sent: no token, no such level, no usable configuration.
   */
  async kickoff(kickoff: VendorKickoff): Promise<KickoffOutcome> {
    const request = kickoffRequest(this.#source, kickoff)
    const token = await this.#tokens.token()
    let response: VendorResponse
    try {
      response = await read(await trustedFetch({ ...request, authorization: `Bearer ${token}` }, this.#policy), this.#policy)
    } catch (error) {
      if (error instanceof ExportError && error.code === 'config_invalid') throw error
      return { kind: 'ambiguous' }
    }
    const outcome = normaliseKickoff(this.#source.dialect, response, request.url, Date.now())
    // Not sent again, but the next one shall not meet the same token.
    if (outcome.kind === 'unauthorized') await this.#tokens.renew(token).catch(() => undefined)
    return outcome
  }

  /**
   * Asks for the state of a vendor job.
   *
   * @throws ExportError `vendor_url_untrusted`, `vendor_manifest_too_large`, `vendor_answer_invalid`, or of the token source.
   */
  async status(statusUrl: string): Promise<StatusOutcome> {
    const request: TrustedRequest = { method: 'GET', url: statusUrl, headers: headersFor(this.#source, 'status') }
    try {
      const response = await read(await this.#withToken(request), this.#policy)
      return normaliseStatus(this.#source.dialect, response, statusUrl, Date.now())
    } catch (error) {
      if (error instanceof ExportError && error.code === 'vendor_unreachable') return { kind: 'unclear', cause: 'unreachable' }
      throw error
    }
  }

  /** Asks the vendor to drop a job. False when it could not be told; the job then ends by itself at the vendor. */
  async cancel(statusUrl: string): Promise<boolean> {
    if (!this.#source.dialect.supports.cancel) return false
    try {
      const response = await this.#withToken({ method: 'DELETE', url: statusUrl, headers: headersFor(this.#source, 'cancel') })
      await response.body?.cancel()
      return isCancelled(response.status)
    } catch (error) {
      if (error instanceof ExportError) return false
      throw error
    }
  }

  /**
   * Opens a file of a manifest; the body is unread. Never throws for what the vendor does.
   *
   * @param from Asks for what follows an offset, if the file is still the same [RFC 9110 §13.1.5].
   */
  async file(url: string, from?: ResumeFrom): Promise<FileAnswer> {
    // Bytes of a compressed form could not be put behind those that are there.
    const range = from && { Range: `bytes=${from.offset}-`, 'If-Range': from.validator, 'Accept-Encoding': 'identity' }
    return this.#open(url, { ...range }, { isPart: from !== undefined })
  }

  /** Opens a file as `file` does, its body as the vendor encodes it: with gzip only where that may be. */
  async fileAsSent(url: string, mayBeGzip: boolean): Promise<FileAnswer> {
    return this.#open(url, { 'Accept-Encoding': mayBeGzip ? 'gzip' : 'identity' }, { isRaw: true })
  }

  /** Opens what an `Attachment.url` names, as `file` does. @param contentType What the resource says that it is. */
  async attachment(url: string, contentType?: string): Promise<FileAnswer> {
    return this.#open(url, { Accept: contentType === undefined ? '*/*' : `${contentType}, */*;q=0.1` })
  }

  /** Whether a file may be asked for there. */
  mayAsk(url: string): boolean {
    try {
      checkedUrl(url, this.#policy)
      return true
    } catch (error) {
      if (error instanceof ExportError) return false
      throw error
    }
  }

  async #open(
    url: string,
    headers: Readonly<Record<string, string>>,
    { isPart = false, isRaw = false }: { readonly isPart?: boolean; readonly isRaw?: boolean } = {},
  ): Promise<FileAnswer> {
    let response: Response
    try {
      const all = { ...headersFor(this.#source, 'file'), ...headers }
      response = await this.#withToken({ method: 'GET', url, headers: all, isRaw })
    } catch (error) {
      if (!(error instanceof ExportError) || error.code === 'config_invalid') throw error
      return unopened(error.code)
    }
    const { status } = response
    if (status === 200 || (isPart && (status === 206 || status === 416))) return { kind: 'open', response }
    await response.body?.cancel()
    // A presigned URL that ran out says 400, 401, 403 or 410, by store; a fresh file may still be 404 [N-25], [N-28].
    if ([400, 401, 403, 410].includes(status)) return { kind: 'gone' }
    if (!isNotNow(status)) return { kind: 'missing' }
    return {
      kind: 'unavailable',
      ...waitOf(this.#source.dialect, { status, headers: headersOf(response), body: undefined }, Date.now()),
    }
  }

  /** A FHIR read or search at the source, for `Group`. @throws ExportError as `status` does, and `vendor_unreachable`. */
  async read(url: string): Promise<VendorResponse> {
    const request: TrustedRequest = { method: 'GET', url, headers: headersFor(this.#source, 'group') }
    // The narrative of a large group is one long string.
    return read(await this.#withToken(request), this.#policy, Infinity)
  }

  /** A refused token is renewed once with the same credential; the second refusal is the answer [N-12]. */
  async #withToken(request: TrustedRequest): Promise<Response> {
    const token = await this.#tokens.token()
    const first = await trustedFetch({ ...request, authorization: `Bearer ${token}` }, this.#policy)
    if (first.status !== 401 || !carriesToken(new URL(request.url), this.#policy)) return first
    await first.body?.cancel()
    return trustedFetch({ ...request, authorization: `Bearer ${await this.#tokens.renew(token)}` }, this.#policy)
  }
}
