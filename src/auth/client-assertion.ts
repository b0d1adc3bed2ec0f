import { decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import type { CryptoKey, JWTPayload, ProtectedHeaderParameters } from 'jose'
import type { Client, Settings } from '../config.ts'
import { ASSERTION_ALGORITHMS } from '../fhir/smart-configuration.ts'
import { decoyKey, signatureBytes, takesSignature } from './decoy.ts'
import { keyTypeOf, verificationKey } from './jwk.ts'
import type { KeyFinder } from './jwks.ts'
import { clientNotAuthenticated, TokenError } from './token-error.ts'

type Algorithm = (typeof ASSERTION_ALGORITHMS)[number]
export const CLIENT_ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
/** How far ahead `exp` may lie [AU-05]. */
export const MAX_ASSERTION_SECONDS = 300
/** Whoever allows itself the whole life of a token, and whose clock is a little ahead of ours, is not refused. */
export const CLOCK_SKEW_SECONDS = 5
/** Of client ids and `jti`; they are looked up and kept. */
export const MAX_ID_LENGTH = 512

/** Where tokens are asked for, and so the one audience of an assertion. */
export const tokenUrlOf = (settings: Pick<Settings, 'publicBase'>): string => `${settings.publicBase}/auth/token`

export interface ClientAssertionInput {
  /** The JWT as it was sent. */
  readonly assertion: string
  readonly clientOf: (clientId: string) => Promise<Client | undefined>
  readonly keysOf: (client: Client) => KeyFinder
  readonly tokenUrl: string
  readonly nowMs: number
}

export interface VerifiedAssertion {
  readonly client: Client
  /** Not yet known to be new: that is for the client's ledger to say [AU-07]. */
  readonly jti: string
  /** From when on the assertion is refused for its age, and its `jti` need not be remembered. */
  readonly expiresMs: number
}

interface Claimed {
  readonly clientId: string
  readonly jti: string
  readonly expiresSeconds: number
  readonly alg: Algorithm
  readonly kid: string
  readonly jku: unknown
}

const isAlgorithm = (alg: unknown): alg is Algorithm => ASSERTION_ALGORITHMS.some((one) => one === alg)
const isId = (value: unknown): value is string => typeof value === 'string' && value !== '' && value.length <= MAX_ID_LENGTH
const isAbsentOr = (value: unknown, test: (value: number) => boolean): boolean =>
  value === undefined || (typeof value === 'number' && test(value))

const refuse = (description: string, cause?: unknown): never => {
  throw new TokenError('invalid_client', `client_assertion: ${description}`, { cause })
}

/** What the assertion says of itself. Needs no key and knows no client, so it may say exactly what is wrong. */
const claimedBy = ({ assertion, tokenUrl, nowMs }: ClientAssertionInput): Claimed => {
  const decoded = ((): { header: ProtectedHeaderParameters; claims: JWTPayload } => {
    try {
      return { header: decodeProtectedHeader(assertion), claims: decodeJwt(assertion) }
    } catch (cause) {
      return refuse('must be a signed JWT in compact form', cause)
    }
  })()
  const { alg, kid, typ, jku } = decoded.header
  if (typeof typ !== 'string' || typ.toUpperCase() !== 'JWT') return refuse('header typ must be JWT')
  if (!isAlgorithm(alg)) return refuse(`header alg must be one of ${ASSERTION_ALGORITHMS.join(', ')}`)
  if (!isId(kid)) return refuse('header kid must name the key')
  const { iss, sub, aud, exp, nbf, iat, jti } = decoded.claims
  const nowSeconds = nowMs / 1000
  if (!isId(iss) || sub !== iss) return refuse('iss and sub must both be the client_id')
  // One audience only: whoever else is named could present the assertion here.
  const audiences: unknown = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud
  if (audiences !== tokenUrl) return refuse(`aud must be ${tokenUrl}`)
  if (typeof exp !== 'number') return refuse('exp must be a number of seconds')
  if (exp <= nowSeconds - CLOCK_SKEW_SECONDS) return refuse('has expired')
  if (exp > nowSeconds + MAX_ASSERTION_SECONDS + CLOCK_SKEW_SECONDS) {
    return refuse(`exp must be at most ${MAX_ASSERTION_SECONDS} seconds ahead`)
  }
  if (!isAbsentOr(nbf, (value) => value <= nowSeconds + CLOCK_SKEW_SECONDS)) return refuse('nbf must not be in the future')
  if (!isAbsentOr(iat, (value) => value <= nowSeconds + CLOCK_SKEW_SECONDS)) return refuse('iat must not be in the future')
  if (!isId(jti)) return refuse(`jti must be a text of 1 to ${MAX_ID_LENGTH} characters`)
  return { clientId: iss, jti, expiresSeconds: exp, alg, kid, jku }
}

/** The one registered key that the assertion names; `undefined`, for whatever reason, where there is none to trust. */
const registeredKey = async (
  client: Client | undefined,
  { clientId, alg, kid, jku }: Claimed,
  keysOf: ClientAssertionInput['keysOf'],
): Promise<CryptoKey | undefined> => {
  if (!client || client.clientId !== clientId) return undefined
  if (jku !== undefined && jku !== client.jwksUrl) return undefined
  try {
    const [key, ...others] = await keysOf(client)(kid, keyTypeOf(alg))
    return key && others.length === 0 ? await verificationKey(key, alg) : undefined
  } catch {
    return undefined
  }
}

/**
 * Authenticates a client by its assertion: form and claims first, then the one registered key that `kid` and `kty` name, then the
 * signature. Touches no storage; the caller has the `jti` refused where it was seen before.
 *
 * @throws TokenError `invalid_client`; for an unknown client word for word the same, and as late, as for a signature not its own.
 * @see SMART App Launch, Asymmetric authentication; RFC 7523 §3; AU-05, AU-06, AU-08, AU-09
 */
export const verifyClientAssertion = async (input: ClientAssertionInput): Promise<VerifiedAssertion> => {
  const { assertion, nowMs, tokenUrl } = input
  const claimed = claimedBy(input)
  const { clientId, jti, expiresSeconds, alg } = claimed
  const client = await input.clientOf(clientId)
  const key = await registeredKey(client, claimed, input.keysOf)
  const bytes = signatureBytes(assertion)
  const checkedWith = key && takesSignature(key, bytes) ? key : await decoyKey(alg, bytes)
  if (!checkedWith) throw clientNotAuthenticated()
  try {
    await jwtVerify(assertion, checkedWith, {
      algorithms: [...ASSERTION_ALGORITHMS],
      typ: 'JWT',
      issuer: clientId,
      subject: clientId,
      audience: tokenUrl,
      requiredClaims: ['exp', 'jti'],
      clockTolerance: CLOCK_SKEW_SECONDS,
      currentDate: new Date(nowMs),
    })
  } catch (cause) {
    throw clientNotAuthenticated(cause)
  }
  if (!client || checkedWith !== key) throw clientNotAuthenticated()
  return { client, jti, expiresMs: Math.ceil((expiresSeconds + CLOCK_SKEW_SECONDS) * 1000) }
}
