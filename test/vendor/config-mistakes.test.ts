import { expect, it } from 'vitest'
import { configWith, messageOf, PRIVATE, SOURCE } from './config-support.ts'

it.each<[string, object, RegExp]>([
  ['an adapter that is unknown', { adapter: PRIVATE }, /^SOURCE_ACME\.adapter: must be one of generic, oracle-health, redox, /],
  ['no adapter', { adapter: undefined }, /^SOURCE_ACME\.adapter: /],
  ['a base that is no URL', { fhirBase: PRIVATE }, /^SOURCE_ACME\.fhirBase: must be an absolute https URL/],
  ['a base over http', { fhirBase: `http://fhir.example/${PRIVATE}` }, /^SOURCE_ACME\.fhirBase: must be https/],
  ['a base over loopback outside the sandbox', { fhirBase: 'http://127.0.0.1/' }, /^SOURCE_ACME\.fhirBase: must be https/],
  ['a base over ftp', { fhirBase: `ftp://${PRIVATE}` }, /^SOURCE_ACME\.fhirBase: must be an absolute https URL/],
  ['a base with a query', { fhirBase: `https://a.example/?k=${PRIVATE}` }, /^SOURCE_ACME\.fhirBase: must have neither query/],
  ['no credential', { credential: undefined }, /^SOURCE_ACME\.credential: /],
  ['a credential of no kind', { credential: { kind: PRIVATE } }, /^SOURCE_ACME\.credential\.kind: /],
  [
    'a credential of a kind that the adapter lacks',
    { credential: { ...SOURCE.credential, kind: 'key-exchange' } },
    /^SOURCE_ACME\.credential\.kind: must be one of private-key-jwt, /,
  ],
  [
    'a secret in place of its name',
    { credential: { kind: 'bearer', secret: `${PRIVATE}!` } },
    /^SOURCE_ACME\.credential\.secret: must be the name of a Worker secret/,
  ],
  [
    'a token URL over http',
    { credential: { ...SOURCE.credential, tokenUrl: 'http://auth.example/' } },
    /^SOURCE_ACME\.credential\.tokenUrl: must be https/,
  ],
  [
    'an algorithm that is not allowed',
    { credential: { kind: 'private-key-jwt', clientId: 'a', tokenUrl: 'https://a.example/t', keySecret: 'K', alg: PRIVATE } },
    /^SOURCE_ACME\.credential\.alg: /,
  ],
  ['a retention that is unknown', { retention: PRIVATE }, /^SOURCE_ACME\.retention: must be one of r2, none/],
  ['a type that FHIR lacks', { types: ['Patient', PRIVATE] }, /^SOURCE_ACME\.types\.1: must be a FHIR R4 resource type/],
  ['no types', { types: [] }, /^SOURCE_ACME\.types: /],
  ['a misspelt limit', { limits: { inflight: 1 } }, /^SOURCE_ACME\.limits/],
  ['a limit of nothing', { limits: { inFlight: 0 } }, /^SOURCE_ACME\.limits\.inFlight: /],
  ['a limit as text', { limits: { pollSeconds: PRIVATE } }, /^SOURCE_ACME\.limits\.pollSeconds: must be a number/],
  ['a pointer that is none', { read: { progress: { body: PRIVATE } } }, /^SOURCE_ACME\.read\.progress/],
  [
    'a state that is none',
    { read: { state: { from: { body: '/s' }, map: { a: PRIVATE } } } },
    /^SOURCE_ACME\.read\.state\.map\.a: /,
  ],
  ['a unit that is none', { read: { retryAfter: PRIVATE } }, /^SOURCE_ACME\.read\.retryAfter: /],
  [
    'a store that is no origin',
    { trust: { fileOrigins: [`https://a.example/${PRIVATE}`] } },
    /^SOURCE_ACME\.trust\.fileOrigins\.0: must be an origin/,
  ],
  [
    'a level that is unknown',
    { supports: { levels: { region: 'GET' } } },
    /^SOURCE_ACME\.supports\.levels: region is not a known key/,
  ],
  ['a parameter that is unknown', { supports: { params: [PRIVATE] } }, /^SOURCE_ACME\.supports\.params\.0: /],
  ['a filter bound of nothing', { supports: { typeFilter: { perType: 0 } } }, /^SOURCE_ACME\.supports\.typeFilter\.perType: /],
  ['a group of all that would climb', { allPatientsGroup: '..' }, /^SOURCE_ACME\.allPatientsGroup: must be the id of a group/],
  [
    'a group of all where no group is exported',
    { allPatientsGroup: 'all', supports: { levels: { patient: 'GET' } } },
    /^SOURCE_ACME\.allPatientsGroup: must not be set where there is no group export/,
  ],
  ['a gate that is no name', { gate: `${PRIVATE} x` }, /^SOURCE_ACME\.gate: must be 1 to 64 of/],
  ['an option that would break a path', { options: { slug: '../x' } }, /^SOURCE_ACME\.options\.slug: must be 1 to 64 of/],
  [
    'a base whose option is not set',
    { send: { base: '{fhirBase}/{slug}' } },
    /^SOURCE_ACME\.options\.slug: is needed by this adapter/,
  ],
  [
    'a path whose option is not set',
    { send: { paths: { group: '/{area}/Group/{groupId}' } } },
    /^SOURCE_ACME\.options\.area: is needed/,
  ],
  [
    'redox without its slug',
    { adapter: 'redox', credential: { kind: 'private-key-jwt', clientId: 'a', tokenUrl: 'https://a.example/t', keySecret: 'K' } },
    /^SOURCE_ACME\.options\.destinationSlug: is needed/,
  ],
])('refuses a source with %s, by its path and without its value', async (_, differences, reason) => {
  const message = await messageOf(() => configWith({ SOURCE_ACME: { ...SOURCE, ...differences } }).source('acme'))
  expect(message).toMatch(reason)
  // A key is not a value: its name may be told.
  expect(message.replace(`levels.${PRIVATE}`, '')).not.toContain(PRIVATE)
})

