import { Hono } from 'hono'
import { beforeAll, describe, expect, it } from 'vitest'
import { issueAccessToken } from '../../src/auth/access-token.ts'
import { authenticate, bearerOf } from '../../src/auth/authenticate.ts'
import type { AuthVariables } from '../../src/auth/authenticate.ts'
import { configOf } from '../../src/config.ts'
import type { Env } from '../../src/env.ts'
import { ExportError } from '../../src/errors.ts'
import { envOf, makeKey, tampered } from './support.ts'

let env: Env
let token: string

const app = new Hono<{ Bindings: Env; Variables: AuthVariables }>()
app.use(authenticate)
app.get('/', (c) =>
  c.json({ clientId: c.var.caller.clientId, client: c.var.caller.client.clientId, scopes: c.var.caller.scopes }),
)
app.onError((error, c) => c.json({ code: error instanceof ExportError ? error.code : String(error) }, 401))

beforeAll(async () => {
  const key = await makeKey('ES256', 'k')
  env = envOf({
    TOKEN_SIGNING_KEYS: JSON.stringify({ keys: [key.closed] }),
    CLIENT_APP: { clientId: 'app', jwks: { keys: [key.open] }, scopes: ['system/*.rs'], access: {} },
  })
  const issued = await issueAccessToken(configOf(env), { clientId: 'app', scopes: ['system/Patient.rs'], nowMs: Date.now() })
  token = issued.token
})

const ask = async (authorization?: string) => {
  const response = await app.request('/', authorization === undefined ? {} : { headers: { Authorization: authorization } }, env)
  return response.json()
}

describe('authenticate', () => {
  it.each(['Bearer', 'bearer', 'BEARER', 'Bearer  '])('lets a valid token through after %j [AU-16]', async (scheme) => {
    expect(await ask(`${scheme} ${token}`)).toEqual({ clientId: 'app', client: 'app', scopes: ['system/Patient.rs'] })
  })

  it.each([undefined, '', 'Bearer', 'Bearer ', 'bearer   ', 'Basic YTpi', 'Bearerx', 'token'])(
    'takes %j for no token [AU-20]',
    async (authorization) => {
      expect(await ask(authorization)).toEqual({ code: 'token_missing' })
    },
  )

  it('refuses a token that is malformed or not ours [AU-16]', async () => {
    for (const text of [
      'Bearer x',
      'Bearer a b',
      'Bearer a, Bearer b',
      'Bearer "a"',
      `Bearer ${tampered(token)}`,
      `Bearer ${token}.x`,
    ]) {
      expect(await ask(text)).toEqual({ code: 'token_invalid' })
    }
  })

  it('reads the token and nothing around it', () => {
    expect(bearerOf('Bearer abc.def-_~+/==')).toBe('abc.def-_~+/==')
  })
})
