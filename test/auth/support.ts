import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { CryptoKey, JWK, JWTPayload } from 'jose'
import type { Client } from '../../src/config.ts'
import type { Env } from '../../src/env.ts'

export const NOW_MS = Date.UTC(2026, 10, 3, 12)
export const NOW_SECONDS = NOW_MS / 1000
export const PUBLIC_BASE = 'https://bulkhead.example'
export const TOKEN_URL = `${PUBLIC_BASE}/auth/token`

export interface TestKey {
  readonly kid: string
  readonly alg: string
  readonly signs: CryptoKey
  readonly open: JWK & { kty: string; kid: string }
  readonly closed: JWK & { kty: string; kid: string }
}

export const makeKey = async (alg: string, kid: string): Promise<TestKey> => {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const kty = alg.startsWith('ES') ? 'EC' : 'RSA'
  return {
    kid,
    alg,
    signs: privateKey,
    open: { ...(await exportJWK(publicKey)), kty, kid },
    closed: { ...(await exportJWK(privateKey)), kty, kid },
  }
}

export interface AssertionParts {
  readonly header?: Readonly<Record<string, unknown>>
  readonly claims?: Readonly<Record<string, unknown>>
}

/** A good assertion of `app`, with parts of it replaced; `undefined` takes one out. */
export const assertionBy = async (key: TestKey, { header = {}, claims = {} }: AssertionParts = {}): Promise<string> => {
  const payload: JWTPayload = {
    iss: 'app',
    sub: 'app',
    aud: TOKEN_URL,
    iat: NOW_SECONDS,
    exp: NOW_SECONDS + 240,
    jti: crypto.randomUUID(),
    ...claims,
  }
  return new SignJWT(payload).setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'JWT', ...header }).sign(key.signs)
}

const base64url = (value: string): string => btoa(value).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
export const unsecured = (header: object, claims: object): string =>
  `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(claims))}.`

/** The same token with one bit of its signature changed. */
export const tampered = (token: string): string => {
  const at = token.lastIndexOf('.') + 5
  return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
}

export const clientWith = (parts: Partial<Client>): Client => ({ clientId: 'app', scopes: ['system/*.rs'], access: {}, ...parts })

/** What a promise was rejected with; fails the test when that is nothing, or another kind of error. */
export const rejectionOf = async <T extends Error>(
  work: Promise<unknown>,
  kind: abstract new (...parts: never[]) => T,
): Promise<T> => {
  const error = await work.then(
    () => new Error('was not refused'),
    (cause: unknown) => cause,
  )
  if (error instanceof kind) return error
  throw error
}

const isEnv = (variables: object): variables is Env => 'PUBLIC_BASE' in variables

/** An environment with only the bindings that the test needs. */
export const envOf = (variables: Readonly<Record<string, unknown>>): Env => {
  const all = { PUBLIC_BASE, ...variables }
  if (!isEnv(all)) throw new Error('PUBLIC_BASE is missing')
  return all
}
