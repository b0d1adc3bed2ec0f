import { randomUUID } from 'node:crypto'
import { importJWK, SignJWT, type JWK } from 'jose'
import { jsonOf, send, type Exchange } from './exchange.ts'

/** Where the suite's access tokens come from. */
export interface Tokens {
  /** A token that has some time to live. */
  token(scope?: string): Promise<string>
  /** What the suite signs its assertions with; absent with a token that was given. */
  readonly client?: SigningClient
}

export interface SigningClient {
  readonly clientId: string
  readonly tokenUrl: string
  /** Private JWK with `kid`. */
  readonly key: JWK
  readonly scope: string
}

export const DEFAULT_SCOPE = 'system/*.rs'
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const LIFE_SECONDS = 120
const MARGIN_MS = 30_000
const USUAL_LIFE_SECONDS = 300

/** A token that somebody else has got: as it is, until it ends. */
export const givenToken = (token: string): Tokens => ({ token: () => Promise.resolve(token) })

/** A claim or header member that is set to `undefined` is left out. */
export interface AssertionChange {
  readonly claims?: Readonly<Record<string, unknown>>
  readonly header?: Readonly<Record<string, unknown>>
}

/** A client assertion as SMART Backend Services has it, or with something wrong in it. */
export const assertionOf = async (client: SigningClient, change: AssertionChange = {}): Promise<string> => {
  const now = Math.floor(Date.now() / 1000)
  const alg = client.key.alg ?? (client.key.kty === 'EC' ? 'ES384' : 'RS384')
  const claims = {
    iss: client.clientId,
    sub: client.clientId,
    aud: client.tokenUrl,
    exp: now + LIFE_SECONDS,
    iat: now,
    jti: randomUUID(),
    ...change.claims,
  }
  const header = { typ: 'JWT', kid: client.key.kid, ...change.header }
  const signer = new SignJWT(withoutUndefined(claims)).setProtectedHeader({ ...withoutUndefined(header), alg })
  return signer.sign(await importJWK(client.key, alg))
}

const withoutUndefined = (members: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))

/** The form of a token request; a change to `undefined` leaves a field out. */
export const tokenRequest = async (
  client: SigningClient,
  change: Readonly<Record<string, string | undefined>> = {},
): Promise<Exchange> => {
  const fields = withoutUndefined({
    grant_type: 'client_credentials',
    scope: client.scope,
    client_assertion_type: ASSERTION_TYPE,
    ...('client_assertion' in change ? {} : { client_assertion: await assertionOf(client) }),
    ...change,
  }) as Record<string, string>
  return send({
    method: 'POST',
    url: client.tokenUrl,
    headers: { Accept: 'application/json', 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(fields).toString(),
  })
}

/** Tokens by SMART Backend Services, renewed before they end. */
export const signedTokens = (client: SigningClient): Tokens => {
  const known = new Map<string, { token: string; untilMs: number }>()
  return {
    client,
    token: async (scope = client.scope) => {
      const held = known.get(scope)
      if (held !== undefined && held.untilMs - MARGIN_MS > Date.now()) return held.token
      const answer = await tokenRequest(client, { scope })
      const body = jsonOf(answer) as { access_token?: unknown; expires_in?: unknown } | undefined
      if (answer.status !== 200 || typeof body?.access_token !== 'string') {
        throw new Error(
          `No token for ${scope}: the token endpoint answered ${answer.status}. Check --client-id, --key and --scope.`,
        )
      }
      const seconds = typeof body.expires_in === 'number' ? body.expires_in : USUAL_LIFE_SECONDS
      known.set(scope, { token: body.access_token, untilMs: Date.now() + seconds * 1000 })
      return body.access_token
    },
  }
}
