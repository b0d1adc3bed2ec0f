import { importJWK, SignJWT, type CryptoKey, type JWK } from 'jose'
import { ExportError } from '../errors.ts'
import { retryAfterMs } from '../fhir/retry-after.ts'
import { parseVendorInstant } from '../fhir/vendor-instant.ts'
import { parseCappedJson } from './capped-json.ts'
import { at } from './json-pointer.ts'
import { trustPolicyOf } from './requests.ts'
import type { Source } from './source.ts'
import { readCapped, trustedFetch, type TrustedRequest, type TrustPolicy } from './trusted-fetch.ts'

const MAX_TOKEN_ANSWER_BYTES = 256 * 1024
const ASSERTION_SECONDS = 240
/** What a token lives when the vendor does not say [N-36]. */
export const DEFAULT_TOKEN_SECONDS = 300

/** A longer life is a mistake, or a point in time. */
const MAX_TOKEN_SECONDS = 7 * 86_400

/** What a client is told when a vendor refuses us; it can do nothing about it itself. */
export const CREDENTIAL_REFUSED = "The source refused Bulkhead's credential; its operator must renew it."

/** A vendor's answer to our proof of identity. */
export type TokenAnswer =
  | { readonly kind: 'token'; readonly token: string; readonly expiresMs: number }
  /** `skewMs`: the vendor's clock less ours, by its `Date`. */
  | { readonly kind: 'refused'; readonly skewMs?: number }
  | { readonly kind: 'unavailable'; readonly retryAfterMs?: number }

/** Scopes to ask for: the source's own, else the dialect's, with `{type}` spelt out per type [N-37]. */
export const scopesFor = (source: Source): string[] => {
  const own = 'scopes' in source.credential ? source.credential.scopes : undefined
  return (own ?? source.dialect.auth.scopes ?? ['system/*.read']).flatMap((scope) =>
    scope.includes('{type}') ? source.types.map((type) => scope.replaceAll('{type}', type)) : [scope],
  )
}

/**
 * Asks the vendor for an access token, once.
 *
 * @param skewMs How far the vendor's clock is from ours: what it is to take as now must be its now.
 * @param secret Reads a Worker secret by name. @throws ExportError `config_invalid` when it is unusable.
 * @returns Never throws for what the vendor does: `refused` is final, `unavailable` may be asked again.
 * @see [N-36], [N-37]
 */
export const requestToken = async (
  source: Source,
  secret: (name: string) => string,
  sandbox: boolean,
  skewMs = 0,
): Promise<TokenAnswer> => {
  const { credential } = source
  if (credential.kind === 'bearer') return { kind: 'token', token: secret(credential.secret), expiresMs: Number.MAX_SAFE_INTEGER }
  const request = await tokenRequest(source, secret, skewMs)
  const policy: TrustPolicy = {
    ...trustPolicyOf(source, sandbox),
    credentialOrigins: new Set([new URL(credential.tokenUrl).origin]),
    openOrigins: [],
  }
  const sentMs = Date.now()
  try {
    const response = await trustedFetch(request, policy)
    return answerOf(source, response, await readCapped(response, MAX_TOKEN_ANSWER_BYTES, policy.responseMs), sentMs)
  } catch (error) {
    if (error instanceof ExportError && error.code !== 'config_invalid') return { kind: 'unavailable' }
    throw error
  }
}

const answerOf = (source: Source, response: Response, text: string, sentMs: number): TokenAnswer => {
  if (response.status === 408 || response.status === 429 || response.status >= 500) {
    const clockMs = parseVendorInstant(response.headers.get('Date')) ?? sentMs
    const waitMs = retryAfterMs(response.headers.get('Retry-After'), source.dialect.read?.retryAfter ?? 's', clockMs)
    return waitMs === undefined ? { kind: 'unavailable' } : { kind: 'unavailable', retryAfterMs: waitMs }
  }
  if (!response.ok) {
    const clockMs = parseVendorInstant(response.headers.get('Date'))
    return clockMs === undefined ? { kind: 'refused' } : { kind: 'refused', skewMs: clockMs - Date.now() }
  }
  let body: unknown
  try {
    body = parseCappedJson(text)
  } catch {
    return { kind: 'unavailable' }
  }
  const exchange = source.credential.kind === 'key-exchange' ? source.dialect.auth.exchange : undefined
  const token = at(body, exchange?.token ?? '/access_token')
  if (typeof token !== 'string' || token === '') return { kind: 'unavailable' }
  const expires = at(body, exchange?.expires ?? '/expires_in')
  return { kind: 'token', token, expiresMs: expiryMs(expires, sentMs) }
}

