import { formatInstant } from './instant.ts'
import type { KickoffParams, Level } from './kickoff-params.ts'

/** What is recorded. Polls that find an export under way are not: they give nothing away. */
export type AuditedEvent = 'token' | 'kickoff' | 'manifest' | 'file' | 'delete' | 'group-read' | 'group-search'

/** One thing that a client did, or was not let do, in our words. Holds ids, types and codes; no token, no URL, no address. */
export interface AuditRecord {
  /** UUID. The same id twice is the same record. */
  readonly id: string
  readonly event: AuditedEvent
  readonly clientId: string
  /** `refused`: the client had no right to it, or the vendor would not. `failed`: it went wrong, here or there. */
  readonly outcome: 'success' | 'refused' | 'failed'
  /** Of the error that the client was answered. */
  readonly code?: string
  readonly sourceId?: string
  readonly level?: Level
  readonly groupId?: string
  readonly jobId?: string
  readonly fileName?: string
  /** Resource types that the export is limited to; absent: all that the source has. */
  readonly types?: readonly string[]
  /** As granted. */
  readonly scopes?: readonly string[]
  /** As `auditQuery` writes it. */
  readonly query?: string
}

export interface StoredAuditRecord extends AuditRecord {
  /** Epoch milliseconds, by the clock of the client's ledger. */
  readonly recordedMs: number
  /** Refusals before this one that were counted and not kept. */
  readonly refusalsLeftOut?: number
}

interface Coding {
  readonly system: string
  readonly code: string
  readonly display: string
}

interface Reference {
  readonly reference?: string
  readonly type?: string
  readonly identifier?: { readonly system?: string; readonly value: string }
}

interface Agent {
  readonly type: { readonly coding: readonly Coding[] }
  readonly who: Reference
  readonly requestor: boolean
}

interface Entity {
  readonly what?: Reference
  readonly type: Coding
  readonly role: Coding
  readonly name?: string
  readonly query?: string
  readonly detail?: readonly { readonly type: string; readonly valueString: string }[]
}

/** A FHIR R4 AuditEvent, as far as this project writes it. */
export interface AuditEvent {
  readonly resourceType: 'AuditEvent'
  readonly id: string
  readonly type: Coding
  readonly subtype: readonly Coding[]
  readonly action: 'R' | 'D' | 'E'
  readonly recorded: string
  readonly outcome: '0' | '4' | '8'
  readonly outcomeDesc?: string
  readonly agent: readonly Agent[]
  readonly source: { readonly observer: Reference; readonly type: readonly Coding[] }
  readonly entity: readonly Entity[]
}

const codes =
  (system: string) =>
  (code: string, display: string): Coding => ({ system, code, display })
const dicom = codes('http://dicom.nema.org/resources/ontology/DCM')
const interaction = codes('http://hl7.org/fhir/restful-interaction')
const entityType = codes('http://terminology.hl7.org/CodeSystem/audit-entity-type')
const role = codes('http://terminology.hl7.org/CodeSystem/object-role')

const REST = codes('http://terminology.hl7.org/CodeSystem/audit-event-type')('rest', 'Restful Operation')
const LOGIN = dicom('110114', 'User Authentication')
const EXPORT = dicom('110106', 'Export')
const GET_ACCESS_TOKEN = codes('urn:ihe:event-type-code')('ITI-71', 'Get Access Token')
const DISCLOSE = codes('http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle')('disclose', 'Disclose Record Lifecycle Event')
const READ = interaction('read', 'read')

const APPLICATION = dicom('110150', 'Application')
const SENDER = dicom('110153', 'Source Role ID')
const RECEIVER = dicom('110152', 'Destination Role ID')
const AUTHORIZATION_SERVER = codes('https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes')(
  'AuthzOauthService',
  'OAuth authorization service',
)
const CUSTODIAN = codes('http://terminology.hl7.org/CodeSystem/provenance-participant-type')('custodian', 'Custodian')
const APPLICATION_SERVER = codes('http://terminology.hl7.org/CodeSystem/security-source-type')('4', 'Application Server')

/** How one event is coded. DICOM calls the side that data, or a query, comes from the source, and the other the destination. */
interface EventCodes {
  readonly type: Coding
  readonly subtype: readonly Coding[]
  readonly action: AuditEvent['action']
  readonly client: Coding
  readonly server: Coding
}

const EVENTS = {
  token: { type: LOGIN, subtype: [GET_ACCESS_TOKEN], action: 'E', client: APPLICATION, server: AUTHORIZATION_SERVER },
  kickoff: { type: REST, subtype: [interaction('operation', 'operation')], action: 'E', client: SENDER, server: RECEIVER },
  manifest: { type: REST, subtype: [READ], action: 'R', client: RECEIVER, server: SENDER },
  file: { type: EXPORT, subtype: [DISCLOSE, READ], action: 'R', client: RECEIVER, server: SENDER },
  delete: { type: REST, subtype: [interaction('delete', 'delete')], action: 'D', client: APPLICATION, server: CUSTODIAN },
  'group-read': { type: REST, subtype: [READ], action: 'R', client: RECEIVER, server: SENDER },
  'group-search': {
    type: REST,
    subtype: [interaction('search-type', 'search-type')],
    action: 'E',
    client: SENDER,
    server: RECEIVER,
  },
} as const satisfies Record<AuditedEvent, EventCodes>

