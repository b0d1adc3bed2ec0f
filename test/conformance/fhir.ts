import { jsonOf, type Exchange } from './exchange.ts'

export type Json = Readonly<Record<string, unknown>>

export type Level = 'system' | 'patient' | 'group'
export const LEVELS: readonly Level[] = ['system', 'patient', 'group']

export const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
export const objects = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.filter(isJson) : [])
export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

export const FHIR_JSON = 'application/fhir+json'
export const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

export const isInstant = (value: unknown): value is string =>
  typeof value === 'string' && INSTANT.test(value) && !Number.isNaN(Date.parse(value))

const HTTP_DATE = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/

/** Wait that `Retry-After` asks for, in ms; `undefined` when it says nothing that HTTP knows. */
export const retryAfterMs = (value: string | undefined): number | undefined => {
  if (value === undefined) return undefined
  if (/^\d+$/.test(value)) return Number(value) * 1000
  return HTTP_DATE.test(value) ? Math.max(0, Date.parse(value) - Date.now()) : undefined
}

export const isHttpDate = (value: string | undefined): boolean => value !== undefined && HTTP_DATE.test(value)

export const mediaTypeOf = ({ headers }: Exchange): string =>
  (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''

export const isOutcome = (exchange: Exchange): boolean => {
  const body = jsonOf(exchange)
  return isJson(body) && body['resourceType'] === 'OperationOutcome' && objects(body['issue']).length > 0
}

export const isRefusal = ({ status }: Exchange): boolean => status >= 400 && status < 600
/** Refused because of what was asked, and not because the server is unwell. */
export const isClientError = ({ status }: Exchange): boolean => status >= 400 && status < 500

/** `Patient/1` of a resource. */
export const keyOf = (resource: Json): string => `${textOf(resource['resourceType'])}/${textOf(resource['id'])}`

/** Every value of a member name, at any depth. */
export function* membersNamed(value: unknown, name: string): Generator {
  if (Array.isArray(value)) for (const entry of value) yield* membersNamed(entry, name)
  else if (isJson(value)) {
    for (const [member, inner] of Object.entries(value)) {
      if (member === name) yield inner
      yield* membersNamed(inner, name)
    }
  }
}

/** Every reference in a resource that is a string. */
export const referencesIn = (resource: Json): readonly string[] =>
  [...membersNamed(resource, 'reference')].filter((reference) => typeof reference === 'string')

/** `Patient/1` out of a relative or an absolute reference; a version is dropped. */
export const localReference = (reference: string): string =>
  /([A-Z]\w+\/[\w.-]+)(?:\/_history\/[^/]+)?$/.exec(reference)?.[1] ?? reference

/** Members that tie a resource to the compartment of a patient, in R4. Types that are not here are in none, or tied in other ways. */
const COMPARTMENT: Readonly<Record<string, readonly string[]>> = {
  AllergyIntolerance: ['patient', 'recorder', 'asserter'],
  CarePlan: ['subject'],
  CareTeam: ['subject'],
  Condition: ['subject', 'asserter'],
  Coverage: ['policyHolder', 'subscriber', 'beneficiary', 'payor'],
  DiagnosticReport: ['subject'],
  DocumentReference: ['subject', 'author'],
  Encounter: ['subject'],
  Goal: ['subject'],
  Immunization: ['patient'],
  MedicationDispense: ['subject'],
  MedicationRequest: ['subject'],
  Observation: ['subject', 'performer'],
  Procedure: ['subject', 'performer'],
  QuestionnaireResponse: ['subject', 'author', 'source'],
  RelatedPerson: ['patient'],
  ServiceRequest: ['subject', 'performer'],
}

/** Patients in whose compartment a resource is; `undefined` for a type about which that cannot be said here. */
export const patientsOf = (resource: Json): ReadonlySet<string> | undefined => {
  const type = textOf(resource['resourceType'])
  if (type === 'Patient') return new Set([keyOf(resource)])
  const members = COMPARTMENT[type]
  if (members === undefined) return undefined
  const references = members.flatMap((member) => {
    const value = resource[member]
    return (Array.isArray(value) ? value : [value]).filter(isJson).map(({ reference }) => localReference(textOf(reference)))
  })
  return new Set(references.filter((reference) => reference.startsWith('Patient/')))
}

/** Root elements that R4 demands of common types; choices are named by their beginning. */
export const MANDATORY: Readonly<Record<string, readonly string[]>> = {
  Observation: ['status', 'code'],
  Condition: ['subject'],
  Encounter: ['status', 'class'],
  MedicationRequest: ['status', 'intent', 'medication', 'subject'],
  Procedure: ['status', 'subject'],
  Immunization: ['status', 'vaccineCode', 'patient', 'occurrence'],
  AllergyIntolerance: ['patient'],
  DiagnosticReport: ['status', 'code'],
  DocumentReference: ['status', 'content'],
}

export const lastUpdatedMs = (resource: Json): number | undefined => {
  const meta = resource['meta']
  const value = isJson(meta) ? Date.parse(textOf(meta['lastUpdated'])) : Number.NaN
  return Number.isNaN(value) ? undefined : value
}
