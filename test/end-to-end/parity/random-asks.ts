import * as fc from 'fast-check'
import type { Ask, Given } from './ask.ts'
import { INSTANTS, PATIENTS, TYPES } from './random-rows.ts'

const given = (name: string, value: fc.Arbitrary<string>): fc.Arbitrary<readonly Given[]> =>
  fc.option(
    value.map((each): readonly Given[] => [[name, each]]),
    { nil: [], freq: 2 },
  )

const some = (values: readonly string[], maxLength: number): fc.Arbitrary<string> =>
  fc.subarray([...values], { minLength: 1, maxLength }).map((each) => each.join(','))

const FILTERS = [
  'Patient?gender=female',
  'Patient?birthdate=ge1999',
  'Patient?active=true',
  'Patient?_id=p1,p3',
  'Condition?clinical-status=active',
  'Condition?code=urn:example:codes|a,b',
  'Condition?subject=Patient/p2',
  'Condition?recorded-date=lt2021-03-05',
  'Observation?date=2021-03-05',
  'Observation?date=gt2021-03&status=final',
  'Observation?performer=Practitioner/d1',
  'Observation?code:not=a',
  'MedicationRequest?patient=p1',
  'MedicationRequest?status=stopped',
  'Encounter?class=AMB',
  'Encounter?date=le2021-12-31',
  'Provenance?target=Condition/condition-1',
  'DocumentReference?author=Practitioner/d2',
  'Device?status=active',
  'Task?_id=task-0,task-2',
] as const

const ELEMENTS = [
  'id',
  'subject',
  'status',
  'Patient.birthDate',
  'Patient.gender',
  'code',
  'Condition.asserter',
  'text',
  'meta',
] as const

const filters: fc.Arbitrary<readonly Given[]> = fc.option(
  fc.subarray([...FILTERS], { minLength: 1, maxLength: 3 }).map((each) => each.map((filter): Given => ['_typeFilter', filter])),
  { nil: [], freq: 2 },
)

/** Whether blocks are asked for. */
export type Organizes = 'never' | 'sometimes' | 'always'

const organizing = (organizes: Organizes): fc.Arbitrary<readonly Given[]> => {
  if (organizes === 'never') return fc.constant([])
  return organizes === 'always'
    ? fc.constant([['organizeOutputBy', 'Patient']])
    : given('organizeOutputBy', fc.constant('Patient'))
}

export const anyAsk = (organizes: Organizes): fc.Arbitrary<Ask> =>
  fc
    .record({
      level: fc.constantFrom('patient' as const, 'group' as const),
      isPost: fc.boolean(),
      patient: given(
        'patient',
        fc.constantFrom(...PATIENTS).map((id) => `Patient/${id}`),
      ),
      other: fc
        .tuple(
          given('_since', fc.constantFrom(...INSTANTS)),
          given('_until', fc.constantFrom(...INSTANTS)),
          given('_type', some(TYPES, 5)),
          given('_elements', some(ELEMENTS, 3)),
          given('includeAssociatedData', fc.constant('RelevantProvenanceResources')),
          given('allowPartialManifests', fc.constant('true')),
          organizing(organizes),
          filters,
        )
        .map((each) => each.flat()),
    })
    .map(({ level, isPost, patient, other }) => ({
      level,
      method: isPost || patient.length > 0 ? 'POST' : 'GET',
      given: [...patient, ...other],
    }))
