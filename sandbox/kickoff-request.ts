import { isJson, listOf, parseJson, stringOf, type Json } from './json.ts'
import type { Issue } from './outcome.ts'
import type { ExportFilter } from './row-filter.ts'
import { parseTypeFilter, splitTypeFilters } from './type-filter.ts'

/** Parameter → its values in order, however they came. */
export type KickoffValues = ReadonlyMap<string, readonly string[]>

/** What a vendor takes at kick-off. */
export interface KickoffRules {
  readonly params: readonly string[]
  readonly types: readonly string[]
  readonly formats: readonly string[]
  /** Repeats of `_type` count as one list. */
  readonly repeats: boolean
}

export type Kickoff =
  | { readonly filter: ExportFilter; readonly ignored: readonly Issue[] }
  | { readonly refusal: Issue & { readonly parameter: string } }

/** Types that a vendor takes in `_type` though it may hold none of them. */
export const KNOWN_TYPES: readonly string[] =
  `AllergyIntolerance CarePlan CareTeam Claim Condition Coverage Device DiagnosticReport DocumentReference Encounter ExplanationOfBenefit
  Goal Immunization Location Media Medication MedicationDispense MedicationRequest Observation Organization Patient Practitioner
  PractitionerRole Procedure Provenance QuestionnaireResponse RelatedPerson ServiceRequest Specimen`.split(/\s+/)

export const NDJSON_FORMATS: readonly string[] = ['application/fhir+ndjson', 'application/ndjson', 'ndjson']

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

const append = (values: Map<string, string[]>, name: string, value: string): void => {
  values.set(name, [...(values.get(name) ?? []), value])
}

export const fromQuery = (query: URLSearchParams): KickoffValues => {
  const values = new Map<string, string[]>()
  for (const [name, value] of query) append(values, name, value)
  return values
}

/** @returns `undefined` when the body is no `Parameters` resource. An empty body has no parameters. */
export const fromParameters = (body: string): KickoffValues | undefined => {
  const values = new Map<string, string[]>()
  if (body.trim() === '') return values
  const parameters = parseJson(body)
  if (parameters?.['resourceType'] !== 'Parameters') return undefined
  for (const entry of listOf(parameters['parameter']).filter(isJson)) {
    const value = Object.entries(entry).find(([member]) => member.startsWith('value'))?.[1]
    append(values, stringOf(entry['name']), isJson(value) ? stringOf(value['reference']) : String(value))
  }
  return values
}

/** Whether `Prefer` has this preference, among others and in several headers alike. */
export const prefers = (header: string | undefined, preference: string): boolean =>
  (header ?? '').split(/[,;]/).some((part) => part.trim().toLowerCase() === preference)

/** In the order of what they let out: the wider one decides when both are given [PA-11]. */
const PROVENANCE_CODES = ['LatestProvenanceResources', 'RelevantProvenanceResources']

/** Provenance of what is exported comes along, also where `_type` does not name it. */
const provenance = (codes: readonly string[], types: readonly string[], known: readonly string[]): ExportFilter => {
  const [latest, relevant] = PROVENANCE_CODES.map((code) => codes.includes(code))
  if (latest !== true && relevant !== true) return {}
  // Asked for by its own name too, all of it is wanted.
  if (relevant === true && types.includes('Provenance')) return {}
  const targets = (types.length === 0 ? known : types).filter((type) => type !== 'Provenance')
  return {
    provenanceOf: new Set(targets),
    ...(types.length === 0 ? {} : { types: [...new Set([...types, 'Provenance'])] }),
    ...(relevant === true ? {} : { latestProvenance: true }),
  }
}

const refuse = (parameter: string, code: string, text: string): Kickoff => ({ refusal: { parameter, code, text } })

/** Reads kick-off parameters as a conformant server does; vendors differ by their rules. */
export const readKickoff = (values: KickoffValues, rules: KickoffRules, lenient: boolean): Kickoff => {
  const ignored: Issue[] = []
  const list = (name: string): string[] =>
    (values.get(name) ?? []).flatMap((value) => value.split(',')).filter((value) => value !== '')

  for (const name of values.keys()) {
    if (rules.params.includes(name)) continue
    if (!lenient) return refuse(name, 'not-supported', `Parameter ${name} is not supported`)
    ignored.push({ severity: 'warning', code: 'not-supported', text: `Parameter ${name} was ignored` })
  }
  const used = (name: string): boolean => values.has(name) && rules.params.includes(name)

  // A raw `+` in a query arrives as a space.
  const format = values.get('_outputFormat')?.[0]?.replace(' ', '+')
  if (used('_outputFormat') && !rules.formats.includes(format ?? '')) {
    return refuse('_outputFormat', 'not-supported', `_outputFormat must be one of ${rules.formats.join(', ')}`)
  }
  if (!rules.repeats && (values.get('_type')?.length ?? 0) > 1) {
    return refuse('_type', 'invalid', '_type may be given once: join its values with commas')
  }
  const types = list('_type')
  for (const type of types) {
    if (rules.types.includes(type)) continue
    if (!lenient) return refuse('_type', 'not-supported', `_type ${type} is not supported`)
    ignored.push({ severity: 'warning', code: 'not-supported', text: `_type ${type} was ignored` })
  }
  const times: { sinceMs?: number; untilMs?: number } = {}
  for (const [name, member] of [
    ['_since', 'sinceMs'],
    ['_until', 'untilMs'],
  ] as const) {
    if (!used(name)) continue
    const value = values.get(name)?.[0]?.replace(' ', '+') ?? ''
    if (!INSTANT.test(value) || Number.isNaN(Date.parse(value))) {
      return refuse(name, 'invalid', `${name} must be an instant with time and zone, such as 2026-01-31T00:00:00Z`)
    }
    times[member] = Date.parse(value)
  }
  const typeFilters = new Map<string, ((resource: Json) => boolean)[]>()
  for (const value of used('_typeFilter') ? splitTypeFilters(values.get('_typeFilter') ?? []) : []) {
    const parsed = parseTypeFilter(value)
    if (parsed !== undefined) typeFilters.set(parsed.type, [...(typeFilters.get(parsed.type) ?? []), parsed.passes])
    else if (!lenient) return refuse('_typeFilter', 'not-supported', `_typeFilter ${value} is not supported`)
    else ignored.push({ severity: 'warning', code: 'not-supported', text: `_typeFilter ${value} was ignored` })
  }
  const associated = used('includeAssociatedData') ? list('includeAssociatedData') : []
  for (const code of associated) {
    if (PROVENANCE_CODES.includes(code)) continue
    if (!lenient) return refuse('includeAssociatedData', 'not-supported', `includeAssociatedData ${code} is not supported`)
    ignored.push({ severity: 'warning', code: 'not-supported', text: `includeAssociatedData ${code} was ignored` })
  }
  const patients = used('patient') ? list('patient').map((reference) => reference.replace(/^Patient\//, '')) : []
  return {
    ignored,
    filter: {
      ...(types.length === 0 ? {} : { types }),
      ...provenance(associated, types, rules.types),
      ...times,
      ...(used('_elements') ? { elements: list('_elements') } : {}),
      ...(patients.length === 0 ? {} : { patientIds: new Set(patients) }),
      ...(typeFilters.size === 0 ? {} : { typeFilters }),
    },
  }
}
