import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { issueAccessToken, publicJwks, verifyAccessToken } from '../../src/auth/access-token.ts'
import type { TokenConfig } from '../../src/auth/access-token.ts'
import { Config } from '../../src/config.ts'
import type { Client } from '../../src/config.ts'
import { ExportError } from '../../src/errors.ts'
import { clientWith, makeKey, NOW_MS, NOW_SECONDS, PUBLIC_BASE, rejectionOf, tampered, unsecured } from './support.ts'
import type { TestKey } from './support.ts'

let current: TestKey
let previous: TestKey
let foreign: TestKey
let rsa: TestKey

beforeAll(async () => {
  ;[current, previous, foreign, rsa] = await Promise.all([
    makeKey('ES256', 'current'),
    makeKey('ES384', 'previous'),
    makeKey('ES256', 'current'),
    makeKey('RS256', 'rsa'),
  ])
})

const configWith = (keys: readonly TestKey[], variables: Readonly<Record<string, unknown>> = {}): Config =>
  new Config({
    PUBLIC_BASE,
    TOKEN_SIGNING_KEYS: JSON.stringify({ keys: keys.map((key) => key.closed) }),
    CLIENT_APP: { clientId: 'app', jwks: { keys: [current.open] }, scopes: ['system/*.rs'], access: {} },
    ...variables,
  })

const issued = async (config: TokenConfig, scopes = ['system/Patient.rs']): Promise<string> =>
  (await issueAccessToken(config, { clientId: 'app', scopes, nowMs: NOW_MS })).token

const codeOf = async (work: Promise<unknown>): Promise<string> => (await rejectionOf(work, ExportError)).code

/** A token like ours, with parts of it replaced. */
const forged = async (key: TestKey, header: object = {}, claims: object = {}): Promise<string> =>
  new SignJWT({
    iss: PUBLIC_BASE,
    aud: PUBLIC_BASE,
    sub: 'app',
    client_id: 'app',
    scope: 'system/Patient.rs',
    iat: NOW_SECONDS,
    exp: NOW_SECONDS + 300,
    ...claims,
  })
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header })
    .sign(key.signs)

describe('an access token of ours', () => {
  it('lives at most 300 seconds and says whose it is and what for [AU-12, AU-13]', async () => {
    const { token, expiresInSeconds } = await issueAccessToken(configWith([current]), {
      clientId: 'app',
      scopes: ['system/Patient.rs', 'system/Group.read'],
      nowMs: NOW_MS,
    })
    expect(expiresInSeconds).toBe(300)
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'ES256', kid: 'current', typ: 'at+jwt' })
    expect(decodeJwt(token)).toMatchObject({
      iss: PUBLIC_BASE,
      aud: PUBLIC_BASE,
      sub: 'app',
      client_id: 'app',
      scope: 'system/Patient.rs system/Group.read',
      iat: NOW_SECONDS,
      exp: NOW_SECONDS + 300,
    })
  })

  it.each(['current', 'previous', 'rsa'])('is taken back, signed by key %s [AU-16]', async (kid) => {
    const key = [current, previous, rsa].find((candidate) => candidate.kid === kid)
    const config = configWith(key ? [key] : [])
    expect(await verifyAccessToken(config, await issued(config), NOW_MS)).toMatchObject({
      clientId: 'app',
      scopes: ['system/Patient.rs'],
      expiresMs: NOW_MS + 300_000,
    })
  })

  it('outlives the rotation of its key while that key is still listed [AU-16]', async () => {
    const token = await issued(configWith([previous]))
    const rotated = configWith([current, previous])
    await expect(verifyAccessToken(rotated, token, NOW_MS)).resolves.toMatchObject({ clientId: 'app' })
    expect(decodeProtectedHeader(await issued(rotated)).kid).toBe('current')
    expect(await codeOf(verifyAccessToken(configWith([current]), token, NOW_MS))).toBe('token_invalid')
  })

  it.each(['the first time', 'again'])('has expired to the millisecond, asked %s [AU-16]', async (times) => {
    const config = configWith([current])
    const token = await issued(config)
    if (times === 'again') await verifyAccessToken(config, token, NOW_MS + 299_999)
    expect(await codeOf(verifyAccessToken(config, token, NOW_MS + 300_000))).toBe('token_expired')
  })

  it('is checked by cryptography once [AU-16]', async () => {
    const config = configWith([current])
    const token = await issued(config)
    const verifies = vi.spyOn(crypto.subtle, 'verify')
    for (let poll = 0; poll < 5; poll++) await verifyAccessToken(config, token, NOW_MS + poll)
    expect(verifies).toHaveBeenCalledTimes(1)
    verifies.mockRestore()
  })

  it('loses what its client loses, at once, also when it is known already [AU-14, AU-16]', async () => {
    const base = configWith([current])
    let client: Client | undefined = clientWith({ scopes: ['system/*.rs'] })
    const config: TokenConfig = {
      settings: base.settings,
      secret: (name) => base.secret(name),
      client: async () => client,
      issuer: async () => undefined,
      issuesTokens: async () => true,
    }
    const token = await issued(config, ['system/Patient.read', 'system/Group.read'])
    const scopesNow = async () => (await verifyAccessToken(config, token, NOW_MS)).scopes
    expect(await scopesNow()).toEqual(['system/Patient.read', 'system/Group.read'])
    client = clientWith({ scopes: ['system/Group.rs'] })
    expect(await scopesNow()).toEqual(['system/Group.read'])
    client = undefined
    expect(await codeOf(scopesNow())).toBe('token_invalid')
  })
})

