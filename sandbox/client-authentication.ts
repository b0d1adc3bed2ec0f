import { timingSafeEqual } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, importJWK, jwtVerify, type JWK } from 'jose'

/** A client that a fake vendor knows. */
export interface RegisteredClient {
  readonly clientId: string
  /** Public keys, each with `kid` and `alg`. */
  readonly keys?: readonly JWK[]
  readonly secret?: string
}

export type ClientAuthMethod = 'private_key_jwt' | 'client_secret_basic' | 'client_secret_post'

export type ClientRefusal = { readonly refused: 'method' | 'unknown-client' | 'secret' | 'assertion'; readonly reason: string }

export interface ClientAuthentication {
  readonly clients: readonly RegisteredClient[]
  readonly methods: readonly ClientAuthMethod[]
  readonly algs: readonly string[]
  readonly now: () => number
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
/** SMART asymmetric client authentication: `exp` no more than five minutes ahead [AU-05]. */
const MAX_ASSERTION_SECONDS = 300

const sameText = (left: string, right: string): boolean => {
  const [a, b] = [Buffer.from(left), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}

const refuse = (reason: string): ClientRefusal => ({ refused: 'assertion', reason })

/** RFC 6749 §2.3.1: id and secret are form-encoded before they are joined; most clients leave them as they are. */
const formDecoded = (text: string): string => new URLSearchParams(`text=${text}`).get('text') ?? text

/** Proves who sent a token request: by a signed assertion or by a secret in the header or in the form. */
export const clientAuthenticator = ({ clients, methods, algs, now }: ClientAuthentication) => {
  /** `jti` → when it may be forgotten, because the assertion has expired by then. */
  const usedUntilMs = new Map<string, number>()

  const byAssertion = async (assertion: string, tokenUrl: string): Promise<RegisteredClient | ClientRefusal> => {
    try {
      const { alg = '', kid } = decodeProtectedHeader(assertion)
      const { iss } = decodeJwt(assertion)
      const client = clients.find(({ clientId }) => clientId === iss)
      if (client === undefined) return { refused: 'unknown-client', reason: 'iss is no registered client' }
      if (!algs.includes(alg)) return refuse(`alg ${alg} is not one of ${algs.join(', ')}`)
      const jwk = client.keys?.find((key) => key.kid === kid && key.alg === alg)
      if (jwk === undefined) return refuse('no registered key has this kid and alg')
      const { payload } = await jwtVerify(assertion, await importJWK(jwk, alg), {
        algorithms: [alg],
        issuer: client.clientId,
        subject: client.clientId,
        currentDate: new Date(now()),
        requiredClaims: ['exp', 'jti'],
      })
      if (payload.aud !== tokenUrl) return refuse(`aud is not ${tokenUrl}`)
      const expiresAtMs = Number(payload.exp) * 1000
      if (expiresAtMs > now() + MAX_ASSERTION_SECONDS * 1000) return refuse('exp is more than five minutes ahead')
      for (const [used, untilMs] of usedUntilMs) if (untilMs < now()) usedUntilMs.delete(used)
      const jti = `${client.clientId} ${payload.jti}`
      if (usedUntilMs.has(jti)) return refuse('jti was used before')
      usedUntilMs.set(jti, expiresAtMs)
      return client
    } catch (error) {
      return refuse(error instanceof Error ? error.message : 'malformed assertion')
    }
  }

  const bySecret = (clientId: string, secret: string): RegisteredClient | ClientRefusal => {
    const client = clients.find((candidate) => candidate.clientId === clientId)
    if (client === undefined) return { refused: 'unknown-client', reason: 'no such client' }
    if (client.secret === undefined || !sameText(client.secret, secret)) return { refused: 'secret', reason: 'wrong secret' }
    return client
  }

  return async (
    form: URLSearchParams,
    authorization: string | undefined,
    tokenUrl: string,
  ): Promise<RegisteredClient | ClientRefusal> => {
    const notHere: ClientRefusal = { refused: 'method', reason: `client authentication must be ${methods.join(' or ')}` }
    const basic = /^Basic +(\S+)$/i.exec(authorization ?? '')?.[1]
    if (basic !== undefined) {
      if (!methods.includes('client_secret_basic')) return notHere
      const [, id = '', secret = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(basic, 'base64').toString('utf8')) ?? []
      return bySecret(formDecoded(id), formDecoded(secret))
    }
    const assertion = form.get('client_assertion')
    if (assertion !== null && form.get('client_assertion_type') === ASSERTION_TYPE) {
      return methods.includes('private_key_jwt') ? byAssertion(assertion, tokenUrl) : notHere
    }
    const secret = form.get('client_secret')
    if (secret !== null && methods.includes('client_secret_post')) return bySecret(form.get('client_id') ?? '', secret)
    return notHere
  }
}
