import type { KickoffParameter, Level } from './kickoff-params.ts'

/** Base of the Bulk Data canonicals. */
export const BULK = 'http://hl7.org/fhir/uv/bulkdata'

/** Last part of an operation's canonical, and of the path of a source's own definition. */
export const OPERATION_IDS: Readonly<Record<Level, string>> = {
  system: 'export',
  patient: 'patient-export',
  group: 'group-export',
}

/** Canonical of the operation as the specification defines it [CS-03]. */
export const canonicalOf = (level: Level): string => `${BULK}/OperationDefinition/${OPERATION_IDS[level]}`

/** A parameter as one source honours it. */
export interface HonouredParameter {
  readonly name: KickoffParameter
  readonly documentation: string
  readonly isRequired?: boolean
}

/** One export operation of one source. */
export interface ExportOperation {
  /** FHIR base of the source, absolute, without a slash at its end. */
  readonly base: string
  readonly title: string
  /** Version of the software. */
  readonly version: string
  /** FHIR dateTime since which it holds. */
  readonly date: string
  readonly level: Level
  readonly parameters: readonly HonouredParameter[]
}

/** FHIR type of those that are no string, and those that may be given once alone. */
const TYPES: Partial<Record<KickoffParameter, string>> = {
  _since: 'instant',
  _until: 'instant',
  patient: 'Reference',
  includeAssociatedData: 'code',
  allowPartialManifests: 'boolean',
}
const ONCE: readonly KickoffParameter[] = ['_outputFormat', '_since', '_until', 'organizeOutputBy', 'allowPartialManifests']

/**
 * The OperationDefinition of a source's export at one level: the specification's, without the parameters that are refused there.
 *
 * @returns A FHIR R4 OperationDefinition, ready to be serialised.
 * @see Bulk Data Server Capability Documentation [CS-02, CS-03]; the definitions of the guide
 */
export const operationDefinition = ({ base, title, version, date, level, parameters }: ExportOperation): object => ({
  resourceType: 'OperationDefinition',
  id: OPERATION_IDS[level],
  url: `${base}/OperationDefinition/${OPERATION_IDS[level]}`,
  version,
  name: 'BulkDataExport',
  title,
  status: 'active',
  kind: 'operation',
  date,
  affectsState: false,
  code: 'export',
  base: canonicalOf(level),
  ...(level === 'system' ? {} : { resource: [level === 'patient' ? 'Patient' : 'Group'] }),
  system: level === 'system',
  type: level === 'patient',
  instance: level === 'group',
  parameter: parameters.map(({ name, documentation, isRequired = false }) => ({
    name,
    use: 'in',
    min: isRequired ? 1 : 0,
    max: ONCE.includes(name) ? '1' : '*',
    documentation,
    type: TYPES[name] ?? 'string',
    ...(name === 'patient' ? { targetProfile: ['http://hl7.org/fhir/StructureDefinition/Patient'] } : {}),
  })),
})
