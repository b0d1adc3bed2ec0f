import { Hono } from 'hono'
import { decodeJwt } from 'jose'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { verifyAccessToken } from '../../src/auth/access-token.ts'
import { CLIENT_ASSERTION_TYPE } from '../../src/auth/client-assertion.ts'
import { configOf } from '../../src/config.ts'
import type { Env } from '../../src/env.ts'
import { MAX_TOKEN_REQUEST_BYTES, tokenRoutes } from '../../src/routes/token.ts'
import { assertionBy, envOf, makeKey, NOW_MS, PUBLIC_BASE, tampered } from './support.ts'
import type { TestKey } from './support.ts'

// The ledger itself is tested where it runs; here only what the route makes of its answer matters.
vi.mock('cloudflare:workers', () => ({ DurableObject: Object }))

const FORM = 'application/x-www-form-urlencoded'
const app = new Hono<{ Bindings: Env }>()
app.route('/auth', tokenRoutes)

let key: TestKey
let signing: TestKey
let used: string[]

const envWith = (variables: Readonly<Record<string, unknown>> = {}): Env =>
  envOf({
    TOKEN_SIGNING_KEYS: JSON.stringify({ keys: [signing.closed] }),
    CLIENT_APP: { clientId: 'app', jwks: { keys: [key.open] }, scopes: ['system/Patient.rs', 'system/Group.rs'], access: {} },
    LEDGERS: {
      idFromName: (name: string) => name,
      get: (clientId: string) => ({
        useJti: async (jti: string) => {
          const entry = `${clientId} ${jti}`
          return !used.includes(entry) && used.push(entry) > 0
        },
        audit: async () => undefined,
      }),
    },
    ...variables,
  })

beforeAll(async () => {
  ;[key, signing] = await Promise.all([makeKey('RS384', 'k1'), makeKey('ES256', 's1')])
})
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW_MS })
  used = []
  for (const level of ['warn', 'error'] as const) vi.spyOn(console, level).mockReturnValue()
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const formOf = async (parts: Readonly<Record<string, string | undefined>> = {}): Promise<[string, string][]> =>
  Object.entries({
    grant_type: 'client_credentials',
    scope: 'system/*.read',
    client_assertion_type: CLIENT_ASSERTION_TYPE,
    client_assertion: await assertionBy(key, { claims: { jti: 'j1' } }),
    ...parts,
  }).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))

const post = async (form: [string, string][], env = envWith(), headers: Record<string, string> = { 'Content-Type': FORM }) =>
  app.request('/auth/token', { method: 'POST', headers, body: new URLSearchParams(form).toString() }, env)

const refusal = async (response: Response) => {
  const body: { error: string; error_description: string } = await response.json()
  expect(response.headers.get('Content-Type')).toMatch(/^application\/json/)
  expect(response.headers.get('Cache-Control')).toBe('no-store')
  expect(body.error_description).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
  return { status: response.status, error: body.error, description: body.error_description }
}

