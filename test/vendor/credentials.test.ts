import { exportJWK, generateKeyPair, importJWK, jwtVerify, type JWK } from 'jose'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { DEFAULT_TOKEN_SECONDS, requestToken, scopesFor, type TokenAnswer } from '../../src/vendor/credentials.ts'
import type { Auth } from '../../src/vendor/adapter.ts'
import type { Credential, Source } from '../../src/vendor/source.ts'
import { CREDENTIAL, dialectWith, NOW_MS, sourceWith, stubFetch } from './support.ts'

const TOKEN_URL = 'https://auth.example/token'
const EXCHANGE: Auth = {
  kinds: ['key-exchange'],
  exchange: { key: 'apiKey', secret: 'secret', token: '/accessToken', expires: '/expires' },
}

const secretIs =
  (value: string) =>
  (name: string): string => {
    expect(name).toMatch(/^ACME_/)
    return value
  }
const ask = (source: Source, secret = 's3cret'): Promise<TokenAnswer> => requestToken(source, secretIs(secret), false)
const withCredential = (credential: Credential, auth?: Auth): Source => sourceWith(auth ? { auth } : {}, { credential })
const json = (body: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers })

beforeEach(() => vi.useFakeTimers({ toFake: ['Date'], now: NOW_MS }))
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

it.each<[unknown, number]>([
  [3600, 3600],
  ['1200', 1200],
  [' 60 ', 60],
  [undefined, DEFAULT_TOKEN_SECONDS],
  [null, DEFAULT_TOKEN_SECONDS],
  [0, DEFAULT_TOKEN_SECONDS],
  [-5, DEFAULT_TOKEN_SECONDS],
  ['-5', DEFAULT_TOKEN_SECONDS],
  ['', DEFAULT_TOKEN_SECONDS],
  ['soon', DEFAULT_TOKEN_SECONDS],
  [{}, DEFAULT_TOKEN_SECONDS],
  [9e15, DEFAULT_TOKEN_SECONDS],
  [1_800_000_000, DEFAULT_TOKEN_SECONDS],
  [new Date(NOW_MS + 90_000).toISOString(), 90],
  [new Date(NOW_MS - 90_000).toISOString(), DEFAULT_TOKEN_SECONDS],
])('a token with expires_in %j lives %j s [N-36]', async (expires, seconds) => {
  stubFetch(() => json({ access_token: 't', expires_in: expires }))
  expect(await ask(sourceWith())).toEqual({ kind: 'token', token: 't', expiresMs: NOW_MS + seconds * 1000 })
})

it.each(['Bearer', 'bearer', 'BEARER', 'BearerToken', undefined])('takes a token of type %j [N-36]', async (type) => {
  stubFetch(() => json({ access_token: 't', token_type: type, expires_in: 60 }))
  expect(await ask(sourceWith())).toMatchObject({ kind: 'token', token: 't' })
})

it.each<[string, () => Response | Error, TokenAnswer]>([
  ['429 with a wait', () => json({}, 429, { 'Retry-After': '30' }), { kind: 'unavailable', retryAfterMs: 30_000 }],
  ['429 without', () => json({}, 429), { kind: 'unavailable' }],
  [
    '503 with a date',
    () => json({}, 503, { 'Retry-After': 'Sat, 21 Nov 2026 10:11:00 GMT' }),
    { kind: 'unavailable', retryAfterMs: 60_000 },
  ],
  ['408', () => json({}, 408), { kind: 'unavailable' }],
  ['500', () => json({}, 500), { kind: 'unavailable' }],
  ['400', () => json({ error: 'invalid_client' }, 400), { kind: 'refused' }],
  ['401', () => json({ error: 'invalid_client' }, 401), { kind: 'refused' }],
  ['403 without a body', () => new Response(null, { status: 403 }), { kind: 'refused' }],
  ['200 with a login page', () => new Response('<html>'), { kind: 'unavailable' }],
  ['200 without a token', () => json({ token_type: 'Bearer' }), { kind: 'unavailable' }],
  ['200 with an empty token', () => json({ access_token: '' }), { kind: 'unavailable' }],
  ['200 with a token that is no text', () => json({ access_token: 5 }), { kind: 'unavailable' }],
  ['200 with null', () => json(null), { kind: 'unavailable' }],
  ['200 with too much', () => new Response('x'.repeat(300_000)), { kind: 'unavailable' }],
  [
    'a redirect',
    () => new Response(null, { status: 307, headers: { Location: 'https://auth.example/b' } }),
    { kind: 'unavailable' },
  ],
  ['a lost connection', () => new TypeError('Network connection lost.'), { kind: 'unavailable' }],
])('a token endpoint that answers %s is %j, after one request [N-36]', async (_, respond, expected) => {
  const calls = stubFetch(respond)
  expect(await ask(sourceWith())).toEqual(expected)
  expect(calls).toHaveLength(1)
})

