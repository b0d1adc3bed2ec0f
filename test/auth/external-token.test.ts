import { decodeJwt, importJWK, SignJWT } from 'jose'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { issueAccessToken, publicJwks, verifyAccessToken } from '../../src/auth/access-token.ts'
import { REFETCH_MS } from '../../src/auth/jwks.ts'
import { Config } from '../../src/config.ts'
import { ExportError } from '../../src/errors.ts'
import { makeKey, NOW_MS, NOW_SECONDS, PUBLIC_BASE, rejectionOf, tampered, unsecured } from './support.ts'
import type { TestKey } from './support.ts'

const ISSUER = 'https://login.platform.example/'
const AUDIENCE = 'https://bulkhead.example/fhir'
const EVIL = 'https://evil.example/jwks.json'
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'] as const

let ec: TestKey
let rsa: TestKey
let stranger: TestKey
let own: TestKey
let served: { keys: unknown[] }
let jwksUrl: string
let urls = 0

const fetched = vi.fn<(target: string, init: RequestInit) => Promise<Response>>()

beforeAll(async () => {
  ;[ec, rsa, stranger, own] = await Promise.all([
    makeKey('ES256', 'e1'),
    makeKey('RS256', 'r1'),
    makeKey('ES256', 'e1'),
    makeKey('ES256', 'o1'),
  ])
})
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW_MS })
  vi.stubGlobal('fetch', fetched)
  served = { keys: [ec.open, rsa.open] }
  fetched.mockReset().mockImplementation(async () => Response.json(served, { headers: { 'Cache-Control': 'max-age=600' } }))
  jwksUrl = `https://login.platform.example/${(urls += 1)}/keys`
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

/** `app` is bound to the issuer, `homely` has a key of its own. */
const configWith = (issuer: object = {}, variables: Readonly<Record<string, unknown>> = {}): Config =>
  new Config({
    PUBLIC_BASE,
    TOKEN_SIGNING_KEYS: JSON.stringify({ keys: [own.closed] }),
    ISSUER_PLATFORM: { issuer: ISSUER, jwksUrl, audience: AUDIENCE, ...issuer },
    CLIENT_APP: { clientId: 'app', issuer: 'platform', scopes: ['system/Patient.rs', 'system/Group.rs'], access: {} },
    CLIENT_HOMELY: { clientId: 'homely', jwks: { keys: [own.open] }, scopes: ['system/*.rs'], access: {} },
    ...variables,
  })

/** A good token of the issuer for `app`, with parts of it replaced; `undefined` takes one out. */
const tokenBy = async (key: TestKey, { header = {}, claims = {} }: { header?: object; claims?: object } = {}): Promise<string> =>
  new SignJWT({
    iss: ISSUER,
    aud: AUDIENCE,
    sub: 'service-account-7',
    client_id: 'app',
    scope: 'system/*.rs',
    iat: NOW_SECONDS,
    exp: NOW_SECONDS + 600,
    ...claims,
  })
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header })
    .sign(key.signs)

const verify = async (token: string, config = configWith(), nowMs = NOW_MS) => verifyAccessToken(config, token, nowMs)
const codeOf = async (work: Promise<unknown>): Promise<string> => (await rejectionOf(work, ExportError)).code