/** Seconds as number or string, or a point in time; `DEFAULT_TOKEN_SECONDS` when absent or absurd. */
const expiryMs = (value: unknown, sentMs: number): number => {
  const seconds = typeof value === 'number' ? value : typeof value === 'string' && value.trim() !== '' ? Number(value) : NaN
  if (seconds > 0 && seconds <= MAX_TOKEN_SECONDS) return sentMs + seconds * 1000
  const instant = typeof value === 'string' ? Date.parse(value) : NaN
  return Number.isNaN(instant) || instant <= sentMs ? sentMs + DEFAULT_TOKEN_SECONDS * 1000 : instant
}

const tokenRequest = async (source: Source, secret: (name: string) => string, skewMs: number): Promise<TrustedRequest> => {
  const { credential } = source
  if (credential.kind === 'bearer') throw new ExportError('internal', 'A static token is not asked for.')
  if (credential.kind === 'key-exchange') {
    const { exchange } = source.dialect.auth
    if (!exchange)
      throw new ExportError('config_invalid', `SOURCE ${source.id}: credential.kind: this adapter has no key exchange`)
    return {
      method: 'POST',
      url: credential.tokenUrl,
      headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
      body: JSON.stringify({ [exchange.key]: credential.clientId, [exchange.secret]: secret(credential.secret) }),
      maxRedirects: 0,
    }
  }
  const form = new URLSearchParams({ grant_type: 'client_credentials' })
  const scopes = scopesFor(source)
  if (scopes.length > 0) form.set('scope', scopes.join(' '))
  const headers: Record<string, string> = { 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'application/json' }
  let authorization: string | undefined
  switch (credential.kind) {
    case 'private-key-jwt':
      form.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      form.set('client_assertion', await clientAssertion(credential, secret(credential.keySecret), skewMs))
      break
    case 'client-secret-basic':
      // RFC 6749 §2.3.1 form-encodes both halves before joining them.
      authorization = `Basic ${btoa(`${encodeURIComponent(credential.clientId)}:${encodeURIComponent(secret(credential.secret))}`)}`
      break
    case 'client-secret-post':
      form.set('client_id', credential.clientId)
      form.set('client_secret', secret(credential.secret))
      break
  }
  return {
    method: 'POST',
    url: credential.tokenUrl,
    headers,
    body: form.toString(),
    maxRedirects: 0,
    ...(authorization === undefined ? {} : { authorization }),
  }
}

/**
 * The private key of a credential.
 *
 * @param keyText A private JWK as JSON. @throws ExportError `config_invalid`, naming the secret.
 */
export const signingKeyOf = async (
  { alg, keySecret }: PrivateKeyJwt,
  keyText: string,
): Promise<{ readonly key: CryptoKey | Uint8Array; readonly kid?: string }> => {
  try {
    const jwk = JSON.parse(keyText) as JWK
    // A public one would be found out only when it is to sign.
    if (jwk.d === undefined) throw new Error('public')
    return { key: await importJWK(jwk, alg), ...(jwk.kid === undefined ? {} : { kid: jwk.kid }) }
  } catch (cause) {
    throw new ExportError('config_invalid', `${keySecret}: must be a private JWK (JSON) that fits ${alg}`, { cause })
  }
}

type PrivateKeyJwt = Extract<Source['credential'], { kind: 'private-key-jwt' }>

/** RFC 7523 assertion: `iss` = `sub` = client id, `aud` = token URL, minutes of life, a `jti` of its own. */
const clientAssertion = async (credential: PrivateKeyJwt, keyText: string, skewMs: number): Promise<string> => {
  const { key, kid } = await signingKeyOf(credential, keyText)
  const nowSeconds = Math.floor((Date.now() + skewMs) / 1000)
  return new SignJWT({})
    .setProtectedHeader({ alg: credential.alg, typ: 'JWT', ...(kid === undefined ? {} : { kid }) })
    .setIssuer(credential.clientId)
    .setSubject(credential.clientId)
    .setAudience(credential.tokenUrl)
    .setJti(crypto.randomUUID())
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + ASSERTION_SECONDS)
    .sign(key)
}
