import { decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import type { JWTPayload } from 'jose'
import type { Issuer } from '../config.ts'
import { ExportError } from '../errors.ts'
import { CLOCK_SKEW_SECONDS, MAX_ID_LENGTH } from './client-assertion.ts'
import { keyTypeOf, verificationKey } from './jwk.ts'
import { keysAt, REFETCH_MS } from './jwks.ts'

/** RFC 9068's, with and without its prefix, and what issuers wrote before it. */
const TYPES: ReadonlySet<string> = new Set(['at+jwt', 'application/at+jwt', 'jwt'])

/** What a token of a trusted issuer says, once its signature is known to hold. */
export interface ExternalClaims {
  readonly clientId: string
  /** Space-separated, as the issuer granted it; '' for none. */
  readonly scope: string
  readonly expiresMs: number
}

/** The issuer that a token names, before anything of it is proven; `undefined` for what is no JWT. */
export const namedIssuer = (token: string): string | undefined => {
  try {
    return decodeJwt(token).iss
  } catch {
    return undefined
  }
}

const scopeIn = (value: unknown): string | undefined => {
  if (value === undefined) return ''
  if (typeof value === 'string') return value
  const isList = Array.isArray(value) && value.every((word) => typeof word === 'string')
  return isList ? value.join(' ') : undefined
}

const claimsOf = (issuer: Issuer, payload: JWTPayload, nowMs: number): ExternalClaims => {
  const { exp, iat } = payload
  const nowSeconds = nowMs / 1000
  const clientId = payload[issuer.clientIdClaim]
  const scope = scopeIn(payload[issuer.scopeClaim])
  if (exp === undefined || exp > nowSeconds + issuer.maxTokenSeconds + CLOCK_SKEW_SECONDS)
    throw new Error('exp is too far ahead.')
  if (iat !== undefined && iat > nowSeconds + CLOCK_SKEW_SECONDS) throw new Error('iat is in the future.')
  if (typeof clientId !== 'string' || clientId === '' || clientId.length > MAX_ID_LENGTH) throw new Error('No client id.')
  if (scope === undefined) throw new Error('The scope is neither a text nor a list of them.')
  return { clientId, scope, expiresMs: exp * 1000 }
}

/**
 * Checks an access token of a trusted issuer: form, then the one key of its key set that `kid` names, then signature and claims. A key
 * or a URL in the token itself is not looked at.
 *
 * @throws ExportError `vendor_unreachable` when the issuer's keys cannot be had; Error, of jose's or not, for a token that is not good.
 * @see RFC 9068 §4, RFC 8725 §3; AU-16
 */
export const verifyExternalToken = async (
  issuer: Issuer,
  token: string,
  { sandbox, nowMs }: { readonly sandbox: boolean; readonly nowMs: number },
): Promise<ExternalClaims> => {
  const { alg, kid, typ } = decodeProtectedHeader(token)
  if (typeof typ !== 'string' || !TYPES.has(typ.toLowerCase())) throw new Error('The type is not that of an access token.')
  if (!issuer.algorithms.some((one) => one === alg)) throw new Error('The algorithm is not one of the issuer.')
  if (typeof alg !== 'string' || typeof kid !== 'string' || kid === '') throw new Error('No key is named.')
  const [key, ...others] = await keysOf(issuer, sandbox, kid, keyTypeOf(alg))
  if (!key || others.length > 0) throw new Error('The issuer has no such key, or several.')
  const { payload } = await jwtVerify(token, await verificationKey(key, alg), {
    algorithms: [...issuer.algorithms],
    issuer: issuer.issuer,
    audience: issuer.audience,
    requiredClaims: ['exp'],
    clockTolerance: CLOCK_SKEW_SECONDS,
    currentDate: new Date(nowMs),
  })
  return claimsOf(issuer, payload, nowMs)
}

const keysOf = async ({ jwksUrl }: Issuer, sandbox: boolean, kid: string, kty: string) => {
  try {
    // Anyone can name an issuer in a token that proves nothing: what its server is asked must not grow with that.
    return await keysAt(jwksUrl, { sandbox, heldMs: REFETCH_MS })(kid, kty)
  } catch (cause) {
    // The token may be good: 401 would send its client for another, which would fare no better.
    throw new ExportError(
      'vendor_unreachable',
      "The keys of the access token's issuer cannot be read now. Try again later; if it persists, tell the operator.",
      { cause, retryAfterSeconds: REFETCH_MS / 1000 },
    )
  }
}