describe("a trusted issuer's token", () => {
  it('is worth the part of its scopes that its client is allowed [AU-14, AU-16]', async () => {
    expect(await verify(await tokenBy(ec))).toMatchObject({
      clientId: 'app',
      scopes: ['system/Patient.rs', 'system/Group.rs'],
      expiresMs: NOW_MS + 600_000,
    })
    expect(
      await verify(await tokenBy(ec, { claims: { scope: 'openid system/Patient.read system/Observation.rs' } })),
    ).toMatchObject({
      scopes: ['system/Patient.read'],
    })
  })

  it.each<[string, object, object]>([
    ['its type is JWT', {}, { header: { typ: 'JWT' } }],
    ['its type is spelt out', {}, { header: { typ: 'application/at+jwt' } }],
    ['the audience is one of several', {}, { claims: { aud: ['https://other.example', AUDIENCE] } }],
    ['the client id is in azp', { clientIdClaim: 'azp' }, { claims: { azp: 'app', client_id: 'other' } }],
    ['the client id is in sub', { clientIdClaim: 'sub' }, { claims: { sub: 'app', client_id: undefined } }],
    ['the scopes are a list', {}, { claims: { scope: ['openid', 'system/Patient.rs', 'system/Group.rs'] } }],
    ['the scopes are in scp', { scopeClaim: 'scp' }, { claims: { scp: ['system/*.rs'], scope: 'system/Device.rs' } }],
    ['there is no iat', {}, { claims: { iat: undefined } }],
    ["the issuer's clock is a little ahead", {}, { claims: { iat: NOW_SECONDS + 4, nbf: NOW_SECONDS + 4 } }],
    ['it lives as long as it may', { maxTokenSeconds: 7200 }, { claims: { exp: NOW_SECONDS + 7200 } }],
  ])('is taken when %s [AU-16]', async (_, issuer, parts) => {
    expect((await verify(await tokenBy(ec, parts), configWith(issuer))).scopes).toEqual(['system/Patient.rs', 'system/Group.rs'])
  })

  it.each(ALGORITHMS)('may be signed by %s where the issuer is said to, and not where it is not', async (alg) => {
    const key = await makeKey(alg, 'a1')
    served = { keys: [key.open] }
    const token = await tokenBy(key)
    expect((await verify(token, configWith({ algorithms: [alg] }))).clientId).toBe('app')
    const others = ALGORITHMS.filter((other) => other !== alg)
    expect(await codeOf(verify(token, configWith({ algorithms: others })))).toBe('token_invalid')
  })

  it('may be signed by one key under two algorithms', async () => {
    const other: TestKey = { ...(await makeKey('RS384', 'r1')), kid: 'r1' }
    const again: TestKey = { ...other, alg: 'RS256', signs: await importAs(other, 'RS256') }
    served = { keys: [other.open] }
    const config = configWith()
    for (const key of [other, again]) expect((await verify(await tokenBy(key), config)).clientId).toBe('app')
  })

  it.each<[string, () => Promise<string>]>([
    ['another audience', async () => tokenBy(ec, { claims: { aud: 'https://other.example' } })],
    ['no audience', async () => tokenBy(ec, { claims: { aud: undefined } })],
    ['no expiry', async () => tokenBy(ec, { claims: { exp: undefined } })],
    ['an expiry too far ahead', async () => tokenBy(ec, { claims: { exp: NOW_SECONDS + 3610 } })],
    ['a beginning in the future', async () => tokenBy(ec, { claims: { nbf: NOW_SECONDS + 60 } })],
    ['an issue in the future', async () => tokenBy(ec, { claims: { iat: NOW_SECONDS + 60 } })],
    ['the type of an identity token', async () => tokenBy(ec, { header: { typ: 'id+jwt' } })],
    ['no type', async () => tokenBy(ec, { header: { typ: undefined } })],
    ['no kid', async () => tokenBy(ec, { header: { kid: undefined } })],
    ['an unknown kid', async () => tokenBy(ec, { header: { kid: 'x' } })],
    ["another issuer's name", async () => tokenBy(ec, { claims: { iss: ISSUER.slice(0, -1) } })],
    ['our name', async () => tokenBy(ec, { claims: { iss: PUBLIC_BASE } })],
    ['a changed signature', async () => tampered(await tokenBy(ec))],
    ['a stranger and its kid', async () => tokenBy(stranger)],
    ['no client id', async () => tokenBy(ec, { claims: { client_id: undefined } })],
    ['a client id that is no text', async () => tokenBy(ec, { claims: { client_id: ['app'] } })],
    ['a client nobody knows', async () => tokenBy(ec, { claims: { client_id: 'other' } })],
    ['a client that has a key of its own here', async () => tokenBy(ec, { claims: { client_id: 'homely' } })],
    ['scopes of no use', async () => tokenBy(ec, { claims: { scope: { system: true } } })],
    ['alg none', async () => unsecured({ alg: 'none', kid: 'e1', typ: 'at+jwt' }, decodeJwt(await tokenBy(ec)))],
    [
      'HMAC with its public key',
      async () =>
        new SignJWT(decodeJwt(await tokenBy(ec)))
          .setProtectedHeader({ alg: 'HS256', kid: 'e1', typ: 'at+jwt' })
          .sign(new TextEncoder().encode(JSON.stringify(ec.open))),
    ],
    [
      'a critical header that nobody knows',
      async () =>
        new SignJWT(decodeJwt(await tokenBy(ec)))
          .setProtectedHeader({ alg: 'ES256', kid: 'e1', typ: 'at+jwt', crit: ['x'], x: 1 })
          .sign(ec.signs, { crit: { x: true } }),
    ],
  ])('with %s is refused, twice [AU-16]', async (_, token) => {
    const config = configWith()
    const text = await token()
    for (let time = 0; time < 2; time++) expect(await codeOf(verify(text, config))).toBe('token_invalid')
  })

  it.each<[string, () => object]>([
    ['jwk', () => ({ jwk: stranger.open })],
    ['jku', () => ({ jku: EVIL })],
    ['x5u', () => ({ x5u: EVIL })],
    ['x5c', () => ({ x5c: ['MIIB'] })],
  ])('never says itself with %s what it is to be checked with [AU-16]', async (_, header) => {
    fetched.mockImplementation(async (target) => Response.json(target === EVIL ? { keys: [stranger.open] } : served))
    expect(await codeOf(verify(await tokenBy(stranger, { header: header() })))).toBe('token_invalid')
    expect((await verify(await tokenBy(ec, { header: header() }))).clientId).toBe('app')
    expect(new Set(fetched.mock.calls.map(([target]) => target))).toEqual(new Set([jwksUrl]))
  })

  it('without scopes is worth none [AU-16]', async () => {
    expect((await verify(await tokenBy(ec, { claims: { scope: undefined } }))).scopes).toEqual([])
  })

  it('is not widened where its scope has a query [AU-15]', async () => {
    const scope = 'system/Patient.rs?birthdate=ge2000 system/Group.rs'
    expect((await verify(await tokenBy(ec, { claims: { scope } }))).scopes).toEqual(['system/Group.rs'])
  })

  it.each(['the first time', 'again'])('has expired to the millisecond, asked %s [AU-16]', async (times) => {
    const config = configWith()
    const token = await tokenBy(ec)
    if (times === 'again') await verify(token, config, NOW_MS + 599_999)
    expect(await codeOf(verify(token, config, NOW_MS + 600_000))).toBe('token_expired')
  })

  it('is checked by cryptography once [AU-16]', async () => {
    const config = configWith()
    const token = await tokenBy(ec)
    const verifies = vi.spyOn(crypto.subtle, 'verify')
    for (let poll = 0; poll < 5; poll++) await verify(token, config, NOW_MS + poll)
    expect(verifies).toHaveBeenCalledTimes(1)
    verifies.mockRestore()
  })

  it('is refused where two variables claim its issuer', async () => {
    const twin = { issuer: ISSUER, jwksUrl, audience: AUDIENCE }
    expect(await codeOf(verify(await tokenBy(ec), configWith({}, { ISSUER_TWIN: twin })))).toBe('token_invalid')
  })

  it('of an issuer that its client is not bound to is refused, trusted as it may be', async () => {
    const second = { issuer: 'https://second.example', jwksUrl, audience: AUDIENCE }
    const token = await tokenBy(ec, { claims: { iss: 'https://second.example' } })
    expect(await codeOf(verify(token, configWith({}, { ISSUER_SECOND: second })))).toBe('token_invalid')
  })
})

