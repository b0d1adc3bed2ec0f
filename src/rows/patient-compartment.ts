import { resourceTypeOf } from '../fhir/resource-types.ts'

type Paths = readonly (readonly string[])[]

/**
 * By type, the paths of the elements whose references say which patients a resource belongs to. A type that is missing belongs to no
 * patient, whatever it refers to [PA-09].
 *
 * @see https://hl7.org/fhir/R4/compartmentdefinition-patient.html
 */
export const PATIENT_COMPARTMENT: Pick<ReadonlyMap<string, Paths>, 'get'> = {
  get: (type) => {
    const paths = resourceTypeOf(type)?.compartment ?? []
    return paths.length > 0 ? paths : undefined
  },
}
