import { describe, expect, it } from 'vitest'
import { configOf, type Config } from '../../src/config.ts'
import { configWith, messageOf, PRIVATE, SOURCE, VARIABLES } from './config-support.ts'

const CLIENT = {
  clientId: 'app',
  jwksUrl: 'https://app.example/jwks',
  scopes: ['system/*.read'],
  access: { acme: {} },
}

it.each([true, 'true'])('SANDBOX %j allows http to loopback, and nowhere else', async (sandbox) => {
  const sourceAt = (fhirBase: string): Config =>
    configWith({ SANDBOX: sandbox, PUBLIC_BASE: 'http://localhost:8787', SOURCE_ACME: { ...SOURCE, fhirBase } })
  for (const fhirBase of ['http://127.0.0.1:4001/r4', 'http://localhost:1', 'http://[::1]/r4', 'https://fhir.example']) {
    await expect(sourceAt(fhirBase).source('acme')).resolves.toMatchObject({ fhirBase })
  }
  for (const fhirBase of ['http://fhir.example', 'http://127.0.0.1.evil.example', 'http://10.0.0.1']) {
    expect(await messageOf(() => sourceAt(fhirBase).source('acme'))).toBe('SOURCE_ACME.fhirBase: must be https')
  }
})

it.each([undefined, false, 'false', 'yes', 1])('SANDBOX %j is no sandbox', async (sandbox) => {
  const source = { ...SOURCE, fhirBase: 'http://127.0.0.1:4001' }
  expect(configWith({ SANDBOX: sandbox }).settings.sandbox).toBe(false)
  expect(await messageOf(() => configWith({ SANDBOX: sandbox, SOURCE_ACME: source }).source('acme'))).toMatch(/must be https/)
})

it('reads a source from a table and from a string of JSON alike, with its defaults', async () => {
  const source = await configWith().source('acme')
  expect(await configWith({ SOURCE_ACME: JSON.stringify(SOURCE) }).source('acme')).toEqual(source)
  expect(source).toMatchObject({
    id: 'acme',
    title: 'acme',
    fhirBase: 'https://fhir.example/r4',
    retention: 'r2',
    gate: 'acme',
    groups: {},
    options: {},
    deleteAfterCollecting: false,
  })
  expect(source?.types).toContain('Patient')
})

describe('source ids', () => {
  const config = configWith({ SOURCE_ACME_WEST: SOURCE })

  it('SOURCE_ACME_WEST is acme-west', async () => {
    expect(config.sourceIds).toEqual(['acme', 'acme-west'])
    expect((await config.source('acme-west'))?.id).toBe('acme-west')
  })

  it.each(['ACME', 'Acme-West', 'acme_west', 'none', '', '__proto__', 'acme-west '])('%j is no source', async (id) => {
    expect(await config.source(id)).toBeUndefined()
  })

  it('is parsed once', async () => {
    expect(await config.source('acme')).toBe(await config.source('acme'))
    const env = { ...VARIABLES }
    expect(configOf(env)).toBe(configOf(env))
  })
})

it('merges what stands on a source over its adapter, key by key', async () => {
  const source = await configWith({
    SOURCE_ACME: {
      ...SOURCE,
      adapter: 'oracle-health',
      send: { outputFormat: 'ndjson' },
      read: { retryAfter: 'ms' },
      limits: { inFlight: 3 },
      trust: { origins: ['https://api.example'] },
      supports: { params: ['_type'] },
    },
  }).source('acme')
  expect(source?.dialect).toMatchObject({
    id: 'oracle-health',
    send: { outputFormat: 'ndjson', join: 'comma', headers: { status: { Accept: 'application/fhir+json' } } },
    read: { retryAfter: 'ms', trace: [{ header: 'opc-request-id' }, { header: 'x-request-id' }] },
    limits: { inFlight: 3, pollSeconds: 600 },
    trust: { origins: ['https://api.example'], fileOrigins: ['https://*.s3.amazonaws.com', 'https://*.s3.*.amazonaws.com'] },
    supports: { params: ['_type'], levels: { group: 'GET', patient: 'POST' }, cancel: true },
  })
})