describe('a client that is bound to an issuer', () => {
  it('is not let in by a token of ours, which it may still hold from before [AU-16]', async () => {
    const config = configWith()
    const { token } = await issueAccessToken(config, { clientId: 'app', scopes: ['system/Patient.rs'], nowMs: NOW_MS })
    expect(await codeOf(verify(token, config))).toBe('token_invalid')
    const homely = await issueAccessToken(config, { clientId: 'homely', scopes: ['system/Patient.rs'], nowMs: NOW_MS })
    expect((await verify(homely.token, config)).clientId).toBe('homely')
  })
})

describe("the issuer's keys", () => {
  it('are fetched once, and again only for an unknown kid, seldom [AU-10]', async () => {
    const config = configWith()
    for (const scope of ['system/Patient.rs', 'system/Group.rs']) await verify(await tokenBy(ec, { claims: { scope } }), config)
    const rotated = await makeKey('ES256', 'e2')
    served = { keys: [rotated.open] }
    const token = await tokenBy(rotated)
    expect(await codeOf(verify(token, config))).toBe('token_invalid')
    expect(fetched).toHaveBeenCalledTimes(1)
    vi.setSystemTime(NOW_MS + REFETCH_MS)
    expect((await verify(token, config)).clientId).toBe('app')
    for (const kid of ['x', 'y', 'z']) await codeOf(verify(await tokenBy(ec, { header: { kid } }), config))
    expect(fetched).toHaveBeenCalledTimes(2)
  })

  it('are held for half a minute even where they may not be stored: tokens that prove nothing cost the issuer nothing', async () => {
    fetched.mockImplementation(async () => Response.json(served, { headers: { 'Cache-Control': 'no-store' } }))
    const invented = await Promise.all([1, 2, 3].map((n) => tokenBy(stranger, { header: { kid: 'e1' }, claims: { n } })))
    for (const token of invented) expect(await codeOf(verify(token))).toBe('token_invalid')
    expect(fetched).toHaveBeenCalledTimes(1)
    vi.setSystemTime(NOW_MS + REFETCH_MS + 1)
    expect(await verify(await tokenBy(ec), configWith(), Date.now())).toMatchObject({ clientId: 'app' })
    expect(fetched).toHaveBeenCalledTimes(2)
  })

  it('are asked for without any credential, and over https only', async () => {
    await verify(await tokenBy(ec))
    const [[target, init] = []] = fetched.mock.calls
    expect(target).toBe(jwksUrl)
    expect([...new Headers(init?.headers).keys()]).toEqual(['accept'])
    expect(await configWith({ jwksUrl: 'http://login.platform.example/keys' }).issuer(ISSUER)).toBeUndefined()
  })

  it.each<[string, () => Promise<Response>]>([
    ['is down', async () => Promise.reject(new TypeError('canary'))],
    ['fails', async () => new Response('canary', { status: 500 })],
    ['sends something else', async () => new Response('<html>canary')],
    ['redirects to another host', async () => new Response(null, { status: 302, headers: { Location: EVIL } })],
  ])('that cannot be had since the URL %s: 502 and when to try again, not a refusal of the token', async (_, answer) => {
    fetched.mockImplementation(answer)
    const error = await rejectionOf(verify(await tokenBy(ec)), ExportError)
    expect(error).toMatchObject({ code: 'vendor_unreachable', options: { retryAfterSeconds: 30 } })
    expect(error.diagnostics).toMatch(/keys .* cannot be read now\. Try again later/)
    expect(error.diagnostics).not.toMatch(/canary|platform\.example/)
    expect(fetched.mock.calls.every(([target]) => target === jwksUrl)).toBe(true)
  })

  it.each<[string, () => unknown[]]>([
    ['two of the same kid', () => [ec.open, stranger.open]],
    ['one that is for encryption', () => [{ ...ec.open, use: 'enc' }]],
    ['one that is private', () => [ec.closed]],
    ['one of another curve', () => [{ ...ec.open, crv: 'P-384' }]],
    ['one that is symmetric', () => [{ kty: 'oct', kid: 'e1', k: 'c2VjcmV0' }]],
    ['none', () => []],
  ])('are of no use with %s', async (_, keys) => {
    served = { keys: keys() }
    expect(await codeOf(verify(await tokenBy(ec)))).toBe('token_invalid')
  })
})

const alone = (): Config => configWith({}, { TOKEN_SIGNING_KEYS: undefined, CLIENT_HOMELY: undefined })

describe('a platform whose clients all bring tokens of its own identity provider', () => {
  it('needs no signing key of ours', async () => {
    const config = new Config({
      PUBLIC_BASE,
      ISSUER_PLATFORM: { issuer: ISSUER, jwksUrl, audience: AUDIENCE },
      CLIENT_APP: { clientId: 'app', issuer: 'platform', scopes: ['system/*.rs'], access: {} },
    })
    expect(await config.problems()).toEqual([])
    expect((await verify(await tokenBy(ec), config)).clientId).toBe('app')
    expect(await publicJwks(config)).toEqual({ keys: [] })
  })

  it.each(['abc', ''])('refuses %j like any other token', async (token) => {
    expect(await codeOf(verify(token, alone()))).toBe('token_invalid')
  })
})

const importAs = async (key: TestKey, alg: string) =>
  importJWK({ ...key.closed, kty: 'RSA', n: String(key.closed.n), e: String(key.closed.e) }, alg)
