import type { KickoffParameter, Level } from './kickoff-params.ts'

/** Base of the Bulk Data canonicals. */
const BULK = 'http://hl7.org/fhir/uv/bulkdata'

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
  /** Parameters taken at each level. */
  readonly params: Partial<Record<Level, readonly KickoffParameter[]>>
  /** Sentences for the developer about this source, such as what happens to newcomers of a group with `_since`. */
  readonly notes?: readonly string[]
}

const OPERATIONS: Readonly<Record<Level, string>> = {
  system: `${BULK}/OperationDefinition/export`,
  patient: `${BULK}/OperationDefinition/patient-export`,
  group: `${BULK}/OperationDefinition/group-export`,
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
    ...(type === 'Group' ? groupAccess(capabilities.groups) : {}),
    ...(type === 'Group' ? operation(capabilities, 'group') : {}),
    ...(type === 'Patient' ? operation(capabilities, 'patient') : {}),
  }))
}

/** Says of a type that it stands here for its interactions or its operation, and is in no export [CS-05]. */
const NOT_EXPORTED = {
  extension: [
    {
      url: `${BULK}/StructureDefinition/operation-not-supported`,
      valueCanonical: `${BULK}/CapabilityStatement/bulk-data`,
    },
  ],
}

const groupAccess = (groups: Capabilities['groups']): object => {
  if (groups === 'none') return {}
  if (groups === 'read') return { interaction: [{ code: 'read' }] }
  return {
    interaction: [{ code: 'read' }, { code: 'search-type' }],
    searchParam: [{ name: 'identifier', type: 'token' }],
  }
}

const operation = ({ levels, params }: Capabilities, level: Level): object => {
  if (!levels.includes(level)) return {}
  const names = params[level] ?? []
  const text = `Parameters: ${names.length > 0 ? names.join(', ') : 'none'}. GET, and POST with a Parameters body.`
  return { operation: [{ name: 'export', definition: OPERATIONS[level], documentation: text }] }
}

const documentation = ({ levels, notes = [] }: Capabilities): string =>
  [
    `Bulk Data Access 3.0.0. Levels: ${levels.length > 0 ? levels.join(', ') : 'none'}.`,
    'Output format: application/fhir+ndjson, one resource type per file; a type may have several files.',
    'Files need the same access as the export, and Accept-Encoding: gzip is honoured.',
    'A parameter that is not supported is refused, and with Prefer: handling=lenient reported in the error files of the manifest.',
    ...notes,
  ].join('\n\n')