describe('POST /auth/token', () => {
  it('answers a bearer token with the allowed part of what was asked, in the form asked [AU-12, AU-14, AU-15]', async () => {
    const env = envWith()
    const response = await post(await formOf(), env)
    expect(response.status).toBe(200)
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    expect(response.headers.get('Pragma')).toBe('no-cache')
    const body: Record<string, unknown> = await response.json()
    expect(body).toEqual({
      access_token: expect.any(String),
      token_type: 'bearer',
      expires_in: 300,
      scope: 'system/Patient.read system/Group.read',
    })
    const grant = await verifyAccessToken(configOf(env), String(body.access_token), NOW_MS)
    expect(grant).toMatchObject({ clientId: 'app', scopes: ['system/Patient.read', 'system/Group.read'] })
    expect(decodeJwt(String(body.access_token)).exp).toBe(NOW_MS / 1000 + 300)
  })

  it.each(['grant_type', 'scope', 'client_assertion_type', 'client_assertion'])(
    'without %s: 400 invalid_request that names it, also when it is empty [AU-04]',
    async (name) => {
      for (const value of [undefined, '']) {
        const { status, error, description } = await refusal(await post(await formOf({ [name]: value })))
        expect([status, error]).toEqual([400, 'invalid_request'])
        expect(description).toContain(name)
      }
    },
  )

  it.each<[Record<string, string>, string]>([
    [{ grant_type: 'authorization_code' }, 'unsupported_grant_type'],
    [{ client_assertion_type: 'urn:other' }, 'invalid_client'],
    [{ client_assertion: 'abc' }, 'invalid_client'],
    [{ client_id: 'other' }, 'invalid_client'],
    [{ scope: 'system/Observation.rs' }, 'invalid_scope'],
    [{ scope: 'openid' }, 'invalid_scope'],
    [{ scope: 'system/Patient.rs?birthdate=ge2000 system/Group.rs?' }, 'invalid_scope'],
  ])('with %j: 400 %s [AU-11]', async (parts, error) => {
    expect(await refusal(await post(await formOf(parts)))).toMatchObject({ status: 400, error })
  })

  it.each([
    ['openid system/Patient.rs launch', 'system/Patient.rs'],
    ['system/Patient.rs?birthdate=ge2000 system/Group.rs', 'system/Group.rs'],
    ['system/Patient.rs?birthdate=ge2000 system/Patient.r', 'system/Patient.r'],
    ['system/Patient.read system/Group.rs', 'system/Patient.read system/Group.rs'],
  ])(
    'of the scopes %j grants %j: what cannot be enforced is left out, and never widened [AU-14, AU-15]',
    async (scope, granted) => {
      expect(await (await post(await formOf({ scope }))).json()).toMatchObject({ scope: granted })
    },
  )

  it('says that a scope with a query is never granted [AU-15]', async () => {
    const { description } = await refusal(await post(await formOf({ scope: 'system/Patient.rs?name=x' })))
    expect(description).toMatch(/A scope with a query is never granted/)
  })

  it('takes a client_id that agrees with the assertion [AU-08]', async () => {
    expect((await post(await formOf({ client_id: 'app' }))).status).toBe(200)
  })

  it('gives one token for one assertion [AU-07]', async () => {
    const env = envWith()
    const form = await formOf()
    const responses = await Promise.all([post(form, env), post(form, env), post(form, env)])
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(1)
    const refusals = await Promise.all(responses.filter(({ status }) => status !== 200).map(refusal))
    expect(refusals.map(({ status, error }) => [status, error])).toEqual([
      [400, 'invalid_client'],
      [400, 'invalid_client'],
    ])
  })

  it('touches no ledger before the signature is verified [AU-07]', async () => {
    await post(await formOf({ client_assertion: tampered(await assertionBy(key)) }))
    await post(await formOf({ client_assertion: await assertionBy(key, { claims: { iss: 'x', sub: 'x' } }) }))
    expect(used).toEqual([])
  })

  it('refuses a parameter that is sent twice [AU-11]', async () => {
    const form = await formOf()
    expect(await refusal(await post([...form, ['scope', 'system/*.rs']]))).toMatchObject({
      status: 400,
      error: 'invalid_request',
    })
  })

  it.each(['application/json', 'multipart/form-data; boundary=x', 'text/plain', ''])(
    'refuses a body of type %j [AU-04]',
    async (type) => {
      const response = await post(await formOf(), envWith(), { 'Content-Type': type })
      expect(await refusal(response)).toMatchObject({ status: 400, error: 'invalid_request' })
    },
  )

  it('takes a media type with a charset and in any case [AU-04]', async () => {
    const headers = { 'Content-Type': 'Application/X-WWW-Form-Urlencoded; charset=UTF-8' }
    expect((await post(await formOf(), envWith(), headers)).status).toBe(200)
  })

  it('refuses a body without end, with a length and without', async () => {
    const form = await formOf({ padding: 'x'.repeat(MAX_TOKEN_REQUEST_BYTES) })
    const bytes = new TextEncoder().encode(new URLSearchParams(form).toString())
    const stream = new ReadableStream({
      start: (controller) => {
        controller.enqueue(bytes)
        controller.close()
      },
    })
    const streamed = new Request(`${PUBLIC_BASE}/auth/token`, {
      method: 'POST',
      headers: { 'Content-Type': FORM },
      body: stream,
      duplex: 'half',
    } as RequestInit)
    const measured = await post(form, envWith(), { 'Content-Type': FORM, 'Content-Length': `${bytes.length}` })
    for (const response of [await app.request(streamed, {}, envWith()), measured]) {
      expect(await refusal(response)).toMatchObject({ status: 413, error: 'invalid_request' })
    }
  })

  it('names the secret that the operator has to set, and shows no value', async () => {
    for (const secret of [undefined, '{"keys":[{"d":"canary"}]}']) {
      const answer = await refusal(await post(await formOf(), envWith({ TOKEN_SIGNING_KEYS: secret })))
      expect(answer).toMatchObject({ status: 500, error: 'server_error' })
      expect(answer.description).toContain('TOKEN_SIGNING_KEYS')
      expect(answer.description).not.toContain('canary')
      used = []
    }
  })

  it('says nothing of what broke inside', async () => {
    const LEDGERS = { idFromName: () => 'x', get: () => ({ useJti: async () => Promise.reject(new Error('canary')) }) }
    const answer = await refusal(await post(await formOf(), envWith({ LEDGERS })))
    expect(answer).toMatchObject({ status: 500, error: 'server_error' })
    expect(answer.description).not.toContain('canary')
  })
})

const ADDRESS = { 'Content-Type': FORM, 'CF-Connecting-IP': '203.0.113.7' }
const good = async (jti: string) => formOf({ client_assertion: await assertionBy(key, { claims: { jti } }) })
const throttled = async (response: Response, seconds: string) => {
  expect(response.headers.get('Retry-After')).toBe(seconds)
  expect(await refusal(response)).toMatchObject({ status: 429, error: 'temporarily_unavailable' })
}

