import { expect, it } from 'vitest'
import { ExportError } from '../../src/errors.ts'
import type { KickoffParams, Level } from '../../src/fhir/kickoff-params.ts'
import type { RequestPurpose, Send } from '../../src/vendor/adapter.ts'
import { baseOf, headersFor, kickoffRequest, trustPolicyOf } from '../../src/vendor/requests.ts'
import type { Source } from '../../src/vendor/source.ts'
import { BASE, paramsWith, sourceWith } from './support.ts'

const queryFor = (params: Partial<KickoffParams>, send: Send = {}): string =>
  kickoffRequest(sourceWith({ send }), { level: 'system', params: paramsWith(params) }).url.slice(`${BASE}/$export`.length)

it.each<[Level, string | undefined, string]>([
  ['system', undefined, '/$export'],
  ['patient', undefined, '/Patient/$export'],
  ['group', 'g1', '/Group/g1/$export'],
  ['group', 'a b/c', '/Group/a%20b%2Fc/$export'],
])('kicks off %s %j at %s, with a literal $ [KO-01]', (level, groupId, path) => {
  const kickoff = { level, ...(groupId === undefined ? {} : { groupId }), params: paramsWith() }
  expect(kickoffRequest(sourceWith(), kickoff)).toEqual({
    method: 'GET',
    url: BASE + path,
    headers: { Accept: 'application/fhir+json', Prefer: 'respond-async' },
  })
})

it.each<[string, Partial<KickoffParams>, Send, string]>([
  ['no parameter', {}, {}, ''],
  ['types with commas', { type: ['Patient', 'Observation'] }, {}, '?_type=Patient,Observation'],
  ['types repeated', { type: ['Patient', 'Observation'] }, { join: 'repeat' }, '?_type=Patient&_type=Observation'],
  ['an instant', { since: '2026-01-01T00:00:00Z' }, {}, '?_since=2026-01-01T00:00:00Z'],
  ['an instant east of Greenwich', { since: '2026-01-01T00:00:00+02:00' }, {}, '?_since=2026-01-01T00:00:00%2B02:00'],
  ['another name', { until: '2026-01-01T00:00:00Z' }, { rename: { _until: '_till' } }, '?_till=2026-01-01T00:00:00Z'],
  [
    'a filter whose own commas are encoded',
    { typeFilter: ['Observation?status=final,amended'] },
    {},
    '?_typeFilter=Observation%3Fstatus%3Dfinal%2Camended',
  ],
  [
    'filters repeated, since they may hold commas',
    { typeFilter: ['Patient?a=1', 'Observation?b=2'] },
    {},
    '?_typeFilter=Patient%3Fa%3D1&_typeFilter=Observation%3Fb%3D2',
  ],
  [
    'filters with commas where declared',
    { typeFilter: ['Patient?a=1,2', 'Observation?b=2'] },
    { join: 'comma' },
    '?_typeFilter=Patient%3Fa%3D1%2C2,Observation%3Fb%3D2',
  ],
  ['elements', { elements: ['id', 'Patient.name'] }, {}, '?_elements=id,Patient.name'],
  [
    'associated data',
    { includeAssociatedData: ['LatestProvenanceResources'] },
    {},
    '?includeAssociatedData=LatestProvenanceResources',
  ],
  ['the organizer', { organizeOutputBy: 'Patient' }, {}, '?organizeOutputBy=Patient'],
  ['no format of the client', { outputFormat: 'application/fhir+ndjson' }, {}, ''],
  [
    'the one format that is declared',
    { outputFormat: 'ndjson' },
    { outputFormat: 'application/ndjson' },
    '?_outputFormat=application%2Fndjson',
  ],
  ['no partial manifests', { allowPartialManifests: true }, {}, ''],
  [
    'all in the order of the specification',
    { type: ['Patient'], since: '2026-01-01T00:00:00Z' },
    {},
    '?_since=2026-01-01T00:00:00Z&_type=Patient',
  ],
])('sends %s [N-04]', (_, params, send, query) => {
  expect(queryFor(params, send)).toBe(query)
})

