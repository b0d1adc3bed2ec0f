import { describe, expect, it } from 'vitest'
import { compileTypeFilters, typeFilterProblem } from '../../src/rows/type-filter.ts'

const concept = (code: string, system?: string) => ({ coding: [{ code, ...(system === undefined ? {} : { system }) }] })
const to = (reference: string) => ({ reference })

/**
 * For each type two resources, `a` and `b`, and for each search that US Core asks of a server those of them that R4 says it finds.
 *
 * @see https://hl7.org/fhir/us/core/STU7/CapabilityStatement-us-core-server.html
 */
const CASES: Readonly<
  Record<string, { readonly a: object; readonly b: object; readonly finds: Readonly<Record<string, string>> }>
> = {
  AllergyIntolerance: {
    a: { patient: to('Patient/1'), clinicalStatus: concept('active') },
    b: { patient: to('Patient/2'), clinicalStatus: concept('resolved') },
    finds: {
      'patient=1': 'a',
      'patient=Patient/2': 'b',
      'patient=1,2': 'ab',
      'patient=1&clinical-status=active': 'a',
      'patient=1&clinical-status=resolved': '',
    },
  },
  CarePlan: {
    a: { subject: to('Patient/1'), status: 'active', category: [concept('assess-plan')], period: { start: '2024-01-01' } },
    b: {
      subject: to('Patient/1'),
      status: 'completed',
      category: [concept('other')],
      period: { start: '2022-01-01', end: '2022-12-31' },
    },
    finds: {
      'patient=1&category=assess-plan': 'a',
      'patient=1&category=assess-plan&status=active': 'a',
      'patient=1&category=assess-plan,other&date=ge2023': 'a',
      'date=le2023': 'b',
      'status=active,completed': 'ab',
    },
  },
  CareTeam: {
    a: { subject: to('Patient/1'), status: 'active', participant: [{ role: [concept('17561000')] }] },
    b: { subject: to('Patient/1'), status: 'inactive', participant: [{ role: [concept('1')] }, { role: [concept('2')] }] },
    finds: { 'patient=1&status=active': 'a', 'role=2': 'b', 'patient=1&role=17561000': 'a' },
  },
  Condition: {
    a: {
      subject: to('Patient/1'),
      category: [concept('problem-list-item')],
      code: concept('38341003', 'http://snomed.info/sct'),
      clinicalStatus: concept('active'),
      encounter: to('Encounter/9'),
      onsetDateTime: '2020-05',
      recordedDate: '2020-06-01',
      meta: { lastUpdated: '2024-01-01T00:00:00Z' },
      extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/condition-assertedDate', valueDateTime: '2020-05-20' }],
    },
    b: {
      subject: to('Patient/1'),
      category: [concept('encounter-diagnosis')],
      code: concept('38341003', 'urn:local'),
      clinicalStatus: concept('resolved'),
      onsetPeriod: { start: '2018', end: '2019' },
      abatementDateTime: '2019-12-31',
      meta: { lastUpdated: '2025-01-01T00:00:00Z' },
      extension: [{ url: 'urn:else', valueDateTime: '2030-01-01' }],
    },
    finds: {
      'patient=1': 'ab',
      'patient=1&category=problem-list-item': 'a',
      'code=http://snomed.info/sct|38341003': 'a',
      'code=38341003': 'ab',
      'patient=1&clinical-status=active': 'a',
      'patient=1&category=encounter-diagnosis&clinical-status=resolved': 'b',
      'encounter=Encounter/9': 'a',
      'encounter:missing=true': 'b',
      'onset-date=ge2020': 'a',
      'onset-date=lt2020': 'b',
      'abatement-date=2019': 'b',
      'recorded-date=2020-06-01': 'a',
      'asserted-date=gt2020-05-01': 'a',
      '_lastUpdated=ge2024-06-01': 'b',
    },
  },
  Coverage: { a: { beneficiary: to('Patient/1') }, b: { beneficiary: to('Patient/2') }, finds: { 'patient=Patient/1': 'a' } },
  Device: {
    a: { patient: to('Patient/1'), type: concept('468063009'), status: 'active' },
    b: { patient: to('Patient/1'), type: concept('1'), status: 'inactive' },
    finds: { 'patient=1&type=468063009': 'a', 'patient=1&status=inactive': 'b' },
  },
  DiagnosticReport: {
    a: {
      subject: to('Patient/1'),
      category: [concept('LAB')],
      code: concept('24323-8'),
      status: 'final',
      effectiveDateTime: '2024-03-03T10:00:00Z',
    },
    b: {
      subject: to('Patient/1'),
      category: [concept('RAD')],
      code: concept('1'),
      status: 'preliminary',
      effectivePeriod: { start: '2023-01-01', end: '2023-01-02' },
    },
    finds: {
      'patient=1&category=LAB': 'a',
      'patient=1&code=24323-8': 'a',
      'patient=1&category=LAB,RAD&date=ge2024': 'a',
      'date=2023': 'b',
      'patient=1&status=final': 'a',
    },
  },
  DocumentReference: {
    a: {
      id: 'a',
      subject: to('Patient/1'),
      category: [concept('clinical-note')],
      type: concept('34133-9'),
      status: 'current',
      date: '2024-01-01T00:00:00Z',
      context: { period: { start: '2023-12-01', end: '2023-12-02' } },
    },
    b: {
      id: 'b',
      subject: to('Patient/1'),
      category: [concept('other')],
      type: concept('2'),
      status: 'superseded',
      date: '2022-01-01T00:00:00Z',
    },
    finds: {
      '_id=a': 'a',
      'patient=1&category=clinical-note&date=ge2023': 'a',
      'patient=1&type=34133-9&period=2023-12': 'a',
      'patient=1&status=superseded': 'b',
    },
  },
  Encounter: {
    a: {
      id: 'a',
      subject: to('Patient/1'),
      class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
      type: [concept('185349003')],
      status: 'finished',
      period: { start: '2024-01-01T09:00:00Z', end: '2024-01-01T10:00:00Z' },
      identifier: [{ system: 'urn:visit', value: '7' }],
      location: [{ location: to('Location/3') }],
    },
    b: {
      id: 'b',
      subject: to('Patient/1'),
      class: { code: 'IMP' },
      type: [concept('1')],
      status: 'in-progress',
      period: { start: '2024-02-01' },
      hospitalization: { dischargeDisposition: concept('home') },
    },
    finds: {
      'patient=1&class=AMB': 'a',
      'class=http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB': 'a',
      'patient=1&date=ge2024-02': 'b',
      'patient=1&date=2024-01-01': 'a',
      'patient=1&type=185349003': 'a',
      'patient=1&status=in-progress': 'b',
      'identifier=urn:visit|7': 'a',
      'patient=1&location=3': 'a',
      'patient=1&discharge-disposition=home': 'b',
      '_id=b': 'b',
    },
  },
  Goal: {
    a: {
      subject: to('Patient/1'),
      lifecycleStatus: 'active',
      description: concept('281004'),
      target: [{ dueDate: '2025-01-31' }],
    },
    b: {
      subject: to('Patient/1'),
      lifecycleStatus: 'proposed',
      description: { text: 'walk' },
      target: [{ dueDuration: { value: 3 } }],
    },
    finds: {
      'patient=1&lifecycle-status=active': 'a',
      'patient=1&target-date=2025-01': 'a',
      'patient=1&description=281004': 'a',
      'description:text=walk': 'b',
    },
  },
  Immunization: {
    a: { patient: to('Patient/1'), status: 'completed', occurrenceDateTime: '2024-10-01' },
    b: { patient: to('Patient/1'), status: 'not-done', occurrenceString: '2024' },
    finds: { 'patient=1&date=2024': 'a', 'patient=1&status=not-done': 'b' },
  },
  Location: {
    a: { name: 'Main Clinic', address: { line: ['9 Elm St'], city: 'Boston', state: 'MA', postalCode: '02101' } },
    b: { name: 'Annex', alias: ['Main Annex'], address: { city: 'Salem', state: 'OR', postalCode: '97301' } },
    finds: {
      'name=main': 'ab',
      'name=annex': 'b',
      'address=9 elm': 'a',
      'address=or': 'b',
      'address-city=bos': 'a',
      'address-state=OR': 'b',
      'address-postalcode=02101': 'a',
    },
  },
  MedicationDispense: {
    a: { subject: to('Patient/1'), status: 'completed', type: concept('FF') },
    b: { subject: to('Patient/2'), status: 'stopped', type: concept('RF') },
    finds: { 'patient=1&status=completed': 'a', 'patient=1,2&status=completed,stopped&type=RF': 'b' },
  },
  MedicationRequest: {
    a: { subject: to('Patient/1'), intent: 'order', status: 'active', encounter: to('Encounter/1'), authoredOn: '2024-01-01' },
    b: { subject: to('Patient/1'), intent: 'plan', status: 'stopped', encounter: to('Encounter/2'), authoredOn: '2023-01-01' },
    finds: {
      'patient=1&intent=order': 'a',
      'patient=1&intent=order,plan&status=stopped': 'b',
      'patient=1&intent=order&encounter=Encounter/1': 'a',
      'patient=1&intent=order,plan&authoredon=lt2024': 'b',
    },
  },
  Observation: {
    a: {
      subject: to('Patient/1'),
      category: [concept('laboratory')],
      code: concept('2339-0', 'http://loinc.org'),
      status: 'final',
      effectiveDateTime: '2024-01-01T10:00:00-05:00',
      meta: { lastUpdated: '2024-01-02T00:00:00Z' },
    },
    b: {
      subject: to('Patient/1'),
      category: [concept('vital-signs'), concept('survey')],
      code: concept('8480-6', 'http://loinc.org'),
      status: 'amended',
      effectiveInstant: '2024-01-02T00:00:00.000Z',
      meta: { lastUpdated: '2023-01-02T00:00:00Z' },
    },
    finds: {
      'patient=1&category=laboratory': 'a',
      'patient=1&category=survey': 'b',
      'patient=1&code=http://loinc.org|2339-0,http://loinc.org|8480-6': 'ab',
      'patient=1&category=laboratory,survey&date=ge2024-01-02': 'b',
      'patient=1&category=laboratory&status=final': 'a',
      '_lastUpdated=ge2024': 'a',
    },
  },
  Organization: {
    a: { name: 'General Hospital', address: [{ city: 'Boston' }] },
    b: { name: 'Clinic', address: [{ city: 'Salem' }] },
    finds: { 'name=general': 'a', 'address=salem': 'b' },
  },
  Patient: {
    a: {
      id: 'a',
      name: [{ family: 'Shaw', given: ['Amy', 'V.'] }],
      birthDate: '1987-02-20',
      gender: 'female',
      identifier: [{ system: 'urn:mrn', value: '1' }],
      deceasedDateTime: '2020-01-02',
    },
    b: {
      id: 'b',
      name: [{ family: 'Shawn', given: ['Bo'] }],
      birthDate: '1987-02',
      gender: 'male',
      identifier: [{ system: 'urn:mrn', value: '2' }],
      deceasedBoolean: false,
    },
    finds: {
      '_id=a': 'a',
      'birthdate=1987-02-20&family=shaw': 'a',
      'birthdate=1987': 'ab',
      'birthdate=1987-02-20&name=shaw': 'a',
      'death-date=ge2020': 'a',
      'family=shaw&gender=male': 'b',
      'gender=female&name=amy': 'a',
      'given=b': 'b',
      'identifier=urn:mrn|2': 'b',
      'name=shaw': 'ab',
    },
  },
  Practitioner: {
    a: {
      id: 'a',
      name: [{ family: 'Bone', given: ['Ronald'] }],
      identifier: [{ system: 'http://hl7.org/fhir/sid/us-npi', value: '9' }],
    },
    b: { id: 'b', name: [{ text: 'Leonard Bone' }] },
    finds: { '_id=b': 'b', 'name=leonard': 'b', 'name=bone': 'a', 'identifier=http://hl7.org/fhir/sid/us-npi|9': 'a' },
  },
  PractitionerRole: {
    a: { practitioner: to('Practitioner/1'), specialty: [concept('208D00000X')] },
    b: { practitioner: to('Practitioner/2'), specialty: [concept('1')] },
    finds: { 'practitioner=1': 'a', 'specialty=208D00000X': 'a', 'practitioner=Practitioner/2': 'b' },
  },
  Procedure: {
    a: {
      subject: to('Patient/1'),
      status: 'completed',
      code: concept('35637008'),
      performedPeriod: { start: '2024-01-01T09:00:00Z', end: '2024-01-01T10:00:00Z' },
    },
    b: { subject: to('Patient/1'), status: 'not-done', code: concept('2'), performedDateTime: '2023' },
    finds: {
      'patient=1&date=2024-01-01': 'a',
      'patient=1&date=lt2024': 'b',
      'patient=1&code=35637008&date=ge2024': 'a',
      'patient=1&status=not-done': 'b',
    },
  },
  Provenance: {
    a: { target: [to('Condition/1'), to('Patient/1')] },
    b: { target: [to('Condition/1')] },
    finds: { 'patient=1': 'a', 'target=Condition/1': 'ab' },
  },
  QuestionnaireResponse: {
    a: {
      id: 'a',
      subject: to('Patient/1'),
      questionnaire: 'http://x.example/phq',
      status: 'completed',
      authored: '2024-01-01',
      meta: { tag: [{ code: 'sdoh' }] },
    },
    b: {
      id: 'b',
      subject: to('Patient/1'),
      questionnaire: 'http://x.example/prapare',
      status: 'in-progress',
      authored: '2023-01-01',
    },
    finds: {
      '_id=a': 'a',
      'patient=1&status=completed': 'a',
      'patient=1&authored=ge2024': 'a',
      'patient=1&questionnaire=http://x.example/prapare': 'b',
      'patient=1&_tag=sdoh': 'a',
    },
  },
  RelatedPerson: {
    a: { id: 'a', patient: to('Patient/1'), name: [{ family: 'Doe' }] },
    b: { id: 'b', patient: to('Patient/2'), name: [{ given: ['Dora'] }] },
    finds: { '_id=a': 'a', 'patient=2': 'b', 'name=do': 'ab' },
  },
  ServiceRequest: {
    a: {
      id: 'a',
      subject: to('Patient/1'),
      status: 'active',
      category: [concept('sdoh')],
      code: concept('467771000124109'),
      authoredOn: '2024-01-01',
    },
    b: {
      id: 'b',
      subject: to('Patient/1'),
      status: 'completed',
      category: [concept('functional-status')],
      code: concept('1'),
      authoredOn: '2020-01-01',
    },
    finds: {
      '_id=b': 'b',
      'patient=1&category=sdoh': 'a',
      'patient=1&category=sdoh&authored=ge2024': 'a',
      'patient=1&code=467771000124109': 'a',
      'patient=1&status=completed': 'b',
    },
  },
  Specimen: {
    a: { id: 'a', subject: to('Patient/1') },
    b: { id: 'b', subject: to('Device/1') },
    finds: { '_id=a': 'a', 'patient=1': 'a', 'patient=Patient/1': 'a' },
  },
}