describe('too many requests', () => {
  it('by one client: 429 that says when, no jti is spent, no object is touched, and other clients go on', async () => {
    const other = { clientId: 'other', jwks: { keys: [key.open] }, scopes: ['system/Patient.rs'], access: {} }
    const env = envWith({ LIMITS: { tokenRequestsPerMinute: 6 }, CLIENT_OTHER: other })
    for (let count = 0; count < 6; count++) expect((await post(await good(`j${count}`), env)).status).toBe(200)
    await throttled(await post(await good('late'), env), '10')
    expect(used).toHaveLength(6)
    const claims = { iss: 'other', sub: 'other', jti: 'o' }
    expect((await post(await formOf({ client_assertion: await assertionBy(key, { claims }) }), env)).status).toBe(200)
    vi.setSystemTime(NOW_MS + 10_000)
    expect((await post(await good('late'), env)).status).toBe(200)
  })

  it('in the name of a client that is not proven do not count against it', async () => {
    const env = envWith({ LIMITS: { tokenRequestsPerMinute: 2 } })
    const forged = await formOf({ client_assertion: tampered(await assertionBy(key)) })
    for (let count = 0; count < 50; count++) expect((await post(forged, env)).status).toBe(400)
    expect((await post(await good('j'), env)).status).toBe(200)
  })

  it('that were refused, from one address: 429 that says when, before anything is read; other addresses go on', async () => {
    const env = envWith({ LIMITS: { tokenRefusalsPerMinute: 3 } })
    const bad = [await formOf({ client_assertion: 'x' }), await formOf({ grant_type: 'x' }), await formOf({ scope: undefined })]
    for (const form of bad) expect((await post(form, env, ADDRESS)).status).toBe(400)
    const verifies = vi.spyOn(crypto.subtle, 'verify')
    await throttled(await post(await good('j'), env, ADDRESS), '20')
    expect(verifies).not.toHaveBeenCalled()
    expect((await post(await good('j'), env, { ...ADDRESS, 'CF-Connecting-IP': '203.0.113.8' })).status).toBe(200)
    vi.setSystemTime(NOW_MS + 20_000)
    expect((await post(await good('k'), env, ADDRESS)).status).toBe(200)
  })

  it('that were granted, from one address that many clients share, do not count', async () => {
    const env = envWith({ LIMITS: { tokenRefusalsPerMinute: 1 } })
    for (let count = 0; count < 20; count++) expect((await post(await good(`j${count}`), env, ADDRESS)).status).toBe(200)
  })

  it('by a client do not become refusals of its address, nor do faults of ours', async () => {
    const env = envWith({ LIMITS: { tokenRefusalsPerMinute: 2, tokenRequestsPerMinute: 1 } })
    expect((await post(await good('j'), env, ADDRESS)).status).toBe(200)
    for (let count = 0; count < 5; count++) await throttled(await post(await good(`k${count}`), env, ADDRESS), '60')
    const broken = envWith({ LIMITS: { tokenRefusalsPerMinute: 1 }, TOKEN_SIGNING_KEYS: undefined })
    for (let count = 0; count < 5; count++) expect((await post(await good(`l${count}`), broken, ADDRESS)).status).toBe(500)
  })

  it('from one IPv6 subscriber are counted together', async () => {
    const env = envWith({ LIMITS: { tokenRefusalsPerMinute: 2 } })
    const from = async (ip: string) => post(await formOf({ scope: '' }), env, { 'Content-Type': FORM, 'CF-Connecting-IP': ip })
    const statuses = [await from('2001:db8:1:2::1'), await from('2001:db8:1:2:9::7'), await from('2001:db8:1:2::3')]
    expect(statuses.map(({ status }) => status)).toEqual([400, 400, 429])
    expect((await from('2001:db8:1:3::1')).status).toBe(400)
  })
})

describe('the other routes', () => {
  it('GET /auth/jwks lists our public keys, cacheable', async () => {
    const response = await app.request('/auth/jwks', {}, envWith())
    expect(response.headers.get('Cache-Control')).toBe('public, max-age=300')
    const { keys }: { keys: Record<string, unknown>[] } = await response.json()
    expect(keys.map(({ kid }) => kid)).toEqual(['s1'])
    expect(JSON.stringify(keys)).not.toContain(String(signing.closed.d))
  })

  it.each([
    ['GET', '/auth/token', 'POST'],
    ['PUT', '/auth/token', 'POST'],
    ['POST', '/auth/jwks', 'GET, HEAD'],
    ['DELETE', '/auth/jwks', 'GET, HEAD'],
  ])('%s %s: 405 with Allow: %s', async (method, path, allow) => {
    const response = await app.request(path, { method }, envWith())
    expect(response.headers.get('Allow')).toBe(allow)
    expect(await refusal(response)).toMatchObject({ status: 405, error: 'invalid_request' })
  })
})
