import { describe, expect, it } from 'vitest'
import { auditEvent, auditQuery, type AuditedEvent, type StoredAuditRecord } from '../../src/fhir/audit-event.ts'
import { parseKickoffParameters, parseKickoffQuery } from '../../src/fhir/kickoff-params.ts'

const BASE = 'https://bulkhead.example'
const ID = '0d9b2a52-6f0a-4b0e-9f2a-5d0d4b4b1c11'

const record = (parts: Partial<StoredAuditRecord> = {}): StoredAuditRecord => ({
  id: ID,
  event: 'file',
  clientId: 'app',
  outcome: 'success',
  sourceId: 'acme',
  recordedMs: Date.UTC(2026, 10, 3, 12),
  ...parts,
})

describe('an AuditEvent', () => {
  it.each<[AuditedEvent, string, string[], string, string, string]>([
    ['token', '110114', ['ITI-71'], 'E', '110150', 'AuthzOauthService'],
    ['kickoff', 'rest', ['operation'], 'E', '110153', '110152'],
    ['manifest', 'rest', ['read'], 'R', '110152', '110153'],
    ['file', '110106', ['disclose', 'read'], 'R', '110152', '110153'],
    ['delete', 'rest', ['delete'], 'D', '110150', 'custodian'],
    ['group-read', 'rest', ['read'], 'R', '110152', '110153'],
    ['group-search', 'rest', ['search-type'], 'E', '110153', '110152'],
  ])('of %s has the codes of BALP', (event, type, subtype, action, client, server) => {
    const built = auditEvent(record({ event }), BASE)
    expect([built.type.code, built.subtype.map(({ code }) => code), built.action]).toEqual([type, subtype, action])
    expect(built.agent.map((agent) => agent.type.coding[0]?.code)).toEqual([client, server])
  })

  it.each([
    ['success', undefined, '0', undefined],
    ['refused', 'scope_insufficient', '4', 'scope_insufficient'],
    ['failed', 'vendor_failed', '8', 'vendor_failed'],
  ] as const)('that ended with %s, %s has the outcome %s', (outcome, code, expected, description) => {
    const built = auditEvent(record({ outcome, ...(code === undefined ? {} : { code }) }), BASE)
    expect([built.outcome, built.outcomeDesc]).toEqual([expected, description])
  })

  it('is a complete resource: what R4 demands is there, and nothing that is empty', () => {
    const built = auditEvent(
      record({
        event: 'kickoff',
        level: 'group',
        groupId: 'g1',
        jobId: 'j1',
        types: ['Patient', 'Condition'],
        query: 'Group/{id}/$export?_type=Patient,Condition',
      }),
      BASE,
    )
    expect(built).toMatchObject({ resourceType: 'AuditEvent', id: ID, recorded: '2026-11-03T12:00:00.000Z' })
    const server = { identifier: { system: 'urn:ietf:rfc:3986', value: BASE } }
    expect(built.source.observer).toEqual(server)
    expect(built.agent.map(({ who, requestor }) => ({ who, requestor }))).toEqual([
      { who: { identifier: { system: `${BASE}/auth`, value: 'app' } }, requestor: true },
      { who: server, requestor: false },
    ])
    expect(built.entity.map(({ what, role, detail, query }) => ({ what, role: role.display, detail, query }))).toEqual([
      { role: 'Data Repository', what: { identifier: { system: `${BASE}/fhir`, value: 'acme' } } },
      { role: 'Domain Resource', what: { reference: `${BASE}/fhir/acme/Group/g1`, type: 'Group' } },
      {
        role: 'Job',
        what: { identifier: { system: `${BASE}/fhir/acme/jobs`, value: 'j1' } },
        detail: [
          { type: 'level', valueString: 'group' },
          { type: '_type', valueString: 'Patient,Condition' },
        ],
      },
      { role: 'Query', query: btoa('Group/{id}/$export?_type=Patient,Condition') },
    ])
    const plain = JSON.stringify(built)
    expect(plain).not.toMatch(/\[\]|\{\}|null|""/)
  })

  it('of a token names the granted scopes, and no source', () => {
    const built = auditEvent(
      { id: ID, event: 'token', clientId: 'app', outcome: 'success', scopes: ['a', 'b'], recordedMs: 0 },
      BASE,
    )
    expect(built.entity).toMatchObject([
      { role: { display: 'Security Resource' }, detail: [{ type: 'scope', valueString: 'a b' }] },
    ])
  })

  it('has a name or a query in an entity, never both [FHIR R4 sev-1]', () => {
    const built = auditEvent(record({ jobId: 'j', fileName: 'Patient.1.ndjson', query: '$export' }), BASE)
    for (const entity of built.entity) expect(entity.name !== undefined && entity.query !== undefined).toBe(false)
    expect(built.entity.map(({ name }) => name)).toContain('Patient.1.ndjson')
  })

  it('tells how many refusals stand behind it', () => {
    expect(auditEvent(record({ outcome: 'refused', code: 'job_not_found', refusalsLeftOut: 7 }), BASE).outcomeDesc).toBe(
      'job_not_found; 7 refusals before this one are counted here only',
    )
  })
})

describe('a recorded query', () => {
  const options = { level: 'patient', lenient: false } as const

  it('of a GET keeps what cannot name a patient, and only the names of the rest', () => {
    const search =
      '?_type=Patient,Condition&_since=2026-01-01T00:00:00Z&_elements=Patient.id&_typeFilter=' +
      encodeURIComponent('Condition?subject=Patient/canary') +
      '&_outputFormat=application/fhir%2Bndjson'
    const query = auditQuery('patient', parseKickoffQuery(search, options).params)
    expect(query).toBe(
      'Patient/$export?_outputFormat=application%2Ffhir%2Bndjson&_since=2026-01-01T00:00:00Z&_type=Patient,Condition&_elements&_typeFilter',
    )
  })

  it('of a POST says that patients were named, and not which', () => {
    const body = {
      resourceType: 'Parameters',
      parameter: [
        { name: 'patient', valueReference: { reference: 'Patient/canary' } },
        { name: '_type', valueString: 'Patient' },
      ],
    }
    const { params } = parseKickoffParameters(body, { ...options, base: `${BASE}/fhir/acme` })
    expect(params.patient).toHaveLength(1)
    expect(auditQuery('patient', params)).toBe('Patient/$export?_type=Patient&patient')
  })

  it('without parameters is the operation', () => {
    expect(auditQuery('system', parseKickoffQuery('', { level: 'system', lenient: false }).params)).toBe('$export')
    expect(auditQuery('group', parseKickoffQuery('', { level: 'group', lenient: false }).params)).toBe('Group/{id}/$export')
  })
})