it.each([PRIVATE, '{"adapter":', ''])('refuses the source %j: a table, or a string of JSON', async (value) => {
  const message = await messageOf(() => configWith({ SOURCE_ACME: value }).source('acme'))
  expect(message).toBe('SOURCE_ACME: must be a table, or a string of JSON')
})

it.each<[string, Readonly<Record<string, unknown>>, RegExp]>([
  ['no base', { PUBLIC_BASE: undefined }, /^PUBLIC_BASE: must be an absolute https URL/],
  ['a base that is no URL', { PUBLIC_BASE: PRIVATE }, /^PUBLIC_BASE: must be an absolute https URL/],
  ['a base over http', { PUBLIC_BASE: 'http://bulkhead.example' }, /^PUBLIC_BASE: must be https/],
  ['a limit that is unknown', { LIMITS: { pols: 1 } }, /^LIMITS: pols is not a known key/],
  ['a token that lives too long', { LIMITS: { accessTokenSeconds: 301 } }, /^LIMITS\.accessTokenSeconds: /],
])('refuses settings with %s', async (_, differences, reason) => {
  expect(await messageOf(async () => configWith(differences).settings)).toMatch(reason)
})

it.each(['SOURCE_acme', 'SOURCE_ST-MARY', 'SOURCE_', 'CLIENT_App', 'ISSUER_acme'])(
  'reports the variable %s, which nothing would find',
  async (name) => {
    const config = configWith({ [name]: SOURCE })
    expect(await config.problems()).toContain(`${name}: must be named like SOURCE_ACME, CLIENT_MY_APP or ISSUER_ACME`)
    expect(config.sourceIds).toEqual(['acme'])
  },
)

it('refuses a base with credentials in it', async () => {
  const config = configWith({ SOURCE_ACME: { ...SOURCE, fhirBase: 'https://user:pass@fhir.example/r4' } })
  expect(await messageOf(() => config.source('acme'))).toMatch(/^SOURCE_ACME\.fhirBase: must have neither/)
})

const CLIENT = { clientId: 'app', jwksUrl: 'https://app.example/jwks', scopes: ['system/*.rs'], access: { acme: {} } }

it('serves neither of two clients with one id, and says so; an access to no source is reported', async () => {
  const config = configWith({
    CLIENT_ONE: CLIENT,
    CLIENT_TWO: CLIENT,
    CLIENT_THREE: { ...CLIENT, clientId: 'b', access: { nowhere: {} } },
  })
  expect(await config.client('app')).toBeUndefined()
  expect(await config.client('b')).toMatchObject({ clientId: 'b' })
  expect(await config.problems()).toEqual([
    'CLIENT_ONE, CLIENT_TWO: have the same clientId, so none of them is served',
    'CLIENT_THREE.access: nowhere is no configured source',
  ])
})

const ISSUER = { issuer: 'https://login.example', jwksUrl: 'https://login.example/keys', audience: 'bulkhead' }
const BOUND = { clientId: 'bound', issuer: 'platform', scopes: ['system/*.rs'], access: { acme: {} } }