it('sends a POST as Parameters, one entry per value, under the names of the vendor [N-04]', () => {
  const source = sourceWith({
    supports: { levels: { patient: 'POST' }, params: [], cancel: true, groups: 'none' },
    send: { rename: { _until: '_till' }, outputFormat: 'application/fhir+ndjson' },
  })
  const params = paramsWith({
    since: '2026-01-01T00:00:00Z',
    until: '2026-02-01T00:00:00Z',
    type: ['Patient', 'Observation'],
    patient: ['Patient/1'],
    includeAssociatedData: ['LatestProvenanceResources'],
    typeFilter: ['Patient?a=1,2'],
  })
  const { method, url, headers, body } = kickoffRequest(source, { level: 'patient', params })
  expect([method, url]).toEqual(['POST', `${BASE}/Patient/$export`])
  expect(headers).toEqual({
    Accept: 'application/fhir+json',
    Prefer: 'respond-async',
    'Content-Type': 'application/fhir+json',
  })
  expect(JSON.parse(body ?? '')).toEqual({
    resourceType: 'Parameters',
    parameter: [
      { name: '_outputFormat', valueString: 'application/fhir+ndjson' },
      { name: '_since', valueInstant: '2026-01-01T00:00:00Z' },
      { name: '_till', valueInstant: '2026-02-01T00:00:00Z' },
      { name: '_type', valueString: 'Patient' },
      { name: '_type', valueString: 'Observation' },
      { name: 'patient', valueReference: { reference: 'Patient/1' } },
      { name: 'includeAssociatedData', valueCode: 'LatestProvenanceResources' },
      { name: '_typeFilter', valueString: 'Patient?a=1,2' },
    ],
  })
})

it.each<[string, Partial<Source['dialect']>, Level]>([
  [
    'a level that the vendor lacks',
    { supports: { levels: { group: 'GET' }, params: [], cancel: true, groups: 'none' } },
    'system',
  ],
  ['a group export without a group', {}, 'group'],
])('refuses %s before anything is sent [KO-01]', (_, dialect, level) => {
  expect(() => kickoffRequest(sourceWith(dialect), { level, params: paramsWith() })).toThrow(
    expect.objectContaining({ code: 'level_unsupported' }),
  )
})

it.each<[RequestPurpose, Record<string, string>]>([
  ['kickoff', { Accept: 'application/fhir+json', Prefer: 'respond-async' }],
  ['status', { Accept: 'application/json' }],
  ['cancel', { Accept: 'application/fhir+json' }],
  ['file', { Accept: 'application/fhir+ndjson' }],
  ['group', { Accept: 'application/fhir+json' }],
])('sends %s with one Accept and nothing needless [N-07]', (purpose, headers) => {
  expect(headersFor(sourceWith(), purpose)).toEqual(headers)
})

it.each<[Record<string, string>, Record<string, string>]>([
  [{}, { Accept: 'application/fhir+json', Prefer: 'respond-async', 'Acme-Client': 'app' }],
  [{ key: 'k1' }, { Accept: 'application/fhir+json', Prefer: 'respond-async', 'Acme-Client': 'app', 'Acme-Key': 'k1' }],
])('with options %j fills declared headers, and leaves out one without a value [N-07]', (options, headers) => {
  const send: Send = {
    headers: { kickoff: { 'Acme-Client': '{clientId}', 'Acme-Key': '{key}' }, status: { Prefer: 'respond-async' } },
  }
  const source = sourceWith({ send }, { options })
  expect(headersFor(source, 'kickoff')).toEqual(headers)
  expect(headersFor(source, 'status')).toEqual({ Accept: 'application/json', Prefer: 'respond-async' })
})

it('a static token has no client id, so a header that wants one is left out [N-07]', () => {
  const send: Send = { headers: { kickoff: { 'Acme-Client': '{clientId}' } } }
  const source = sourceWith({ send }, { credential: { kind: 'bearer', secret: 'T' } })
  expect(headersFor(source, 'kickoff')).not.toHaveProperty('Acme-Client')
})

it('replaces Accept where declared, and sends one [N-07]', () => {
  const source = sourceWith({ send: { headers: { status: { Accept: 'application/fhir+json' } } } })
  expect(headersFor(source, 'status')).toEqual({ Accept: 'application/fhir+json' })
})

it('puts options into base and paths, and the base decides who may have the token [N-04, N-26]', () => {
  const send: Send = { base: 'https://api.example/{slug}/fhir', paths: { group: '/Group/{groupId}/{slug}-export' } }
  const source = sourceWith(
    { send, trust: { origins: ['https://more.example/path'], fileOrigins: ['https://*.store.example'] } },
    { options: { slug: 's1' } },
  )
  expect(kickoffRequest(source, { level: 'group', groupId: 'g1', params: paramsWith() }).url).toBe(
    'https://api.example/s1/fhir/Group/g1/s1-export',
  )
  expect(trustPolicyOf(source, true)).toEqual({
    sandbox: true,
    credentialOrigins: new Set(['https://api.example', 'https://more.example']),
    openOrigins: ['https://*.store.example'],
    responseMs: 60_000,
  })
  expect(() => baseOf(sourceWith({ send }))).toThrow(ExportError)
})

it('a POST without parameters has no empty list in it: FHIR knows none', () => {
  const source = sourceWith({ supports: { levels: { system: 'POST' }, params: [], cancel: true, groups: 'none' } })
  expect(kickoffRequest(source, { level: 'system', params: paramsWith() }).body).toBe('{"resourceType":"Parameters"}')
})
