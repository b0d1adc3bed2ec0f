import { isObject, typeOf } from '../../rows/row.ts'
import { compartmentPatientsOf } from './compartment-patients.ts'

/*
 * A record of a run is `patient TAB rank TAB row LF`, and records are in the order of `patient TAB rank`: by patient, in each block the
 * patient itself, then the rest by type. A tab comes before whatever an id may hold, so that the order is that of the ids.
 */

export const TAB = 9
const PATIENT_RANK = '0'
const OTHERS_RANK = '1'
/** Nothing that would cut a record; anything else that a vendor calls an id will do. */
const ID = /^[\x21-\x7e]{1,128}$/

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/**
 * The keys under which a row is sorted, one for each patient in whose compartment it is.
 *
 * @returns `undefined` for what is no resource.
 * @see Bulk Data Organized Output [FI-13]
 */
export const keysOf = (row: Uint8Array): string[] | undefined => {
  const resource = parsed(row)
  const type = resource && typeOf(resource)
  if (!resource || type === undefined) return undefined
  const id = resource['id']
  const self = type === 'Patient' && typeof id === 'string' ? id : undefined
  const patients = new Set(compartmentPatientsOf(type, resource))
  if (self !== undefined) patients.add(self)
  return [...patients]
    .filter((patient) => ID.test(patient))
    .map((patient) => `${patient}\t${patient === self ? PATIENT_RANK : OTHERS_RANK + type}`)
}

/** The patient of a key. */
export const patientOf = (key: string): string => key.slice(0, key.indexOf('\t'))

/** What comes before the row in a record. */
export const recordHead = (key: string): Uint8Array => encoder.encode(`${key}\t`)

/** The line with which a block begins. @see Bulk Data Organized Output [FI-12] */
export const blockHeader = (patient: string): Uint8Array =>
  encoder.encode(
    `${JSON.stringify({
      resourceType: 'Parameters',
      parameter: [{ name: 'header', valueReference: { reference: `Patient/${patient}` } }],
    })}\n`,
  )

const parsed = (row: Uint8Array): Readonly<Record<string, unknown>> | undefined => {
  try {
    const value: unknown = JSON.parse(decoder.decode(row))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