it.each<[string, object, RegExp]>([
  ['no name', { issuer: undefined }, /^ISSUER_PLATFORM\.issuer: must be a string/],
  ['no keys', { jwksUrl: undefined }, /^ISSUER_PLATFORM\.jwksUrl: /],
  ['keys over http', { jwksUrl: 'http://login.example/keys' }, /^ISSUER_PLATFORM\.jwksUrl: must be https$/],
  ['keys at no URL', { jwksUrl: PRIVATE }, /^ISSUER_PLATFORM\.jwksUrl: must be an absolute https URL/],
  ['no audience', { audience: '' }, /^ISSUER_PLATFORM\.audience: /],
  ['no algorithm', { algorithms: [] }, /^ISSUER_PLATFORM\.algorithms: /],
  ['a shared secret', { algorithms: ['HS256'] }, /^ISSUER_PLATFORM\.algorithms\.0: must be one of RS256, /],
  ['no signature', { algorithms: ['none'] }, /^ISSUER_PLATFORM\.algorithms\.0: must be one of RS256, /],
  ['tokens without end', { maxTokenSeconds: 0 }, /^ISSUER_PLATFORM\.maxTokenSeconds: /],
  ['a misspelt key', { jwks_uri: 'https://login.example/keys' }, /^ISSUER_PLATFORM: jwks_uri is not a known key$/],
  ['our own name', { issuer: 'https://bulkhead.example' }, /^ISSUER_PLATFORM\.issuer: must not be PUBLIC_BASE/],
])('trusts no issuer with %s, and says why without its value', async (_, differences, reason) => {
  const config = configWith({ ISSUER_PLATFORM: { ...ISSUER, ...differences } })
  for (const iss of ['https://login.example', 'https://bulkhead.example']) expect(await config.issuer(iss)).toBeUndefined()
  const problems = await config.problems()
  expect(problems).toEqual([expect.stringMatching(reason)])
  expect(problems.join()).not.toContain(PRIVATE)
})

it('trusts neither of two issuers with one name, and says so', async () => {
  const config = configWith({ ISSUER_ONE: ISSUER, ISSUER_TWO: ISSUER })
  expect(await config.issuer('https://login.example')).toBeUndefined()
  expect(await config.problems()).toEqual(['ISSUER_ONE, ISSUER_TWO: have the same issuer, so none of them is trusted'])
})

it.each<[string, object]>([
  ['no way to be known', {}],
  ['an issuer and a key', { issuer: 'platform', jwksUrl: 'https://app.example/jwks' }],
  ['two kinds of keys', { jwksUrl: 'https://a.example/j', jwks: { keys: [{ kty: 'EC', kid: 'k' }] } }],
])('serves no client with %s', async (_, differences) => {
  const { issuer: _issuer, ...unbound } = BOUND
  const config = configWith({ ISSUER_PLATFORM: ISSUER, CLIENT_BOUND: { ...unbound, ...differences } })
  expect(await config.client('bound')).toBeUndefined()
  expect(await config.problems()).toEqual(['CLIENT_BOUND: must have exactly one of jwks, jwksUrl and issuer'])
})

it('reports a client whose issuer is not configured, and a scope that is never granted', async () => {
  const config = configWith({
    CLIENT_BOUND: BOUND,
    CLIENT_NARROW: { ...CLIENT, scopes: ['system/Patient.rs', `system/Observation.rs?code=${PRIVATE}`] },
  })
  expect(await config.problems()).toEqual([
    'CLIENT_NARROW.scopes.1: must have no query, which cannot be enforced',
    'CLIENT_BOUND.issuer: platform is no configured issuer',
  ])
})

it.each<[boolean, Readonly<Record<string, unknown>>]>([
  [true, {}],
  [true, { CLIENT_APP: CLIENT }],
  [true, { CLIENT_APP: CLIENT, CLIENT_BOUND: BOUND }],
  [false, { CLIENT_BOUND: BOUND }],
])('needs a signing key: %s, with %j', async (isNeeded, clients) => {
  const config = configWith({ ISSUER_PLATFORM: ISSUER, TOKEN_SIGNING_KEYS: undefined, ...clients })
  expect(await config.problems()).toEqual(isNeeded ? [expect.stringMatching(/^TOKEN_SIGNING_KEYS: /)] : [])
})

it('fills in what an issuer leaves out', async () => {
  expect(await configWith({ ISSUER_MY_PLATFORM: JSON.stringify(ISSUER) }).issuer('https://login.example')).toEqual({
    ...ISSUER,
    id: 'my-platform',
    clientIdClaim: 'client_id',
    scopeClaim: 'scope',
    algorithms: ['RS256', 'RS384', 'ES256', 'ES384'],
    maxTokenSeconds: 3600,
  })
})