const rows = Object.entries(CASES).flatMap(([type, { a, b, finds }]) =>
  Object.entries(finds).map(([query, expected]) => ({ filter: `${type}?${query}`, a, b, expected })),
)

describe('searches that US Core asks of a server', () => {
  it.each(rows)('$filter finds "$expected" of a and b [PA-13]', ({ filter, a, b, expected }) => {
    expect(typeFilterProblem(filter)).toBeUndefined()
    const [test] = compileTypeFilters([filter]).values()
    expect(
      Object.entries({ a, b })
        .flatMap(([name, resource]) => (test?.(resource as Record<string, unknown>) ? name : []))
        .join(''),
    ).toBe(expected)
  })

  it.each(rows)('$filter is the same when its names and values are percent-encoded once more', ({ filter, a, b }) => {
    const [type = '', query = ''] = filter.split(/\?(.*)/s)
    const encoded = query.split('&').map((each) => each.split(/=(.*)/s).slice(0, 2).map(encodeURIComponent).join('='))
    const [plain] = compileTypeFilters([filter]).values()
    const [again] = compileTypeFilters([`${type}?${encoded.join('&')}`]).values()
    for (const each of [a, b] as Record<string, unknown>[]) expect(again?.(each)).toBe(plain?.(each))
  })
})
