import { isInCompartment, patientsOf, valuesAt } from './compartment.ts'
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
  /** Provenance goes out only when it has a target of one of these types. */
  readonly provenanceOf?: ReadonlySet<string>
  /** And of each target only the one that was recorded last. */
  readonly latestProvenance?: true
}

const NEWLINE = Buffer.from('\n')

/** What `_elements` must leave in: the mandatory elements of the types that the generator makes. */
const MANDATORY: Readonly<Record<string, readonly string[]>> = {
  Encounter: ['status', 'class'],
  Condition: ['subject'],
  Observation: ['status', 'code'],
  MedicationRequest: ['status', 'intent', 'medicationCodeableConcept', 'medicationReference', 'subject'],
  DocumentReference: ['status', 'content'],
  Provenance: ['target', 'recorded', 'agent'],
  Task: ['status', 'intent'],
  Group: ['type', 'actual'],
}

const SUBSETTED = { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' }

/** What `_elements` leaves of a resource. */
export const project = (resource: Json, elements: readonly string[]): Json => {
  const type = stringOf(resource['resourceType'])
  const named = elements.flatMap((element) => {
    const [first = '', second] = element.split('.')
    if (second === undefined) return [first]
    return first === type ? [second] : []
  })
  // Elements that name only other types leave this type whole.
  if (named.length === 0) return resource
  const kept = new Set(['resourceType', 'id', 'meta', 'implicitRules', 'modifierExtension', ...(MANDATORY[type] ?? []), ...named])
  const meta = isJson(resource['meta']) ? resource['meta'] : {}
  const tags = listOf(meta['tag']).filter((tag) => memberOf(tag, 'code') !== SUBSETTED.code)
  return {
    // An extension of a primitive stands beside it, under its name with an underscore.
    ...Object.fromEntries(Object.entries(resource).filter(([member]) => kept.has(member.replace(/^_/, '')))),
    meta: { ...meta, tag: [...tags, SUBSETTED] },
  }
}

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3}(\d*))?(?:Z|[+-]\d\d:\d\d)$/

/** Epoch ms, with what is finer than that behind its point; NaN for what is no instant. */
const instantMs = (value: unknown): number => {
  const finer = INSTANT.exec(stringOf(value))
  return finer === null ? NaN : Date.parse(stringOf(value)) + Number(`0.${finer[1] ?? ''}0`)
}

const passesTime = (resource: Json, { sinceMs, untilMs }: ExportFilter): boolean => {
  if (sinceMs === undefined && untilMs === undefined) return true
  const updatedMs = instantMs(memberOf(resource['meta'], 'lastUpdated'))
  // Bulk Data export, `_since`: resources without lastUpdated may be included [PA-02]; one that cannot be read tells no more.
  if (Number.isNaN(updatedMs)) return !Number.isNaN(sinceMs)
  return (sinceMs === undefined || updatedMs > sinceMs) && (untilMs === undefined || updatedMs < untilMs)
}

/** Of the Patient compartment only what belongs to one of them; what is outside of it is context and stays [PA-09]. */
const passesPatients = (resource: Json, wanted: ReadonlySet<string> | undefined): boolean =>
  wanted === undefined ||
  !isInCompartment(stringOf(resource['resourceType'])) ||
  patientsOf(resource).some((id) => wanted.has(id))

export const targetsOf = (provenance: Json): readonly string[] =>
  valuesAt(provenance, 'target.reference').map((reference) => stringOf(reference))

/** Whether a reference is to a resource of one of these types; of any, when there is no list. */
export const isOfType = (reference: string, types: ReadonlySet<string> | undefined): boolean =>
  types === undefined || types.has(reference.split('/')[0] ?? '')

const passesProvenance = (resource: Json, types: ReadonlySet<string> | undefined): boolean =>
  types === undefined ||
  resource['resourceType'] !== 'Provenance' ||
  targetsOf(resource).some((reference) => isOfType(reference, types))

/** True when every row passes unchanged, so that bytes need not be read. */
export const passesAll = ({ types: _, latestProvenance: __, ...rest }: ExportFilter): boolean =>
  Object.values(rest).every((member) => member === undefined)

/** Whether one resource goes out, by everything that can be told of it alone. */
export const passes = (resource: Json, filter: ExportFilter): boolean => {
  const wanted = filter.typeFilters?.get(stringOf(resource['resourceType']))
  return (
    passesTime(resource, filter) &&
    (wanted === undefined || wanted.some((accepts) => accepts(resource))) &&
    passesPatients(resource, filter.patientIds) &&
    passesProvenance(resource, filter.provenanceOf)
  )
}

/**
 * The rows of one type that an export lets out, each with a newline; a row that is not changed keeps its bytes.
 *
 * @param latest Ids of the Provenance that is the last of its target; absent: all is.
 */
export async function* filterRows(
  chunks: Chunks,
  filter: ExportFilter,
  latest?: ReadonlySet<string>,
): AsyncGenerator<Uint8Array> {
  const perPatient = new Map<string, number>()
  for await (const line of lines(chunks)) {
    const resource = parseJson(line.toString('utf8')) ?? {}
    if (!passes(resource, filter)) continue
    if (latest !== undefined && resource['resourceType'] === 'Provenance' && !latest.has(stringOf(resource['id']))) continue
    if (filter.perPatient !== undefined) {
      const [owner] = patientsOf(resource)
      const nth = owner === undefined ? 0 : (perPatient.get(owner) ?? 0) + 1
      if (owner !== undefined) perPatient.set(owner, nth)
      if (nth > filter.perPatient) continue
    }
    const row = filter.elements === undefined ? line : Buffer.from(JSON.stringify(project(resource, filter.elements)))
    yield Buffer.concat([row, NEWLINE])
  }
}
