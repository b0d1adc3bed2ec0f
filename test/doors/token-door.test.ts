import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { CLIENT_ASSERTION_TYPE } from '../../src/auth/client-assertion.ts'
import { assertionBy, NOW_SECONDS, tampered, TOKEN_URL, unsecured } from '../auth/support.ts'
import type { Network } from './network.ts'
import type { Answer } from './platform.ts'
import { Deployment, giveBack, makeKeys, takeOver, type Keys } from './setup.ts'
import { hmacWithJwk, hmacWithPem } from './tokens.ts'

vi.mock('cloudflare:workers', () => import('../simulation/workers.ts'))

/* The other door: who is given a token. Promised by RFC 6749 §5.2, the requirements AU-05 to AU-14, and docs/decisions/0011. */

const UNKNOWN = [
  'invalid_client',
  'The client could not be authenticated. Check that iss is a registered client_id, that kid names exactly one key of that ' +
    'type in the registered key set, that jku (if sent) is the registered JWKS URL, and that the signature is by that key.',
] as const
const said = (description: string) => ['invalid_client', `client_assertion: ${description}`] as const
const OTHER_ALGORITHM = said('header alg must be one of RS384, ES384')

/** Clients that can have a token here, and what an unlimited request is granted. */
const REGISTERED: Readonly<Record<string, string>> = {
  full: 'system/*.rs',
  grouped: 'system/*.rs',
  leveled: 'system/*.rs',
  narrowed: 'system/Patient.rs system/Group.rs',
  other: 'system/*.rs',
}
/** Bound to an issuer, taken out of the configuration, and never in it: nobody can tell them apart. */
const UNREGISTERED = ['bound', 'revoked', 'nobody'] as const
const CLIENTS = [...Object.keys(REGISTERED), ...UNREGISTERED]

interface Promised {
  readonly make: (keys: Keys, client: string) => Promise<string> | string
  readonly scope?: string
  /** What a registered client is told; a scope where it is granted one. */
  readonly registered: readonly [string, string] | 'all that it may have' | 'Patient'
  /** What all others are told. Omitted: the same. */
  readonly others?: readonly [string, string]
}

const ownKey = (keys: Keys, client: string) => (client === 'other' ? keys.otherClient : keys.client)
const by = (keys: Keys, client: string, claims: object = {}, header: object = {}): Promise<string> =>
  assertionBy(ownKey(keys, client), { claims: { iss: client, sub: client, ...claims }, header: { ...header } })