it.each<[string, object]>([
  [
    'send',
    {
      base: '{fhirBase}/x',
      paths: { group: '/g/{groupId}' },
      headers: { kickoff: { A: 'b' } },
      rename: { _until: '_till' },
      join: 'repeat',
      outputFormat: 'ndjson',
    },
  ],
  [
    'read',
    {
      expect: { status: { body: '/k', equals: 'v' } },
      unwrap: { status: '/data' },
      statusUrl: { body: '/url' },
      state: { from: { header: 'x-state' }, map: { RUN: 'in-progress' } },
      progress: { body: '/p' },
      retryAfter: 'ms',
      transactionTime: 'finish',
      trace: [{ header: 'x-id' }],
    },
  ],
  [
    'limits',
    {
      pollSeconds: 1,
      maxPollSeconds: 2,
      deadlineSeconds: 3,
      retentionSeconds: 4,
      inFlight: 6,
      kickoffEverySeconds: 7,
    },
  ],
  ['trust', { origins: ['https://a.example'], fileOrigins: ['https://*.b.example', 'http://127.0.0.1:4001'] }],
  [
    'supports',
    {
      levels: { patient: 'POST' },
      params: ['_since'],
      cancel: false,
      groups: 'none',
      lastUpdated: false,
      typeFilter: { perType: 1, needsType: true },
      patientList: 'required',
      prefers: 'patient',
      notes: ['Newcomers are added overnight.'],
    },
  ],
])('every %s value of an adapter can stand on a source', async (key, value) => {
  const source = await configWith({ SOURCE_ACME: { ...SOURCE, [key]: value } }).source('acme')
  expect(source?.dialect).toMatchObject({ [key]: value })
})

it('takes a group of all patients, with an id as long as some vendors give', async () => {
  const allPatientsGroup = `e${'A1._~-'.repeat(20)}`
  expect((await configWith({ SOURCE_ACME: { ...SOURCE, allPatientsGroup } }).source('acme'))?.allPatientsGroup).toBe(
    allPatientsGroup,
  )
  expect(await configWith().source('acme')).not.toHaveProperty('allPatientsGroup')
})

it('changes of one source do not reach another, or the adapter', async () => {
  const config = configWith({ SOURCE_ACME: { ...SOURCE, limits: { inFlight: 2 } }, SOURCE_OTHER: SOURCE })
  expect((await config.source('acme'))?.dialect.limits).toEqual({ inFlight: 2 })
  expect((await config.source('other'))?.dialect.limits).toEqual({})
})

it('a broken source breaks no other, and each problem is one line', async () => {
  const config = configWith({
    SOURCE_BROKEN: { ...SOURCE, fhirBase: PRIVATE },
    SOURCE_TEXT: PRIVATE,
    CLIENT_BAD: PRIVATE,
    CLIENT_APP: CLIENT,
  })
  expect((await config.source('acme'))?.id).toBe('acme')
  await expect(config.source('broken')).rejects.toMatchObject({ code: 'config_invalid' })
  expect((await config.client('app'))?.clientId).toBe('app')
  const problems = await config.problems()
  expect(problems.map((line) => line.split(':', 1).join('')).toSorted((a, b) => a.localeCompare(b))).toEqual([
    'CLIENT_BAD',
    'SOURCE_BROKEN.fhirBase',
    'SOURCE_TEXT',
  ])
  expect(problems.join('\n')).not.toContain(PRIVATE)
})

it.each<[string, Readonly<Record<string, unknown>>]>([
  ['ACME_SECRET', { ACME_SECRET: undefined }],
  ['ACME_SECRET', { ACME_SECRET: '' }],
  ['ACME_SECRET', { ACME_SECRET: 5 }],
  ['TOKEN_SIGNING_KEYS', { TOKEN_SIGNING_KEYS: undefined }],
])('names the missing secret %s', async (name, differences) => {
  const config = configWith(differences)
  expect(() => config.secret(name)).toThrow(new RegExp(`${name}: this secret is not set`))
  expect(await config.problems()).toEqual([expect.stringMatching(new RegExp(`^${name}: `))])
})

it('finds nothing wrong with a good configuration', async () => {
  expect(await configWith({ CLIENT_APP: CLIENT }).problems()).toEqual([])
})