it.each([
  ['app', 's3cret', 'app:s3cret'],
  ['app', 'pa:ss/w+rd=', 'app:pa%3Ass%2Fw%2Brd%3D'],
  ['a b:c', 'ü', 'a%20b%3Ac:%C3%BC'],
])('client-secret-basic sends %j and %j form-encoded, and only in the header [N-37]', async (clientId, secret, joined) => {
  const calls = stubFetch(() => json({ access_token: 't' }))
  await ask(
    withCredential({ ...CREDENTIAL, kind: 'client-secret-basic', clientId, tokenUrl: TOKEN_URL, secret: 'ACME_SECRET' }),
    secret,
  )
  expect(calls.map(({ url, method }) => [url, method])).toEqual([[TOKEN_URL, 'POST']])
  expect(calls[0]?.headers.get('Authorization')).toBe(`Basic ${btoa(joined)}`)
  expect(Object.fromEntries(new URLSearchParams(calls[0]?.body))).toEqual({
    grant_type: 'client_credentials',
    scope: 'system/*.read',
  })
})

it('client-secret-post sends them in the form, and no header [N-37]', async () => {
  const calls = stubFetch(() => json({ access_token: 't' }))
  await ask(withCredential({ kind: 'client-secret-post', clientId: 'app', tokenUrl: TOKEN_URL, secret: 'ACME_SECRET' }), 'a&b')
  expect(calls[0]?.headers.has('Authorization')).toBe(false)
  expect(calls[0]?.headers.get('Content-Type')).toBe('application/x-www-form-urlencoded')
  expect(Object.fromEntries(new URLSearchParams(calls[0]?.body))).toEqual({
    grant_type: 'client_credentials',
    scope: 'system/*.read',
    client_id: 'app',
    client_secret: 'a&b',
  })
})

it('a token endpoint that refuses tells how far its clock is off, and an assertion is made by that clock [N-36]', async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES384', { extractable: true })
  const credential: Credential = {
    kind: 'private-key-jwt',
    clientId: 'us',
    tokenUrl: TOKEN_URL,
    keySecret: 'ACME_KEY',
    alg: 'ES384',
  }
  const secret = secretIs(JSON.stringify({ ...(await exportJWK(privateKey)), kid: 'k' }))
  const skewMs = -3 * 3_600_000
  stubFetch(() => json({}, 401, { Date: new Date(NOW_MS + skewMs).toUTCString() }))
  expect(await requestToken(withCredential(credential), secret, false)).toEqual({ kind: 'refused', skewMs })
  const fetched = stubFetch(() => json({ access_token: 't', expires_in: 60 }))
  expect(await requestToken(withCredential(credential), secret, false, skewMs)).toMatchObject({ kind: 'token' })
  const form = new URLSearchParams(fetched[0]?.body)
  const theirs = { currentDate: new Date(NOW_MS + skewMs) }
  const key = await importJWK(await exportJWK(publicKey), 'ES384')
  const { payload } = await jwtVerify(form.get('client_assertion') ?? '', key, theirs)
  expect(payload.iat).toBe((NOW_MS + skewMs) / 1000)
})

it('key-exchange sends and reads the members that the dialect names [N-37]', async () => {
  const calls = stubFetch(() => json({ accessToken: 't', expires: '2026-11-21T10:15:00.000Z', refreshToken: 'r' }))
  const source = withCredential({ kind: 'key-exchange', clientId: 'app', tokenUrl: TOKEN_URL, secret: 'ACME_SECRET' }, EXCHANGE)
  expect(await ask(source)).toEqual({ kind: 'token', token: 't', expiresMs: NOW_MS + 300_000 })
  expect(calls.map(({ headers, body }) => [headers.get('Content-Type'), JSON.parse(body ?? '')])).toEqual([
    ['application/json', { apiKey: 'app', secret: 's3cret' }],
  ])
})

it('key-exchange at an adapter that has none is a mistake of configuration [N-37]', async () => {
  const source = withCredential({ kind: 'key-exchange', clientId: 'app', tokenUrl: TOKEN_URL, secret: 'ACME_SECRET' })
  await expect(ask(source)).rejects.toMatchObject({ code: 'config_invalid' })
})

