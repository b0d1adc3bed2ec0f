import { randomUUID } from 'node:crypto'
import { importJWK, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { outcomeOf, SOURCES, useWorld, type World } from './support.ts'

const KICKOFF = '/fhir/generic/Group/all-patients/$export'
const FHIR_JSON = { 'Content-Type': 'application/fhir+json' }

const parameters = (...parameter: object[]): string => JSON.stringify({ resourceType: 'Parameters', parameter })

interface Case {
  readonly name: string
  readonly path?: string
  readonly init?: RequestInit
  readonly status: number
  readonly code: string
  /** What `expression` names. */
  readonly names?: string
  /** Words of the remedy. */
  readonly says: RegExp
}

const CASES: readonly Case[] = [
  { name: 'unknown source', path: '/fhir/nowhere/Patient/$export', status: 404, code: 'not-found', says: /Check the path/ },
  {
    name: 'source in another case',
    path: '/fhir/Generic/Patient/$export',
    status: 404,
    code: 'not-found',
    says: /Check the path/,
  },
  { name: 'unknown group', path: '/fhir/generic/Group/nobody/$export', status: 404, code: 'not-found', says: /no such group/ },
  {
    name: 'unknown parameter [KO-09]',
    path: `${KICKOFF}?_foo=1`,
    status: 400,
    code: 'not-supported',
    names: '_foo',
    says: /Leave it out/,
  },
  {
    name: 'malformed _since [KO-12, PA-02]',
    path: `${KICKOFF}?_since=yesterday`,
    status: 400,
    code: 'value',
    names: '_since',
    says: /instant/i,
  },
  {
    name: '_since without a zone [PA-02]',
    path: `${KICKOFF}?_since=2026-01-01T00:00:00`,
    status: 400,
    code: 'value',
    names: '_since',
    says: /zone/i,
  },
  {
    name: 'unsupported _outputFormat [PA-01]',
    path: `${KICKOFF}?_outputFormat=text/csv`,
    status: 400,
    code: 'not-supported',
    names: '_outputFormat',
    says: /ndjson/,
  },
  {
    name: 'unknown _type [PA-07]',
    path: `${KICKOFF}?_type=Foo`,
    status: 400,
    code: 'not-supported',
    names: '_type',
    says: /type/,
  },
  {
    name: 'a type that the source does not export [PA-07]',
    path: `${KICKOFF}?_type=Basic`,
    status: 400,
    code: 'not-supported',
    names: '_type',
    says: /metadata/,
  },
  { name: 'empty _type', path: `${KICKOFF}?_type=`, status: 400, code: 'value', names: '_type', says: /_type/ },
  {
    name: 'patient on GET [PA-09]',
    path: `${KICKOFF}?patient=Patient/1`,
    status: 400,
    code: 'value',
    names: 'patient',
    says: /POST/,
  },
  {
    name: 'what neither the source nor Bulkhead can do [PA-11, N-04]',
    path: '/fhir/vendor-x/Group/all-patients/$export?includeAssociatedData=LatestProvenanceResources',
    status: 400,
    code: 'not-supported',
    names: 'includeAssociatedData',
    says: /Use RelevantProvenanceResources/,
  },
  {
    name: 'organizing by another type than Patient [PA-17]',
    path: '/fhir/vendor-x/Group/all-patients/$export?organizeOutputBy=Encounter',
    status: 400,
    code: 'not-supported',
    names: 'organizeOutputBy',
    says: /Use organizeOutputBy=Patient/,
  },
  {
    name: 'a filter that cannot be evaluated [PA-16]',
    path: `/fhir/vendor-x/Group/all-patients/$export?_typeFilter=${encodeURIComponent('Patient?nonsense-parameter=1')}`,
    status: 400,
    code: 'not-supported',
    names: '_typeFilter',
    says: /nonsense-parameter/,
  },
  {
    name: 'a token in the URL',
    path: `${KICKOFF}?access_token=s3cret`,
    status: 400,
    code: 'not-supported',
    names: 'access_token',
    says: /Authorization header/,
  },
  {
    name: 'a token in the URL of a lenient client',
    path: `${KICKOFF}?access_token=s3cret`,
    init: { headers: { Prefer: 'respond-async, handling=lenient' } },
    status: 400,
    code: 'not-supported',
    names: 'access_token',
    says: /Authorization header/,
  },
  {
    name: 'a result parameter in a filter [PA-15]',
    path: `${KICKOFF}?_typeFilter=${encodeURIComponent('Patient?_include=x')}`,
    status: 400,
    code: 'not-supported',
    names: '_typeFilter',
    says: /_include/,
  },
  {
    name: 'body that is no JSON',
    init: { method: 'POST', headers: FHIR_JSON, body: '{' },
    status: 400,
    code: 'structure',
    says: /JSON/,
  },
  {
    name: 'body that is no Parameters',
    init: { method: 'POST', headers: FHIR_JSON, body: '{"resourceType":"Patient"}' },
    status: 400,
    code: 'structure',
    says: /Parameters/,
  },
  {
    name: 'body with a wrong value[x]',
    init: { method: 'POST', headers: FHIR_JSON, body: parameters({ name: '_since', valueBoolean: true }) },
    status: 400,
    code: 'value',
    names: '_since',
    says: /valueInstant/,
  },
  {
    name: 'body of another media type',
    init: { method: 'POST', headers: { 'Content-Type': 'text/plain' }, body: 'x' },
    status: 415,
    code: 'not-supported',
    says: /fhir\+json/,
  },
  {
    name: 'compressed body [KO-03]',
    init: { method: 'POST', headers: { ...FHIR_JSON, 'Content-Encoding': 'gzip' }, body: parameters() },
    status: 415,
    code: 'not-supported',
    says: /Content-Encoding/,
  },
  {
    name: 'leap second in _since [PA-02]',
    path: `${KICKOFF}?_since=2016-12-31T23:59:60Z`,
    status: 400,
    code: 'value',
    says: /leap second/,
    names: '_since',
  },
  {
    name: 'parameters in body and query',
    path: `${KICKOFF}?_type=Patient`,
    init: { method: 'POST', headers: FHIR_JSON, body: parameters() },
    status: 400,
    code: 'value',
    says: /not in both/,
  },
  {
    name: 'oversized body',
    init: { method: 'POST', headers: FHIR_JSON, body: 'x'.repeat(1024 * 1024 + 1) },
    status: 413,
    code: 'too-long',
    says: /larger than/,
  },
  {
    name: 'Accept that cannot be met',
    init: { headers: { Accept: 'text/html' } },
    status: 406,
    code: 'not-supported',
    says: /accept/i,
  },
  { name: 'wrong method on a kick-off', init: { method: 'PUT' }, status: 405, code: 'not-supported', says: /GET, POST/ },
  {
    name: 'wrong method on a job',
    path: '/fhir/generic/jobs/00000000-0000-0000-0000-000000000000',
    init: { method: 'POST' },
    status: 405,
    code: 'not-supported',
    says: /GET, DELETE/,
  },
  {
    name: 'unknown job',
    path: '/fhir/generic/jobs/00000000-0000-0000-0000-000000000000',
    status: 404,
    code: 'not-found',
    says: /no such export/,
  },
  { name: 'unknown path', path: '/fhir/generic/Observation', status: 404, code: 'not-found', says: /metadata/ },
  {
    name: 'Patient instance export [KO-01]',
    path: '/fhir/generic/Patient/1/$export',
    status: 404,
    code: 'not-found',
    says: /metadata/,
  },
  {
    name: 'level that the source lacks [KO-01]',
    path: '/fhir/vendor-x/$export',
    status: 400,
    code: 'not-supported',
    says: /metadata/,
  },
  {
    name: 'definition of a level that the source lacks [CS-02]',
    path: '/fhir/vendor-x/OperationDefinition/export',
    status: 404,
    code: 'not-found',
    says: /metadata/,
  },
  {
    name: 'wrong method on a definition',
    path: '/fhir/generic/OperationDefinition/export',
    init: { method: 'DELETE' },
    status: 405,
    code: 'not-supported',
    says: /GET/,
  },
  {
    name: 'unknown search parameter of Group',
    path: '/fhir/generic/Group?_include=x',
    status: 400,
    code: 'not-supported',
    names: '_include',
    says: /Possible are/,
  },
]

const kickoffsOf = (world: World): number =>
  world.sandbox.vendors.reduce((sum, vendor) => sum + vendor.traffic().kickoffs.accepted, 0)

describe('bad input', () => {
  const world = useWorld()

  it.each(CASES)(
    '$name: $status, an OperationOutcome with the remedy, nothing started',
    async ({ path = KICKOFF, init, status, code, names, says }) => {
      const before = kickoffsOf(world())
      const answer = await world().demo.fetch(path, init)
      expect(answer.status).toBe(status)
      expect(answer.headers.get('Content-Type')).toBe('application/fhir+json')
      const { resourceType, issue } = await outcomeOf(answer)
      expect(resourceType).toBe('OperationOutcome')
      expect(issue[0]).toMatchObject({ severity: 'error', code })
      expect(issue[0]?.diagnostics).toMatch(says)
      if (names !== undefined) expect(issue[0]?.expression).toEqual([names])
      if (status === 405) expect(answer.headers.get('Allow')).toBeTruthy()
      expect(kickoffsOf(world())).toBe(before)
      const { jobs } = (await (await world().demo.fetch('/jobs')).json()) as { jobs: unknown[] }
      expect(jobs).toEqual([])
    },
  )

  const PATHS = [
    KICKOFF,
    '/fhir/generic/jobs/x',
    '/fhir/generic/jobs/x/files/y',
    '/fhir/generic/Group',
    '/fhir/nowhere/$export',
    '/jobs',
  ]
  it.each(PATHS)('%s without a token, or with a bad one: 401 with WWW-Authenticate [AU-16, AU-20]', async (path) => {
    const valid = await world().token()
    const tokens = [
      undefined,
      'Bearer',
      'Bearer ',
      'Basic ZGVtbzpkZW1v',
      'Bearer x',
      `Bearer ${valid.slice(0, -4)}AAAA`,
      `Bearer ${valid.split('.').slice(0, 2).join('.')}.`,
    ]
    for (const authorization of tokens) {
      const answer = await fetch(world().facade.base + path, {
        headers: authorization === undefined ? {} : { Authorization: authorization },
      })
      expect([authorization, answer.status]).toEqual([authorization, 401])
      expect(answer.headers.get('WWW-Authenticate')).toMatch(/^Bearer/)
      expect((await outcomeOf(answer)).issue[0]?.code).toBe('login')
    }
    expect(kickoffsOf(world())).toBe(0)
  })

  it('an expired token is 401 and says so [AU-16]', async () => {
    const { keys, facade } = world()
    const claims = { scope: 'system/*.rs', client_id: 'demo' }
    const expired = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES384', typ: 'at+jwt', kid: keys.signing.kid ?? '' })
      .setIssuer(facade.base)
      .setAudience(facade.base)
      .setSubject('demo')
      .setJti(randomUUID())
      .setIssuedAt(Math.floor(Date.now() / 1000) - 600)
      .setExpirationTime(Math.floor(Date.now() / 1000) - 300)
      .sign(await importJWK(keys.signing, 'ES384'))
    const answer = await fetch(facade.base + KICKOFF, { headers: { Authorization: `Bearer ${expired}` } })
    expect(answer.status).toBe(401)
    expect((await outcomeOf(answer)).issue[0]?.code).toBe('expired')
  })

  it.each(SOURCES)('%s: a type outside the token is refused, and nothing is started [AU-18, KO-14]', async (id) => {
    const token = await world().token('system/Patient.rs system/Group.rs')
    const { groupId } = world().vendor(id)
    const answer = await fetch(`${world().facade.base}/fhir/${id}/Group/${groupId}/$export?_type=Observation`, {
      headers: { Authorization: `Bearer ${token}` },
    })
    expect(answer.status).toBe(403)
    expect((await outcomeOf(answer)).issue[0]?.diagnostics).toContain('system/Observation.rs')
  })

  it('a group needs the right to read it [AU-19]', async () => {
    const token = await world().token('system/Patient.rs')
    const answer = await fetch(world().facade.base + KICKOFF, { headers: { Authorization: `Bearer ${token}` } })
    expect(answer.status).toBe(403)
  })

  it('names no upstream host in any answer or log line', () => {
    const ports = world().sandbox.vendors.map(({ origin }) => new URL(origin).host)
    for (const line of world().log) for (const port of ports) expect(line).not.toContain(port)
  })
})
