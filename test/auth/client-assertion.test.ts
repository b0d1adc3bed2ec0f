import { generateKeyPair, importJWK } from 'jose'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { verifyClientAssertion } from '../../src/auth/client-assertion.ts'
import { clientKeys } from '../../src/auth/jwks.ts'
import type { KeyFinder } from '../../src/auth/jwks.ts'
import { clientNotAuthenticated, TokenError } from '../../src/auth/token-error.ts'
import type { Client } from '../../src/config.ts'
import { assertionBy, clientWith, makeKey, NOW_MS, NOW_SECONDS, rejectionOf, tampered, TOKEN_URL, unsecured } from './support.ts'
import type { AssertionParts, TestKey } from './support.ts'

const JWKS_URL = 'https://app.example/jwks.json'
/** The private key 1 of P-384, whose public key is the curve's base point. */
const BASE_POINT = {
  crv: 'P-384',
  d: `${'A'.repeat(63)}B`,
  x: 'qofKIr6LBTeOscce8yCtdG4dO2KLp5uYWfdB4IJUKjhVAvJdv1UpbDpUXjhydgq3',
  y: 'NhfeSpYmLG9dnpi_kpLcKfj0Hb0omhR86doxE7XwuMAKYLHOHX6BnXpDHXyQ6g5f',
}
const UNIFORM = clientNotAuthenticated().description

let rsa: TestKey
let ec: TestKey
let stranger: TestKey

beforeAll(async () => {
  ;[rsa, ec, stranger] = await Promise.all([makeKey('RS384', 'rsa-1'), makeKey('ES384', 'ec-1'), makeKey('ES384', 'ec-1')])
})

const registered = (): Client => clientWith({ jwks: { keys: [rsa.open, ec.open] } })

const verify = async (assertion: string, client: Client = registered()) =>
  verifyClientAssertion({
    assertion,
    clientOf: async (clientId) => (clientId === client.clientId ? client : undefined),
    keysOf: (known) => clientKeys(known, { sandbox: false }),
    tokenUrl: TOKEN_URL,
    nowMs: NOW_MS,
  })

const refusalOf = async (assertion: string, client?: Client): Promise<TokenError> =>
  rejectionOf(verify(assertion, client), TokenError)

describe('an assertion that holds', () => {
  it('is taken with RS384 and with ES384 [AU-06]', async () => {
    for (const key of [rsa, ec]) {
      const { client, jti, expiresMs } = await verify(await assertionBy(key, { claims: { jti: `by-${key.kid}` } }))
      expect(client.clientId).toBe('app')
      expect(jti).toBe(`by-${key.kid}`)
      expect(expiresMs).toBeGreaterThanOrEqual((NOW_SECONDS + 240) * 1000)
    }
  })

  it.each<[string, AssertionParts]>([
    ['iat is absent', { claims: { iat: undefined } }],
    ['aud is a list of the token URL alone', { claims: { aud: [TOKEN_URL] } }],
    ['exp is all of five minutes ahead', { claims: { exp: NOW_SECONDS + 300 } }],
    ["the client's clock is a little ahead", { claims: { exp: NOW_SECONDS + 303, iat: NOW_SECONDS + 3, nbf: NOW_SECONDS + 3 } }],
    ['typ is in lower case', { header: { typ: 'jwt' } }],
  ])('is taken when %s [AU-05]', async (_, parts) => {
    await expect(verify(await assertionBy(ec, parts))).resolves.toMatchObject({ client: { clientId: 'app' } })
  })

  it('is remembered for as long as it would be taken [AU-07]', async () => {
    const assertion = await assertionBy(ec)
    const { expiresMs } = await verify(assertion)
    const again = (nowMs: number) =>
      verifyClientAssertion({
        assertion,
        clientOf: async () => registered(),
        keysOf: (known) => clientKeys(known, { sandbox: false }),
        tokenUrl: TOKEN_URL,
        nowMs,
      })
    await expect(again(expiresMs - 1)).resolves.toBeDefined()
    await expect(again(expiresMs)).rejects.toBeInstanceOf(TokenError)
  })
})

