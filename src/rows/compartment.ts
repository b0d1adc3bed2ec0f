import { PATIENT_COMPARTMENT } from './patient-compartment.ts'
import { relativeTo } from './references.ts'
import { isObject, membersOf, search, type Row } from './row.ts'

const ID_ALONE = new Set(['id'])
const TARGET_ALONE = new Set(['target'])
const REFERENCE = 'Patient/'
const ID = /[A-Za-z0-9\-.]{0,64}/y
const RELATIVE = /^Patient\/([A-Za-z0-9\-.]{1,64})(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/
const USUAL_PATIENT = /\{"resourceType":"Patient","id":"([A-Za-z0-9\-.]{1,64})"/y

/**
 * Lets out what belongs to one of the patients: they themselves, and resources that refer to one of them at a place that counts for the
 * Patient compartment. One of a type of the compartment that refers to none there belongs to nobody who was asked for.
 *
 * @returns `undefined` for a type outside of the compartment, of which everything passes.
 * @see Bulk Data Kick-off, `patient` [PA-09]; https://hl7.org/fhir/R4/compartmentdefinition-patient.html
 */
export const passesPatients = (
  type: string,
  patients: readonly string[],
  vendorBases: readonly string[],
): ((row: Row) => boolean) | undefined => {
  const paths = PATIENT_COMPARTMENT.get(type)
  if (!paths) return undefined
  const wanted = new Set(patients)
  if (type === 'Patient') {
    return (row) => {
      USUAL_PATIENT.lastIndex = row.start
      const usual = USUAL_PATIENT.exec(row.text)?.[1]
      if (usual !== undefined && !wanted.has(usual)) return false
      const { id } = membersOf(row, ID_ALONE)
      return typeof id === 'string' && wanted.has(id)
    }
  }
  const relative = relativeTo(vendorBases)
  const idOf = (reference: string): string | undefined => RELATIVE.exec(relative(reference))?.[1]
  const isWanted = (value: unknown): boolean => {
    const reference = isObject(value) ? value['reference'] : undefined
    const id = typeof reference === 'string' ? idOf(reference) : undefined
    return id !== undefined && wanted.has(id)
  }
  const mayName = naming(wanted)
  const names = new Set(paths.map(([name = '']) => name))
  return (row) => {
    // Of a row that is not all there, the rest may name one.
    if (row.isWhole && !mayName(row)) return false
    const members = membersOf(row, names)
    return paths.some((path) => valuesAt(members, path).some(isWanted))
  }
}

/** Tells whether one of them is named anywhere in a row, or could be: only then is it worth parsing. One search, however many they are. */
const naming = (wanted: ReadonlySet<string>): ((row: Row) => boolean) => {
  const nextReference = search(REFERENCE)
  const nextEscape = search('\\')
  return (row) => {
    for (let at = nextReference(row, row.start); at !== -1; at = nextReference(row, at + 1)) {
      ID.lastIndex = at + REFERENCE.length
      if (wanted.has(ID.exec(row.text)?.[0] ?? '')) return true
    }
    // An escaped slash, or a character written as its number, hides a reference from a search.
    for (let at = nextEscape(row, row.start); at !== -1; at = nextEscape(row, at + 2))
      if (row.text[at + 1] === '/' || row.text[at + 1] === 'u') return true
    return false
  }
}

/** Every value at a path of elements, lists taken apart. */
export const valuesAt = (resource: unknown, path: readonly string[]): readonly unknown[] =>
  path.reduce<readonly unknown[]>(
    (values, element) => values.flatMap((value) => (isObject(value) ? [value[element]].flat() : [])),
    [resource],
  )

/** The type that a reference names, relative or absolute, of a version or not. */
const REFERENCED_TYPE = /(?:^|\/)([A-Z][A-Za-z]*)\/[A-Za-z0-9\-.]{1,64}(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/

/**
 * Lets out provenance of resources of these types.
 *
 * @see Bulk Data Kick-off, `includeAssociatedData` [PA-11]
 */
export const passesProvenance = (types: readonly string[]): ((row: Row) => boolean) => {
  const wanted = new Set(types)
  return (row) =>
    valuesAt(membersOf(row, TARGET_ALONE), ['target']).some((target) => {
      if (!isObject(target)) return false
      const { reference, type } = target
      const named = typeof reference === 'string' ? REFERENCED_TYPE.exec(reference)?.[1] : undefined
      return wanted.has(named ?? (typeof type === 'string' ? type : ''))
    })
}