describe('a token that is not ours', () => {
  it.each<[string, () => Promise<string>, string]>([
    ['nothing', async () => '', 'token_invalid'],
    ['no JWT', async () => 'abc', 'token_invalid'],
    ['a changed signature', async () => tampered(await issued(configWith([current]))), 'token_invalid'],
    ['a stranger with our kid', async () => forged(foreign), 'token_invalid'],
    ['an unknown kid', async () => forged(current, { kid: 'other' }), 'token_invalid'],
    ['no kid', async () => forged(current, { kid: undefined }), 'token_invalid'],
    [
      'alg none',
      async () => unsecured({ alg: 'none', kid: 'current', typ: 'at+jwt' }, decodeJwt(await forged(current))),
      'token_invalid',
    ],
    [
      'HMAC with our public key',
      async () =>
        new SignJWT(decodeJwt(await forged(current)))
          .setProtectedHeader({ alg: 'HS256', kid: 'current', typ: 'at+jwt' })
          .sign(new TextEncoder().encode(JSON.stringify(current.open))),
      'token_invalid',
    ],
    ['another issuer', async () => forged(current, {}, { iss: 'https://other.example' }), 'token_invalid'],
    ['another audience', async () => forged(current, {}, { aud: 'https://other.example' }), 'token_invalid'],
    ['the type of an assertion', async () => forged(current, { typ: 'JWT' }), 'token_invalid'],
    ['no type', async () => forged(current, { typ: undefined }), 'token_invalid'],
    ['an unknown client', async () => forged(current, {}, { client_id: 'other' }), 'token_invalid'],
    ['no client', async () => forged(current, {}, { client_id: undefined }), 'token_invalid'],
    ['no scope', async () => forged(current, {}, { scope: undefined }), 'token_invalid'],
    ['no expiry', async () => forged(current, {}, { exp: undefined }), 'token_invalid'],
    ['an expiry in the past', async () => forged(current, {}, { exp: NOW_SECONDS - 1 }), 'token_expired'],
    ['an expiry in the past and a stranger', async () => forged(foreign, {}, { exp: NOW_SECONDS - 1 }), 'token_invalid'],
  ])('with %s is refused, twice [AU-16]', async (_, token, code) => {
    const config = configWith([current])
    const text = await token()
    expect(await codeOf(verifyAccessToken(config, text, NOW_MS))).toBe(code)
    expect(await codeOf(verifyAccessToken(config, text, NOW_MS))).toBe(code)
  })
})

const secretOf = (keys: readonly unknown[]): string => JSON.stringify({ keys })

describe('TOKEN_SIGNING_KEYS', () => {
  it.each<[string, () => unknown]>([
    ['absent', () => undefined],
    ['no JSON', () => 'not json'],
    ['a list', () => JSON.stringify([current.closed])],
    ['without keys', () => secretOf([])],
    ['a public key', () => secretOf([current.open])],
    ['a key without kid', () => secretOf([{ ...current.closed, kid: undefined }])],
    ['a symmetric key', () => secretOf([{ kty: 'oct', kid: 'k', k: 'c2VjcmV0', d: 'x' }])],
    ['a curve of no use', () => secretOf([{ ...current.closed, crv: 'P-521' }])],
    ['for another algorithm', () => secretOf([{ ...current.closed, alg: 'HS256' }])],
    ['a broken key', () => secretOf([{ ...current.closed, x: 'AAAA' }])],
    ['the same kid twice', () => secretOf([current.closed, current.closed])],
  ])('%s: config_invalid that names it and shows nothing of it', async (_, value) => {
    const config = configWith([current], { TOKEN_SIGNING_KEYS: value() })
    for (const work of [issued(config), verifyAccessToken(config, 'abc', NOW_MS), publicJwks(config)]) {
      const error = await rejectionOf(work, ExportError)
      expect(error).toMatchObject({ code: 'config_invalid' })
      expect(error.diagnostics).toMatch(/^TOKEN_SIGNING_KEYS/)
      expect(`${String(error)}${JSON.stringify(error)}`).not.toContain(String(current.closed.d))
    }
  })

  it('is published without its private half', async () => {
    const { keys } = await publicJwks(configWith([current, rsa]))
    expect(keys.map(({ kid, alg, use }) => [kid, alg, use])).toEqual([
      ['current', 'ES256', 'sig'],
      ['rsa', 'RS256', 'sig'],
    ])
    for (const key of keys) for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) expect(key).not.toHaveProperty(member)
  })
})
