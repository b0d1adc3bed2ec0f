import type { KickoffParameter, Level } from './kickoff-params.ts'
import { BULK, canonicalOf, OPERATION_IDS } from './operation-definition.ts'

/** A search parameter, as a CapabilityStatement lists it. */
export interface SearchParameter {
  readonly name: string
  readonly type: string
}

/** What one source can do. */
export interface Capabilities {
  /** FHIR base of the source, absolute, without a slash at its end. */
  readonly base: string
  readonly title: string
  /** Version of the software. */
  readonly version: string
  /** FHIR dateTime since which the statement holds. */
  readonly date: string
  readonly tokenUrl: string
  readonly levels: readonly Level[]
  /** Resource types that an export may hold. */
  readonly types: readonly string[]
  /** Whether groups can be found over FHIR; `search` includes reading one. */
  readonly groups: 'search' | 'read' | 'none'
  /** What groups can be searched by. */
  readonly groupSearch: readonly SearchParameter[]
  /** Parameters of each level. */
  readonly params: Partial<Record<Level, OperationParameters>>
  /** What a `_typeFilter` may use on a type. Absent where the source does not tell. */
  readonly filterBy?: (type: string) => readonly SearchParameter[]
  /** Sentences for the developer about this source, such as what happens to newcomers of a group with `_since`. */
  readonly notes?: readonly string[]
}

/** The parameters of one operation. */
export interface OperationParameters {
  readonly honoured: readonly KickoffParameter[]
  readonly required: readonly KickoffParameter[]
  readonly refused: readonly KickoffParameter[]
}

/**
 * The CapabilityStatement of one source: only levels, types and interactions that it has are in it.
 *
 * @returns A FHIR R4 CapabilityStatement, ready to be serialised.
 * @see Bulk Data Server Capability Documentation [CS-01..CS-06]
 */
export const capabilityStatement = (capabilities: Capabilities): object => ({
  resourceType: 'CapabilityStatement',
  url: `${capabilities.base}/metadata`,
  name: 'BulkDataExport',
  title: capabilities.title,
  status: 'active',
  date: capabilities.date,
  kind: 'instance',
  instantiates: [`${BULK}/CapabilityStatement/bulk-data`],
  software: { name: 'Bulkhead', version: capabilities.version },
  implementation: { description: capabilities.title, url: capabilities.base },
  fhirVersion: '4.0.1',
  format: ['application/fhir+json', 'json'],
  implementationGuide: [`${BULK}/ImplementationGuide/hl7.fhir.uv.bulkdata`],
  rest: [
    {
      mode: 'server',
      documentation: documentation(capabilities),
      security: security(capabilities.tokenUrl),
      resource: resources(capabilities),
      ...operation(capabilities, 'system'),
    },
  ],
})

/** Where clients that do not read SMART configuration find the token endpoint. */
const security = (tokenUrl: string): object => ({
  extension: [
    {
      url: 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris',
      extension: [{ url: 'token', valueUri: tokenUrl }],
    },
  ],
  service: [
    {
      coding: [
        {
          system: 'http://terminology.hl7.org/CodeSystem/restful-security-service',
          code: 'SMART-on-FHIR',
          display: 'SMART-on-FHIR',
        },
      ],
    },
  ],
  description: 'SMART Backend Services: client credentials with a signed assertion (RS384 or ES384).',
})

/** One entry per type, in a stable order: the exportable ones, and those that carry an operation or an interaction. */
const resources = (capabilities: Capabilities): readonly object[] => {
  const names = new Set(capabilities.types)
  if (capabilities.levels.includes('patient')) names.add('Patient')
  if (capabilities.levels.includes('group') || capabilities.groups !== 'none') names.add('Group')
  return [...names].toSorted().map((type) => ({
    ...(capabilities.types.includes(type) ? {} : NOT_EXPORTED),
    type,
    ...(type === 'Group' ? interactions(capabilities.groups) : {}),
    ...searchParams(capabilities, type),
    ...(type === 'Group' ? operation(capabilities, 'group') : {}),
    ...(type === 'Patient' ? operation(capabilities, 'patient') : {}),
  }))
}

/** Says of a type or a parameter that it stands here for its interactions or its operation, and not for exports [CS-05]. */
const NOT_EXPORTED = {
  extension: [
    {
      url: `${BULK}/StructureDefinition/operation-not-supported`,
      valueCanonical: `${BULK}/CapabilityStatement/bulk-data`,
    },
  ],
}

const interactions = (groups: Capabilities['groups']): object => {
  if (groups === 'none') return {}
  return { interaction: [{ code: 'read' }, ...(groups === 'search' ? [{ code: 'search-type' }] : [])] }
}

/** What a `_typeFilter` may use [CS-04]; and what only searches groups, marked. */
const searchParams = ({ types, groups, groupSearch, filterBy }: Capabilities, type: string): object => {
  const filters = types.includes(type) ? (filterBy?.(type) ?? []) : []
  const known = new Set(filters.map(({ name }) => name))
  const searches = type === 'Group' && groups === 'search' ? groupSearch.filter(({ name }) => !known.has(name)) : []
  const searchParam = [...filters.map(({ name, type: code }) => ({ name, type: code })), ...searches.map(marked)]
  return searchParam.length > 0 ? { searchParam } : {}
}

const marked = ({ name, type }: SearchParameter): object => ({ ...NOT_EXPORTED, name, type })

const operation = ({ base, levels, params }: Capabilities, level: Level): object => {
  const taken = params[level]
  if (taken === undefined || !levels.includes(level)) return {}
  const { honoured, required, refused } = taken
  const documentation = [
    `Parameters: ${listed(honoured)}. GET, and POST with a Parameters body.`,
    ...(required.length > 0 ? [`Required: ${listed(required)}.`] : []),
    ...(refused.length > 0 ? [`Refused: ${listed(refused)}.`] : []),
    `What each does here: ${base}/OperationDefinition/${OPERATION_IDS[level]}`,
  ].join(' ')
  return { operation: [{ name: 'export', definition: canonicalOf(level), documentation }] }
}

const listed = (names: readonly string[]): string => (names.length > 0 ? names.join(', ') : 'none')

const documentation = ({ levels, notes = [] }: Capabilities): string =>
  [
    `Bulk Data Access 3.0.0. Levels: ${listed(levels)}.`,
    'Output format: application/fhir+ndjson, one resource type per file unless organizeOutputBy is used; a type may have several files, cut as the source cuts them.',
    'Patient and Group exports hold the Patient compartment, and what the source adds to explain it, such as Practitioner, Organization, Location and Medication; _type narrows both. Resources follow the profiles of the source.',
    'Files and attachments need the same access as the export, and Accept-Encoding: gzip is honoured.',
    'What is refused is answered with 400 and an OperationOutcome; with Prefer: handling=lenient the export goes on without it and says so in the error files of the manifest.',
    ...notes,
  ].join('\n\n')
