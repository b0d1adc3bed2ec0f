import { expect, it } from 'vitest'
import { type Capabilities, capabilityStatement } from '../../src/fhir/capability-statement.ts'
import { smartConfiguration } from '../../src/fhir/smart-configuration.ts'

const FULL: Capabilities = {
  base: 'https://facade.example/fhir/acme',
  title: 'Acme',
  version: '1.2.3',
  date: '2026-01-31',
  tokenUrl: 'https://facade.example/auth/token',
  levels: ['system', 'patient', 'group'],
  types: ['Patient', 'Condition', 'Group'],
  groups: 'search',
  groupSearch: [{ name: 'identifier', type: 'token' }],
  params: {
    system: { honoured: ['_type'], required: [], refused: ['organizeOutputBy'] },
    patient: { honoured: ['_type', 'patient'], required: ['patient'], refused: [] },
    group: { honoured: ['_type', '_since'], required: [], refused: [] },
  },
  notes: ['Newcomers of a group are not backfilled.'],
}

const BULK = 'http://hl7.org/fhir/uv/bulkdata'
const NOT_SUPPORTED = {
  url: `${BULK}/StructureDefinition/operation-not-supported`,
  valueCanonical: `${BULK}/CapabilityStatement/bulk-data`,
}

interface Shape {
  readonly instantiates: readonly string[]
  readonly rest: readonly [
    {
      readonly documentation: string
      readonly security: { readonly extension: unknown; readonly service: unknown }
      readonly operation?: readonly { readonly name: string; readonly definition: string; readonly documentation: string }[]
      readonly resource: readonly (Readonly<Record<string, unknown>> & { readonly type: string })[]
    },
  ]
}

// The test reads it as a client would: as JSON of a shape it knows
const isShape = (value: unknown): value is Shape => typeof value === 'object' && value !== null && 'rest' in value

const statementOf = (changes: Partial<Capabilities> = {}): Shape => {
  const statement: unknown = JSON.parse(JSON.stringify(capabilityStatement({ ...FULL, ...changes })))
  if (!isShape(statement)) throw new Error('no CapabilityStatement')
  return statement
}

it('says which guide it implements and where tokens are had [CS-01]', () => {
  const statement = statementOf()
  expect(statement).toMatchObject({
    resourceType: 'CapabilityStatement',
    status: 'active',
    kind: 'instance',
    fhirVersion: '4.0.1',
    implementation: { url: FULL.base },
    instantiates: [`${BULK}/CapabilityStatement/bulk-data`],
  })
  expect(statement.rest[0].security.extension).toEqual([
    {
      url: 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris',
      extension: [{ url: 'token', valueUri: FULL.tokenUrl }],
    },
  ])
  expect(JSON.stringify(statement.rest[0].security.service)).toContain('SMART-on-FHIR')
})

it('has each operation in its place, with its parameters [CS-02, CS-03, CS-06]', () => {
  const [{ operation, resource, documentation }] = statementOf().rest
  expect(operation).toMatchObject([{ name: 'export', definition: `${BULK}/OperationDefinition/export` }])
  expect(operation?.[0]?.documentation).toBe(
    'Parameters: _type. GET, and POST with a Parameters body. Refused: organizeOutputBy. ' +
      'What each does here: https://facade.example/fhir/acme/OperationDefinition/export',
  )
  expect(JSON.stringify(resource)).toContain('Required: patient.')
  expect(resource.find(({ type }) => type === 'Patient')).toMatchObject({
    operation: [{ name: 'export', definition: `${BULK}/OperationDefinition/patient-export` }],
  })
  expect(resource.find(({ type }) => type === 'Group')).toMatchObject({
    interaction: [{ code: 'read' }, { code: 'search-type' }],
    searchParam: [{ name: 'identifier', type: 'token', extension: [NOT_SUPPORTED] }],
    operation: [{ name: 'export', definition: `${BULK}/OperationDefinition/group-export` }],
  })
  expect(documentation).toContain('Newcomers of a group are not backfilled.')
})

it('lists every exportable type once, and no type that is not there [CS-04]', () => {
  expect(statementOf().rest[0].resource.map(({ type }) => type)).toEqual(['Condition', 'Group', 'Patient'])
  expect(statementOf({ levels: [], groups: 'none', types: [] }).rest[0].resource).toEqual([])
})

it('claims no operation that a source lacks [CS-02]', () => {
  const [{ operation, resource }] = statementOf({ levels: ['group'], groups: 'none' }).rest
  expect(operation).toBeUndefined()
  expect(resource.filter((entry) => 'operation' in entry).map(({ type }) => type)).toEqual(['Group'])
  expect(resource.some((entry) => 'interaction' in entry)).toBe(false)
})

it('marks a type that is in no export [CS-05]', () => {
  const [{ resource }] = statementOf({ types: ['Patient'], groups: 'read' }).rest
  expect(resource.find(({ type }) => type === 'Group')).toMatchObject({
    extension: [{ url: `${BULK}/StructureDefinition/operation-not-supported` }],
    interaction: [{ code: 'read' }],
  })
  expect(resource.find(({ type }) => type === 'Patient')).not.toHaveProperty('extension')
})

const filterBy = (type: string) => (type === 'Condition' ? [{ name: 'code', type: 'token' }] : [{ name: '_id', type: 'token' }])

it('lists what a `_typeFilter` may use, and marks what only searches groups [CS-04, CS-05]', () => {
  const groupSearch = [
    { name: '_id', type: 'token' },
    { name: 'name', type: 'string' },
  ]
  const [{ resource }] = statementOf({ filterBy, groupSearch }).rest
  const searchParamOf = (name: string): unknown => resource.find(({ type }) => type === name)?.['searchParam']
  expect(searchParamOf('Condition')).toEqual([{ name: 'code', type: 'token' }])
  expect(searchParamOf('Group')).toEqual([
    { name: '_id', type: 'token' },
    { extension: [NOT_SUPPORTED], name: 'name', type: 'string' },
  ])
  const untold = statementOf({ groupSearch }).rest[0].resource
  expect(untold.filter((entry) => 'searchParam' in entry).map(({ type }) => type)).toEqual(['Group'])
})

it('documents levels, files, compartments and how refusals look [CS-06, KO-15]', () => {
  const [{ documentation }] = statementOf().rest
  for (const word of [
    'Levels: system, patient, group',
    'application/fhir+ndjson',
    'several files',
    'Patient compartment',
    'lenient',
  ])
    expect(documentation).toContain(word)
})

it('publishes what a backend service needs, and no empty pointers [CS-08, CS-09]', () => {
  const scopes = ['system/*.rs', 'system/*.read']
  expect(smartConfiguration({ tokenUrl: FULL.tokenUrl, scopes })).toEqual({
    token_endpoint: FULL.tokenUrl,
    token_endpoint_auth_methods_supported: ['private_key_jwt'],
    token_endpoint_auth_signing_alg_values_supported: ['RS384', 'ES384'],
    grant_types_supported: ['client_credentials'],
    scopes_supported: scopes,
    code_challenge_methods_supported: ['S256'],
    capabilities: ['client-confidential-asymmetric', 'permission-v1', 'permission-v2'],
  })
  const jwksUrl = 'https://facade.example/auth/jwks'
  expect(smartConfiguration({ tokenUrl: FULL.tokenUrl, issuer: 'https://facade.example', jwksUrl, scopes })).toMatchObject({
    issuer: 'https://facade.example',
    jwks_uri: jwksUrl,
  })
})
