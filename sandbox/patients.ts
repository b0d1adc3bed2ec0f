import {
  conditionResource,
  documentReferenceResource,
  encounterResource,
  medicationRequestResource,
  observationResource,
  provenanceResource,
} from './clinical-resources.ts'
import {
  deviceResource,
  locationResource,
  organizationResource,
  patientResource,
  PATIENTS_PER,
  practitionerResource,
  type Resource,
} from './resources.ts'

/**
 * One type of the generated data. Its *units* are what slices are cut from: patients for what belongs to a patient,
 * the resources themselves for what patients share.
 */
interface Kind {
  readonly units: (patients: number) => number
  readonly perUnit: (unit: number) => number
  readonly resource: (unit: number, nth: number) => Resource
}

const CHUNK_CHARS = 64 * 1024

const ofPatient = (perUnit: (patient: number) => number, resource: Kind['resource']): Kind => ({
  units: (patients) => patients,
  perUnit,
  resource,
})

const shared = (patientsPer: number, resource: Kind['resource']): Kind => ({
  units: (patients) => Math.ceil(patients / patientsPer),
  perUnit: () => 1,
  resource,
})

const KINDS: ReadonlyMap<string, Kind> = new Map([
  ['Patient', ofPatient(() => 1, patientResource)],
  ['Encounter', ofPatient((patient) => 1 + (patient % 3), encounterResource)],
  ['Condition', ofPatient((patient) => 1 + (patient % 3), conditionResource)],
  ['Observation', ofPatient((patient) => 4 + (patient % 5), observationResource)],
  ['MedicationRequest', ofPatient((patient) => 1 + (patient % 3), medicationRequestResource)],
  ['DocumentReference', ofPatient(() => 1, documentReferenceResource)],
  ['Provenance', ofPatient((patient) => 1 + (patient % 2), provenanceResource)],
  ['Practitioner', shared(PATIENTS_PER.Practitioner, practitionerResource)],
  ['Organization', shared(PATIENTS_PER.Organization, organizationResource)],
  ['Location', shared(PATIENTS_PER.Location, locationResource)],
  ['Device', shared(PATIENTS_PER.Device, deviceResource)],
])

const kindOf = (type: string): Kind => {
  const kind = KINDS.get(type)
  if (kind === undefined) throw new Error(`The generator makes no ${type}`)
  return kind
}

/** The types that the generator makes, in the order of an export. */
export const GENERATED_TYPES: readonly string[] = [...KINDS.keys()]

/** No patient has more resources of one type than this. */
export const MAX_PER_PATIENT = 8

/** How many units of `type` there are among that many patients; slices are cut from `0..units`. */
export const unitsOf = (type: string, patients: number): number => kindOf(type).units(patients)

/** How many resources the units `from..to` (not included) have, without making any. */
export const countResources = (type: string, from: number, to: number): number => {
  const { perUnit } = kindOf(type)
  let resources = 0
  for (let unit = from; unit < to; unit += 1) resources += perUnit(unit)
  return resources
}

/** The resources of the units `from..to` (not included), one after the other. */
export function* generateResources(type: string, from: number, to: number): Generator<Resource> {
  const { perUnit, resource } = kindOf(type)
  for (let unit = from; unit < to; unit += 1) {
    const resources = perUnit(unit)
    for (let nth = 0; nth < resources; nth += 1) yield resource(unit, nth)
  }
}

/** The same as NDJSON in chunks of about 64 KiB; only one chunk is held. */
export async function* generateNdjson(type: string, from: number, to: number): AsyncGenerator<Uint8Array> {
  let text = ''
  for (const resource of generateResources(type, from, to)) {
    text += `${JSON.stringify(resource)}\n`
    if (text.length < CHUNK_CHARS) continue
    yield Buffer.from(text)
    text = ''
  }
  if (text !== '') yield Buffer.from(text)
}