it('a static token is not asked for and does not end [N-37]', async () => {
  const calls = stubFetch(() => json({}))
  expect(await ask(withCredential({ kind: 'bearer', secret: 'ACME_TOKEN' }))).toMatchObject({ kind: 'token', token: 's3cret' })
  expect(calls).toEqual([])
})

it('sends the secret to the token URL alone: https, or loopback in the sandbox', async () => {
  const calls = stubFetch(() => json({ access_token: 't' }))
  const source = withCredential({
    ...CREDENTIAL,
    kind: 'client-secret-post',
    tokenUrl: 'http://127.0.0.1:4001/token',
    clientId: 'app',
    secret: 'ACME_SECRET',
  })
  expect(await ask(source)).toEqual({ kind: 'unavailable' })
  expect(calls).toEqual([])
  expect(await requestToken(source, secretIs('s'), true)).toMatchObject({ kind: 'token' })
})

describe('private-key-jwt', () => {
  const credential = { kind: 'private-key-jwt', clientId: 'app', tokenUrl: TOKEN_URL, keySecret: 'ACME_KEY' } as const

  it.each(['RS384', 'ES384'] as const)('signs an assertion with %s that the vendor can verify [N-37]', async (alg) => {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
    const jwk: JWK = { ...(await exportJWK(privateKey)), kid: 'key-1' }
    const calls = stubFetch(() => json({ access_token: 't' }))
    const source = withCredential({ ...credential, alg })
    await ask(source, JSON.stringify(jwk))
    await ask(source, JSON.stringify(jwk))
    const forms = calls.map(({ body }) => new URLSearchParams(body))
    const [first, second] = await Promise.all(
      forms.map(async (form) => {
        const assertion = form.get('client_assertion') ?? ''
        return jwtVerify(assertion, await importJWK(await exportJWK(publicKey), alg), { currentDate: new Date(NOW_MS) })
      }),
    )
    expect(first?.protectedHeader).toEqual({ alg, typ: 'JWT', kid: 'key-1' })
    const { exp = 0, iat = 0, jti, ...claims } = first?.payload ?? {}
    expect(claims).toEqual({ iss: 'app', sub: 'app', aud: TOKEN_URL })
    expect(iat).toBe(NOW_MS / 1000)
    expect(exp - iat).toBeGreaterThan(0)
    expect(exp - iat).toBeLessThanOrEqual(300)
    expect(jti).not.toBe(second?.payload.jti)
    expect(forms[0]?.get('client_assertion_type')).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
    expect(calls[0]?.headers.has('Authorization')).toBe(false)
  })

  it.each([
    ['no JSON', 'hunter2'],
    ['a public key', '{"kty":"RSA","n":"AQAB","e":"AQAB"}'],
    ['a key of another kind', '{"kty":"oct","k":"c2VjcmV0"}'],
  ])('a key that is %s is a mistake that names the secret and never shows it', async (_, key) => {
    const calls = stubFetch(() => json({ access_token: 't' }))
    const refusal = ask(withCredential({ ...credential, alg: 'RS384' }), key)
    await expect(refusal).rejects.toMatchObject({
      code: 'config_invalid',
      diagnostics: expect.stringMatching(/^ACME_KEY: /) as string,
    })
    await expect(refusal).rejects.toSatisfy((error: Error) => !error.message.includes(key))
    expect(calls).toEqual([])
  })
})

it.each<[readonly string[] | undefined, readonly string[] | undefined, string[]]>([
  [undefined, undefined, ['system/*.read']],
  [['system/{type}.read'], undefined, ['system/Patient.read', 'system/Observation.read']],
  [['openid', 'system/{type}.rs'], undefined, ['openid', 'system/Patient.rs', 'system/Observation.rs']],
  [[], undefined, []],
  [['system/*.read'], ['system/Group.read'], ['system/Group.read']],
])('asks for the scopes of the dialect %j, unless the source has %j [N-37]', (declared, own, scopes) => {
  const { auth } = dialectWith({ auth: { kinds: ['client-secret-basic'], ...(declared ? { scopes: declared } : {}) } })
  expect(
    scopesFor(sourceWith({ auth }, { credential: { ...CREDENTIAL, ...(own ? { scopes: own } : {}) } as Credential })),
  ).toEqual(scopes)
})

it('leaves scope out where a vendor wants none [N-37]', async () => {
  const calls = stubFetch(() => json({ access_token: 't' }))
  await ask(sourceWith({ auth: { kinds: ['client-secret-basic'], scopes: [] } }))
  expect(new URLSearchParams(calls[0]?.body).has('scope')).toBe(false)
})