describe('one thing wrong', () => {
  it.each<[string, AssertionParts, RegExp]>([
    ['typ is absent', { header: { typ: undefined } }, /typ/],
    ['typ is that of an access token', { header: { typ: 'at+jwt' } }, /typ/],
    ['kid is absent', { header: { kid: undefined } }, /kid/],
    ['kid is empty', { header: { kid: '' } }, /kid/],
    ['iss is absent', { claims: { iss: undefined } }, /iss/],
    ['iss is not a text', { claims: { iss: 7, sub: 7 } }, /iss/],
    ['sub is absent', { claims: { sub: undefined } }, /sub/],
    ['sub is another', { claims: { sub: 'other' } }, /sub/],
    ['aud is absent', { claims: { aud: undefined } }, /aud/],
    ['aud is another server', { claims: { aud: 'https://other.example/token' } }, /aud/],
    ['aud is our base', { claims: { aud: 'https://bulkhead.example' } }, /aud/],
    ['aud is us with a slash', { claims: { aud: `${TOKEN_URL}/` } }, /aud/],
    ['aud names others too', { claims: { aud: [TOKEN_URL, 'https://other.example/token'] } }, /aud/],
    ['aud is an empty list', { claims: { aud: [] } }, /aud/],
    ['exp is absent', { claims: { exp: undefined } }, /exp/],
    ['exp is past', { claims: { exp: NOW_SECONDS - 10 } }, /expired/],
    ['exp is more than five minutes ahead', { claims: { exp: NOW_SECONDS + 330 } }, /exp/],
    ['nbf is in the future', { claims: { nbf: NOW_SECONDS + 60 } }, /nbf/],
    ['iat is in the future', { claims: { iat: NOW_SECONDS + 60 } }, /iat/],
    ['jti is absent', { claims: { jti: undefined } }, /jti/],
    ['jti is empty', { claims: { jti: '' } }, /jti/],
    ['jti is endless', { claims: { jti: 'x'.repeat(513) } }, /jti/],
  ])('%s: invalid_client, saying so, and no key is looked for [AU-05]', async (_, parts, description) => {
    const keysOf = vi.fn<(client: Client) => KeyFinder>(() => async () => [])
    const clientOf = vi.fn<(clientId: string) => Promise<Client>>(async () => registered())
    const assertion = await assertionBy(ec, parts)
    const error = await rejectionOf(
      verifyClientAssertion({ assertion, clientOf, keysOf, tokenUrl: TOKEN_URL, nowMs: NOW_MS }),
      TokenError,
    )
    expect(error).toMatchObject({ code: 'invalid_client', status: 400 })
    expect(error.description).toMatch(description)
    expect(clientOf).not.toHaveBeenCalled()
  })

  it.each(['', 'x', 'a.b.c', '{}', 'e30.'.repeat(5)])('%j is no JWT: invalid_client [AU-05]', async (assertion) => {
    expect(await refusalOf(assertion)).toMatchObject({
      code: 'invalid_client',
      description: expect.stringContaining('JWT'),
    })
  })

  it.each(['ES256', 'RS256', 'PS384', 'HS384', 'none', undefined])('alg %s: invalid_client [AU-06]', async (alg) => {
    const claims = { iss: 'app', sub: 'app', aud: TOKEN_URL, exp: NOW_SECONDS + 100, jti: 'j' }
    const refusal = await refusalOf(unsecured({ alg, kid: 'rsa-1', typ: 'JWT' }, claims))
    expect(refusal).toMatchObject({ code: 'invalid_client', description: expect.stringContaining('alg') })
  })

  it('an unknown critical header is not passed over [AU-05]', async () => {
    const assertion = await assertionBy(ec)
    const [header = '', claims, signature] = assertion.split('.')
    const given: object = JSON.parse(atob(header))
    const critical = { ...given, crit: ['x'], x: 1 }
    const forged = `${unsecured(critical, {}).split('.', 1)[0]}.${claims}.${signature}`
    expect(await refusalOf(forged)).toMatchObject({ code: 'invalid_client' })
  })
})

