import { isJson, listOf, memberOf, parseJson, stringOf, type Json } from './json.ts'
import { lines, type Chunks } from './ndjson.ts'

/** What an export was asked for, as far as it decides which rows go out. An absent member decides nothing. */
export interface ExportFilter {
  readonly types?: readonly string[]
  /** Only what changed after this. NaN: nothing passes. */
  readonly sinceMs?: number
  /** Only what changed before this. */
  readonly untilMs?: number
  /** `name` or `Type.name`. */
  readonly elements?: readonly string[]
  readonly patientIds?: ReadonlySet<string>
  readonly perPatient?: number
  /** Type → predicates, any of which lets a resource pass. */
  readonly typeFilters?: ReadonlyMap<string, readonly ((resource: Json) => boolean)[]>
}

const NEWLINE = Buffer.from('\n')
const PATIENT_PREFIX = 'Patient/'

/** What `_elements` must leave in: the mandatory elements of the types that the generator makes. */
const MANDATORY: Readonly<Record<string, readonly string[]>> = {
  Encounter: ['status', 'class'],
  Condition: ['subject'],
  Observation: ['status', 'code'],
  MedicationRequest: ['status', 'intent', 'medicationCodeableConcept', 'medicationReference', 'subject'],
  DocumentReference: ['status', 'content'],
  Provenance: ['target', 'recorded', 'agent'],
}

const patientsOf = (resource: Json): string[] => {
  if (resource['resourceType'] === 'Patient') return [stringOf(resource['id'])]
  return [resource['subject'], resource['patient'], resource['beneficiary'], ...listOf(resource['target'])]
    .map((member) => stringOf(memberOf(member, 'reference')))
    .filter((reference) => reference.startsWith(PATIENT_PREFIX))
    .map((reference) => reference.slice(PATIENT_PREFIX.length))
}

const project = (resource: Json, elements: readonly string[]): Json => {
  const type = stringOf(resource['resourceType'])
  const named = elements.flatMap((element) => {
    const [first = '', second] = element.split('.')
    if (second === undefined) return [first]
    return first === type ? [second] : []
  })
  // Elements that name only other types leave this type whole.
  if (named.length === 0) return resource
  const kept = new Set(['resourceType', 'id', 'meta', ...(MANDATORY[type] ?? []), ...named])
  const tag = { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' }
  const meta = isJson(resource['meta']) ? resource['meta'] : {}
  return {
    ...Object.fromEntries(Object.entries(resource).filter(([member]) => kept.has(member))),
    meta: { ...meta, tag: [tag] },
  }
}

const passesTime = (resource: Json, { sinceMs, untilMs }: ExportFilter): boolean => {
  if (sinceMs === undefined && untilMs === undefined) return true
  const lastUpdated = memberOf(resource['meta'], 'lastUpdated')
  // Bulk Data export, `_since`: resources without lastUpdated may be included [PA-02].
  if (typeof lastUpdated !== 'string') return !Number.isNaN(sinceMs)
  const updatedMs = Date.parse(lastUpdated)
  return (sinceMs === undefined || updatedMs > sinceMs) && (untilMs === undefined || updatedMs < untilMs)
}

/** True when every row passes unchanged, so that bytes need not be read. */
export const passesAll = (filter: ExportFilter): boolean =>
  [filter.sinceMs, filter.untilMs, filter.elements, filter.patientIds, filter.perPatient, filter.typeFilters].every(
    (member) => member === undefined,
  )

/** The rows of one type that an export lets out, each with a newline; a row that is not changed keeps its bytes. */
export async function* filterRows(chunks: Chunks, filter: ExportFilter): AsyncGenerator<Uint8Array> {
  const perPatient = new Map<string, number>()
  for await (const line of lines(chunks)) {
    const resource = parseJson(line.toString('utf8')) ?? {}
    if (!passesTime(resource, filter)) continue
    const wanted = filter.typeFilters?.get(stringOf(resource['resourceType']))
    if (wanted !== undefined && !wanted.some((passes) => passes(resource))) continue
    const patients = patientsOf(resource)
    // What no patient owns is context and stays.
    if (filter.patientIds !== undefined && patients.length > 0 && !patients.some((id) => filter.patientIds?.has(id))) continue
    if (filter.perPatient !== undefined && patients[0] !== undefined) {
      const nth = (perPatient.get(patients[0]) ?? 0) + 1
      perPatient.set(patients[0], nth)
      if (nth > filter.perPatient) continue
    }
    const row = filter.elements === undefined ? line : Buffer.from(JSON.stringify(project(resource, filter.elements)))
    yield Buffer.concat([row, NEWLINE])
  }
}
