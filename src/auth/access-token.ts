import { decodeProtectedHeader, jwtVerify, SignJWT } from 'jose'
import { JWTExpired } from 'jose/errors'
import type { Client, Config } from '../config.ts'
import { ExportError } from '../errors.ts'
import { namedIssuer, verifyExternalToken } from './external-token.ts'
import type { PublicJwk } from './jwk.ts'
import { remember } from './remember.ts'
import { grantScopes } from './scopes.ts'
import { signingKeys } from './signing-keys.ts'
import type { SigningAlgorithm } from './signing-keys.ts'

/** RFC 9068; keeps an assertion or any other JWT of ours from passing for an access token. */
const TYPE = 'at+jwt'
/** Verified tokens kept per isolate; a client needs one every few minutes. */
const MAX_REMEMBERED = 1000

export type TokenConfig = Pick<Config, 'settings' | 'secret' | 'client' | 'issuer' | 'issuesTokens'>

/** What a valid access token is worth now. */
export interface AccessGrant {
  readonly clientId: string
  readonly client: Client
  /** Those of the token that the client is still allowed; may be empty. */
  readonly scopes: readonly string[]
  readonly expiresMs: number
}

interface VerifiedToken {
  readonly clientId: string
  readonly scope: string
  readonly expiresMs: number
  /** Id of the trusted issuer whose token it is; absent for one of ours. */
  readonly issuer?: string
  /** The last answer; good while the client's configuration is the same object. */
  grant?: AccessGrant
}

/** A signed, short access token for a client, with the scopes it was granted [AU-13]. */
export const issueAccessToken = async (
  config: TokenConfig,
  { clientId, scopes, nowMs }: { readonly clientId: string; readonly scopes: readonly string[]; readonly nowMs: number },
): Promise<{ token: string; expiresInSeconds: number }> => {
  const [key] = await signingKeys(config)
  const { publicBase, limits } = config.settings
  const issuedSeconds = Math.floor(nowMs / 1000)
  const token = await new SignJWT({ client_id: clientId, scope: scopes.join(' ') })
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: TYPE })
    .setIssuer(publicBase)
    .setAudience(publicBase)
    .setSubject(clientId)
    .setIssuedAt(issuedSeconds)
    .setExpirationTime(issuedSeconds + limits.accessTokenSeconds)
    .setJti(crypto.randomUUID())
    .sign(key.signs)
  return { token, expiresInSeconds: limits.accessTokenSeconds }
}

const invalid = (cause?: unknown): ExportError =>
  new ExportError('token_invalid', 'The access token is not one of this server, or not any more. Request a new one.', { cause })
const expired = (): ExportError => new ExportError('token_expired', 'The access token has expired. Request a new one.')

const ourClaims = async (config: TokenConfig, token: string, nowMs: number): Promise<VerifiedToken> => {
  const { publicBase } = config.settings
  const keys = await signingKeys(config)
  const { kid } = decodeProtectedHeader(token)
  const key = keys.find((candidate) => candidate.kid === kid)
  if (!key) throw invalid()
  const { payload } = await jwtVerify(token, key.verifies, {
    algorithms: [key.alg],
    typ: TYPE,
    issuer: publicBase,
    audience: publicBase,
    requiredClaims: ['exp', 'client_id', 'scope'],
    currentDate: new Date(nowMs),
  })
  const { client_id: clientId, scope, exp } = payload
  if (typeof clientId !== 'string' || typeof scope !== 'string' || typeof exp !== 'number') throw invalid()
  return { clientId, scope, expiresMs: exp * 1000 }
}

const verified = async (config: TokenConfig, token: string, nowMs: number): Promise<VerifiedToken> => {
  const named = namedIssuer(token)
  const issuer = named === undefined ? undefined : await config.issuer(named)
  try {
    if (issuer) {
      const { sandbox } = config.settings
      return { ...(await verifyExternalToken(issuer, token, { sandbox, nowMs })), issuer: issuer.id }
    }
    if (!(await config.issuesTokens())) throw invalid()
    return await ourClaims(config, token, nowMs)
  } catch (cause) {
    if (cause instanceof ExportError) throw cause
    throw cause instanceof JWTExpired ? expired() : invalid(cause)
  }
}

const remembered = new WeakMap<object, Map<string, VerifiedToken>>()

/**
 * Checks an access token. One that was verified before in this isolate is only looked up, so that a status poll does no
 * cryptography; expiry, and what the client is allowed, are checked at every call [AU-16].
 *
 * @throws ExportError `token_expired`, `token_invalid`; `config_invalid` when there is no key to check with; `vendor_unreachable` when a trusted
 * issuer's keys cannot be read.
 */
export const verifyAccessToken = async (config: TokenConfig, token: string, nowMs: number): Promise<AccessGrant> => {
  const tokens = remembered.get(config) ?? new Map<string, VerifiedToken>()
  remembered.set(config, tokens)
  const known = tokens.get(token) ?? (await verified(config, token, nowMs))
  if (known.expiresMs <= nowMs) {
    tokens.delete(token)
    throw expired()
  }
  if (!tokens.has(token)) remember(tokens, token, known, MAX_REMEMBERED)
  const client = await config.client(known.clientId)
  // Whoever is bound to an issuer comes through it, and nobody else does.
  if (!client || client.issuer !== known.issuer) throw invalid()
  if (known.grant?.client !== client) {
    const { clientId, scope, expiresMs } = known
    known.grant = { clientId, client, scopes: grantScopes(scope, client.scopes), expiresMs }
  }
  return known.grant
}

export type PublishedKey = PublicJwk & { readonly kid: string; readonly alg: SigningAlgorithm; readonly use: 'sig' }

/** The public halves of our keys, for `/auth/jwks`; none where all tokens come from other issuers. @throws ExportError `config_invalid` */
export const publicJwks = async (config: Pick<Config, 'secret' | 'issuesTokens'>): Promise<{ keys: PublishedKey[] }> => {
  const keys = (await config.issuesTokens()) ? await signingKeys(config) : []
  return { keys: keys.map(({ kid, alg, publicJwk }) => ({ ...publicJwk, kid, alg, use: 'sig' })) }
}