describe('a client that is not who it says', () => {
  it('hears the same words for an unknown client, a foreign key, a foreign jku and a bad signature [AU-08]', async () => {
    const withUrl = clientWith({ jwksUrl: JWKS_URL })
    const refusals = await Promise.all([
      refusalOf(await assertionBy(ec, { claims: { iss: 'nobody', sub: 'nobody' } })),
      refusalOf(await assertionBy(stranger)),
      refusalOf(tampered(await assertionBy(ec))),
      refusalOf(tampered(await assertionBy(rsa))),
      refusalOf(await assertionBy(ec, { header: { kid: 'ec-2' } })),
      refusalOf(await assertionBy(ec, { header: { jku: 'https://evil.example/jwks.json' } })),
      refusalOf(await assertionBy(ec, { header: { jku: 'https://evil.example/jwks.json' } }), withUrl),
      refusalOf(await assertionBy(ec, { header: { jku: `${JWKS_URL}#` } }), withUrl),
      refusalOf(await assertionBy(ec, { header: { jku: '' } })),
      refusalOf(await assertionBy(ec, { header: { jku: [JWKS_URL] } }), withUrl),
    ])
    for (const { code, description } of refusals)
      expect({ code, description }).toEqual({ code: 'invalid_client', description: UNIFORM })
  })

  it.each<[string, () => TestKey]>([
    ['RS384', () => rsa],
    ['ES384', () => stranger],
  ])('costs one check of its %s signature, whether it is known or not, so that time does not tell [AU-08]', async (_, of) => {
    const key = of()
    const verifies = vi.spyOn(crypto.subtle, 'verify')
    const checks = async (assertion: string, client?: Client) => {
      verifies.mockClear()
      expect((await refusalOf(assertion, client)).description).toBe(UNIFORM)
      return verifies.mock.calls.length
    }
    const withUrl = clientWith({ jwksUrl: JWKS_URL })
    const bound = clientWith({ issuer: 'platform' })
    const counts = [
      await checks(await assertionBy(key, { claims: { iss: 'nobody', sub: 'nobody' } })),
      await checks(tampered(await assertionBy(key))),
      await checks(await assertionBy(key, { header: { kid: 'ec-2' } })),
      await checks(await assertionBy(key, { header: { jku: 'https://evil.example/jwks.json' } }), withUrl),
      await checks(await assertionBy(key), bound),
      await checks(await assertionBy(key), clientWith({ jwks: { keys: [{ ...key.closed }] } })),
    ]
    verifies.mockRestore()
    expect(counts).toEqual(counts.map(() => 1))
  })

  it.each([2048, 3072, 4096])(
    'costs a full check of a %d bit RSA signature, whatever the size of its own key [AU-08]',
    async (bits) => {
      const { privateKey } = await generateKeyPair('RS384', { modulusLength: bits })
      const sizes: unknown[] = []
      const verifies = vi.spyOn(crypto.subtle, 'verify').mockImplementation(async (_, key) => {
        sizes.push('modulusLength' in key.algorithm && key.algorithm.modulusLength)
        return false
      })
      for (const iss of ['app', 'nobody'])
        await refusalOf(await assertionBy({ ...rsa, signs: privateKey }, { claims: { iss, sub: iss } }))
      verifies.mockRestore()
      expect(sizes).toEqual([bits, bits])
    },
  )

  it("is not let in by a signature that anyone could make for the key that stands in for a stranger's [AU-08]", async () => {
    const forging = await importJWK({ kty: 'EC', ...BASE_POINT }, 'ES384')
    const forger = { ...ec, signs: forging }
    for (const iss of ['nobody', 'app']) {
      const parts = { header: { kid: 'ec-2' }, claims: { iss, sub: iss } }
      expect((await refusalOf(await assertionBy(forger, parts))).description).toBe(UNIFORM)
    }
  })

  it('is never asked for keys at a URL of its own choice [AU-09]', async () => {
    const fetched = vi.fn<typeof fetch>()
    vi.stubGlobal('fetch', fetched)
    await refusalOf(
      await assertionBy(ec, { header: { jku: 'https://evil.example/jwks.json' } }),
      clientWith({ jwksUrl: JWKS_URL }),
    )
    expect(fetched).not.toHaveBeenCalled()
    vi.unstubAllGlobals()
  })
})

describe('the key', () => {
  it('must be the only one of its kid and kty [AU-09]', async () => {
    const twice = clientWith({ jwks: { keys: [ec.open, stranger.open] } })
    expect(await refusalOf(await assertionBy(ec), twice)).toMatchObject({ code: 'invalid_client' })
  })

  it('is found by kid and kty together [AU-09]', async () => {
    const shared = clientWith({
      jwks: {
        keys: [
          { ...rsa.open, kid: 'k' },
          { ...ec.open, kid: 'k' },
        ],
      },
    })
    for (const key of [rsa, ec]) {
      await expect(verify(await assertionBy(key, { header: { kid: 'k' } }), shared)).resolves.toBeDefined()
    }
  })

  it.each<[string, (key: TestKey) => Record<string, unknown>]>([
    ['is for encryption', (key) => ({ ...key.open, use: 'enc' })],
    ['may only sign', (key) => ({ ...key.open, key_ops: ['sign'] })],
    ['is for another algorithm', (key) => ({ ...key.open, alg: 'ES512' })],
    ['is a private key', (key) => ({ ...key.closed })],
    ['lacks a coordinate', (key) => ({ ...key.open, y: undefined })],
    ['is on another curve', (key) => ({ ...key.open, crv: 'P-256' })],
    ['is no point of its curve', (key) => ({ ...key.open, x: 'AAAA' })],
  ])('is refused when it %s [AU-09]', async (_, change) => {
    const client = clientWith({ jwks: { keys: [change(ec)] } })
    expect(await refusalOf(await assertionBy(ec), client)).toMatchObject({ code: 'invalid_client', description: UNIFORM })
  })

  it('may say that it is for ES384 signatures [AU-09]', async () => {
    const client = clientWith({ jwks: { keys: [{ ...ec.open, alg: 'ES384', use: 'sig', key_ops: ['verify'] }] } })
    await expect(verify(await assertionBy(ec), client)).resolves.toBeDefined()
  })
})
