import { valuesAt } from '../../rows/compartment.ts'
import { PATIENT_COMPARTMENT } from '../../rows/patient-compartment.ts'
import { isObject } from '../../rows/row.ts'

/** With any id that a vendor may have, since one that is not FHIR's still says whose the resource is. */
const REFERENCE = /^Patient\/([^/\s]+)(?:\/_history\/.*)?$/

/**
 * The patients in whose compartment a resource is, by the references of its own that count for that; a patient itself is not asked for.
 * One who is referred to absolutely is on another server: references to this one have become relative on their way here [KO-17].
 *
 * @see https://hl7.org/fhir/R4/compartmentdefinition-patient.html
 */
export const compartmentPatientsOf = (type: string, resource: Readonly<Record<string, unknown>>): readonly string[] =>
  (PATIENT_COMPARTMENT.get(type) ?? []).flatMap((path) =>
    valuesAt(resource, path).flatMap((value) => {
      const reference = isObject(value) ? value['reference'] : undefined
      const patient = typeof reference === 'string' ? REFERENCE.exec(reference)?.[1] : undefined
      return patient ?? []
    }),
  )