/** As IHE maps HTTP: 4 for what the client is refused, 8 for what failed. */
const OUTCOMES = { success: '0', refused: '4', failed: '8' } as const satisfies Record<
  AuditRecord['outcome'],
  AuditEvent['outcome']
>

/**
 * The AuditEvent of a record.
 *
 * @param record Ids as they stand in our URLs.
 * @param base Our public base: the identity of this server, and the namespace of its ids.
 * @see FHIR R4 AuditEvent; IHE BALP, Read, Query, Delete and Privacy Disclosure at Source; IHE IUA ITI-71
 */
export const auditEvent = (record: StoredAuditRecord, base: string): AuditEvent => {
  const { type, subtype, action, client, server } = EVENTS[record.event]
  const self: Reference = { identifier: { system: 'urn:ietf:rfc:3986', value: base } }
  const outcomeDesc = descriptionOf(record)
  return {
    resourceType: 'AuditEvent',
    id: record.id,
    type,
    subtype,
    action,
    recorded: formatInstant(record.recordedMs),
    outcome: OUTCOMES[record.outcome],
    ...(outcomeDesc === '' ? {} : { outcomeDesc }),
    agent: [
      {
        type: { coding: [client] },
        who: { identifier: { system: `${base}/auth`, value: record.clientId } },
        requestor: true,
      },
      { type: { coding: [server] }, who: self, requestor: false },
    ],
    source: { observer: self, type: [APPLICATION_SERVER] },
    entity: entitiesOf(record, base),
  }
}

const descriptionOf = ({ code, refusalsLeftOut }: StoredAuditRecord): string =>
  [
    ...(code === undefined ? [] : [code]),
    ...(refusalsLeftOut === undefined ? [] : [`${refusalsLeftOut} refusals before this one are counted here only`]),
  ].join('; ')

const SYSTEM_OBJECT = entityType('2', 'System Object')
const GROUP = codes('http://hl7.org/fhir/resource-types')('Group', 'Group')

const detailsOf = (details: Readonly<Record<string, string | undefined>>): Pick<Entity, 'detail'> => {
  const detail = Object.entries(details).flatMap(([type, valueString]) =>
    valueString === undefined ? [] : [{ type, valueString }],
  )
  return detail.length > 0 ? { detail } : {}
}

/** What it was about, from the outside in: source, group, job, file; then what was asked. */
const entitiesOf = (
  { event, sourceId, level, groupId, jobId, fileName, types, scopes, query }: AuditRecord,
  base: string,
): Entity[] => {
  const entities: Entity[] = []
  if (event === 'token') {
    const details = detailsOf({ scope: scopes?.join(' ') })
    entities.push({ type: SYSTEM_OBJECT, role: role('13', 'Security Resource'), ...details })
  }
  if (sourceId === undefined) return entities
  const source = `${base}/fhir/${sourceId}`
  entities.push({
    what: { identifier: { system: `${base}/fhir`, value: sourceId } },
    type: SYSTEM_OBJECT,
    role: role('17', 'Data Repository'),
  })
  if (groupId !== undefined) {
    const what = { reference: `${source}/Group/${groupId}`, type: 'Group' }
    entities.push({ what, type: GROUP, role: role('4', 'Domain Resource') })
  }
  if (jobId !== undefined) {
    entities.push({
      what: { identifier: { system: `${source}/jobs`, value: jobId } },
      type: SYSTEM_OBJECT,
      role: role('20', 'Job'),
      ...detailsOf({ level, _type: types?.join(',') }),
    })
  }
  if (fileName !== undefined) entities.push({ type: SYSTEM_OBJECT, role: role('3', 'Report'), name: fileName })
  if (query !== undefined) entities.push({ type: SYSTEM_OBJECT, role: role('24', 'Query'), query: btoa(query) })
  return entities
}

const PATHS = { system: '$export', patient: 'Patient/$export', group: 'Group/{id}/$export' } as const satisfies Record<
  Level,
  string
>

const withValue = (name: string, value = ''): string[] =>
  // Colons and commas stay readable.
  value === '' ? [] : [`${name}=${encodeURIComponent(value).replaceAll(/%(3A|2C)/g, decodeURIComponent)}`]
const withoutValues = (name: string, values: readonly string[]): string[] => (values.length === 0 ? [] : [name])

/**
 * A kick-off as it may be kept: values that could name a patient are left out, and only the parameter's name is there. Of lists,
 * `_type` alone has values that cannot.
 *
 * @returns ASCII, such as `Patient/$export?_type=Patient&_typeFilter`.
 * @see IHE BALP, Query: `entity.query`
 */
export const auditQuery = (level: Level, params: KickoffParams): string => {
  const parts = [
    ...withValue('_outputFormat', params.outputFormat),
    ...withValue('_since', params.since),
    ...withValue('_until', params.until),
    ...withValue('_type', params.type.join(',')),
    ...withValue('organizeOutputBy', params.organizeOutputBy),
    ...withValue('allowPartialManifests', params.allowPartialManifests?.toString()),
    ...withoutValues('_elements', params.elements),
    ...withoutValues('_typeFilter', params.typeFilter),
    ...withoutValues('includeAssociatedData', params.includeAssociatedData),
    ...withoutValues('patient', params.patient),
  ]
  return PATHS[level] + (parts.length > 0 ? `?${parts.join('&')}` : '')
}