const STATES: Readonly<Record<string, Promised>> = {
  none: { make: () => '', registered: ['invalid_request', 'client_assertion is missing.'] },
  malformed: { make: () => 'abc', registered: said('must be a signed JWT in compact form') },
  expired: { make: (keys, client) => by(keys, client, { exp: NOW_SECONDS - 60 }), registered: said('has expired') },
  'valid for an hour': {
    make: (keys, client) => by(keys, client, { exp: NOW_SECONDS + 3600 }),
    registered: said('exp must be at most 300 seconds ahead'),
  },
  'wrong signature': { make: async (keys, client) => tampered(await by(keys, client)), registered: UNKNOWN },
  'alg none': {
    make: (keys, client) =>
      unsecured({ alg: 'none', typ: 'JWT', kid: ownKey(keys, client).kid }, { iss: client, sub: client, aud: TOKEN_URL }),
    registered: OTHER_ALGORITHM,
  },
  'HMAC with the public key, PEM': {
    make: (keys, client) => hmacWithPem(ownKey(keys, client), client),
    registered: said('header typ must be JWT'),
  },
  'HMAC with the public key, JWK': {
    make: (keys, client) => hmacWithJwk(ownKey(keys, client), client),
    registered: said('header typ must be JWT'),
  },
  'HMAC that calls itself a JWT': {
    make: async (keys, client) => {
      const [, claims = '', signature = ''] = (await by(keys, client)).split('.')
      const header = btoa(JSON.stringify({ alg: 'HS384', typ: 'JWT', kid: ownKey(keys, client).kid })).replaceAll('=', '')
      return `${header}.${claims}.${signature}`
    },
    registered: OTHER_ALGORITHM,
  },
  'wrong audience': {
    make: (keys, client) => by(keys, client, { aud: 'https://elsewhere.example/token' }),
    registered: said(`aud must be ${TOKEN_URL}`),
  },
  'one audience more': {
    make: (keys, client) => by(keys, client, { aud: [TOKEN_URL, 'https://elsewhere.example'] }),
    registered: said(`aud must be ${TOKEN_URL}`),
  },
  "another client's key": {
    make: (keys, client) =>
      assertionBy(client === 'other' ? keys.client : keys.otherClient, { claims: { iss: client, sub: client } }),
    registered: UNKNOWN,
  },
  "another client's key under its own kid": {
    make: (keys, client) =>
      assertionBy(
        { ...(client === 'other' ? keys.client : keys.otherClient), kid: ownKey(keys, client).kid },
        { claims: { iss: client, sub: client } },
      ),
    registered: UNKNOWN,
  },
  "somebody else's jku": {
    make: (keys, client) => by(keys, client, {}, { jku: 'https://elsewhere.example/jwks' }),
    registered: UNKNOWN,
  },
  'sub of another client': {
    make: (keys, client) => by(keys, client, { sub: client === 'full' ? 'other' : 'full' }),
    registered: said('iss and sub must both be the client_id'),
  },
  'a scope that nobody may have': {
    make: (keys, client) => by(keys, client),
    scope: 'system/Observation.cud',
    registered: [
      'invalid_scope',
      'None of the scopes is one that this client may have; ask for such as system/Patient.rs. A scope with a query is never granted.',
    ],
    others: UNKNOWN,
  },
  'a narrower scope': {
    make: (keys, client) => by(keys, client),
    scope: 'system/Patient.rs',
    registered: 'Patient',
    others: UNKNOWN,
  },
  valid: { make: (keys, client) => by(keys, client), registered: 'all that it may have', others: UNKNOWN },
}

/** A machine that is busy with other things takes its time to make keys. */
const SETUP_MS = 60_000
let deployment: Deployment
let network: Network

beforeAll(async () => {
  takeOver(
    () => network,
    () => undefined,
  )
  deployment = new Deployment(await makeKeys(), {})
  ;({ network } = deployment)
  deployment.open()
}, SETUP_MS)
afterAll(giveBack)

const ask = (assertion: string, scope = 'system/*.rs'): Promise<Answer> => {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    scope,
    client_assertion_type: CLIENT_ASSERTION_TYPE,
    client_assertion: assertion,
  })
  return deployment.platform.ask(new Request(TOKEN_URL, { method: 'POST', body }))
}

const refusal = (told: readonly string[]) => ({
  status: 400,
  body: JSON.stringify({ error: told[0], error_description: told[1]?.replaceAll('"', "'") }),
})

const CELLS = Object.entries(STATES).flatMap(([state, promised]) => CLIENTS.map((client) => ({ state, client, ...promised })))

describe(`all ${CELLS.length} cells of clients and client assertions are as promised [AU-05, AU-07, AU-08, AU-09, AU-11, AU-12, AU-14]`, () => {
  it.each(CELLS)('$client, $state', async ({ client, make, scope, registered, others = registered }) => {
    deployment.renew()
    const { status, body, headers } = await ask(await make(deployment.keys, client), scope)
    const isRegistered = Object.hasOwn(REGISTERED, client)
    const told = isRegistered ? registered : others
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'content-type': 'application/json' })
    if (typeof told !== 'string') {
      expect({ status, body }).toEqual(refusal(told))
      return
    }
    expect(status).toBe(200)
    expect(JSON.parse(body)).toEqual({
      access_token: expect.any(String) as unknown,
      token_type: 'bearer',
      expires_in: 300,
      scope: told === 'Patient' ? 'system/Patient.rs' : REGISTERED[client],
    })
    expect(network.sent).toEqual([])
  })

  it('and an assertion that was used is refused, at the same instant and later [AU-07]', async () => {
    deployment.renew()
    const assertion = await by(deployment.keys, 'full')
    const statuses = (await Promise.all([ask(assertion), ask(assertion), ask(assertion)])).map(({ status }) => status)
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 400, 400])
    expect(await ask(assertion)).toMatchObject(refusal(said('this jti was used before; sign a new assertion for every request')))
  })
})
