import { createPublicKey, type KeyObject } from 'node:crypto'
import { exportJWK, generateKeyPair, jwtVerify, type JWK } from 'jose'
import type { Breaks } from './misbehaving-kickoff.ts'

export interface TokenAnswer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

export const CLIENT_ID = 'suite'

/** A client's private key. */
export const newKey = async (): Promise<JWK> => {
  const { privateKey } = await generateKeyPair('ES384', { extractable: true })
  return { ...(await exportJWK(privateKey)), alg: 'ES384', kid: 'k1' }
}

const refusal = (error: string, status = 400): TokenAnswer => ({ status, body: { error } })

/** A token endpoint of SMART Backend Services for one client; a token is its own scope. */
export const tokenEndpoint = (key: JWK, tokenUrl: () => string, breaks: Breaks) => {
  const publicKey: KeyObject = createPublicKey({ key: { ...key }, format: 'jwk' })
  const used = new Set<string>()
  return async (form: URLSearchParams): Promise<TokenAnswer> => {
    const scope = form.get('scope')
    if (form.get('grant_type') !== 'client_credentials') return refusal(breaks('AU-11') ? 'no' : 'unsupported_grant_type')
    if (form.get('client_assertion_type') === null || form.get('client_assertion') === null) return refusal('invalid_request')
    if (scope === null && !breaks('AU-04')) return refusal('invalid_scope')
    if (breaks('AU-15') && scope?.includes('.read')) return refusal('invalid_scope')
    try {
      const { payload, protectedHeader } = await jwtVerify(form.get('client_assertion') ?? '', publicKey, {
        audience: tokenUrl(),
        requiredClaims: ['exp', 'jti', 'iss', 'sub'],
        // A server that takes an assertion for ever looks at nothing of the kind.
        ...(breaks('AU-05') ? { currentDate: new Date(0) } : {}),
      })
      const isKnown = payload.iss === CLIENT_ID && payload.sub === CLIENT_ID
      if (!isKnown && !(breaks('AU-08') && payload.iss === payload.sub)) return refusal('invalid_client', 401)
      if (protectedHeader.jku !== undefined && !breaks('AU-09')) return refusal('invalid_client', 401)
      if (protectedHeader.kid !== 'k1') return refusal('invalid_client', 401)
      const isLong = (payload.exp ?? 0) > Date.now() / 1000 + LONGEST_SECONDS
      if (isLong && !breaks('AU-05')) return refusal('invalid_client', 401)
      if (used.has(payload.jti ?? '') && !breaks('AU-07')) return refusal('invalid_client', 401)
      used.add(payload.jti ?? '')
    } catch {
      return refusal('invalid_client', 401)
    }
    const granted = (scope ?? 'system/*.rs').split(' ').filter((each) => each.startsWith('system/') || breaks('AU-14'))
    return {
      status: 200,
      body: {
        access_token: granted.join(','),
        ...(breaks('AU-12') ? {} : { token_type: 'bearer' }),
        expires_in: breaks('AU-13') ? 3_600 : LONGEST_SECONDS,
        scope: granted.join(' '),
      },
    }
  }
}

const LONGEST_SECONDS = 300
