import { random } from './random.ts'
import { coded, dayOf, ids, meta, referenceTo, type Resource } from './resources.ts'

const SNOMED = 'http://snomed.info/sct'
const LOINC = 'http://loinc.org'
const UNITS = 'http://unitsofmeasure.org'
const TERMINOLOGY = 'http://terminology.hl7.org/CodeSystem/'

const CONDITIONS = [
  ['38341003', 'Hypertensive disorder'],
  ['44054006', 'Diabetes mellitus type 2'],
  ['195967001', 'Asthma'],
  ['73595000', 'Stress'],
  ['55822004', 'Hyperlipidemia'],
] as const
const MEDICATIONS = [
  ['314076', 'lisinopril 10 MG Oral Tablet'],
  ['860975', 'metformin hydrochloride 500 MG Oral Tablet'],
  ['745679', 'albuterol 0.09 MG/ACTUAT Metered Dose Inhaler'],
  ['259255', 'atorvastatin 40 MG Oral Tablet'],
] as const
const MEASURES = [
  ['8867-4', 'Heart rate', '/min', 55, 50],
  ['8310-5', 'Body temperature', 'Cel', 36, 3],
  ['29463-7', 'Body weight', 'kg', 50, 70],
  ['8302-2', 'Body height', 'cm', 145, 55],
  ['9279-1', 'Respiratory rate', '/min', 10, 12],
  ['2708-6', 'Oxygen saturation in Arterial blood', '%', 92, 8],
] as const

export const encounterResource = (patient: number, nth: number): Resource => {
  const any = random(10, patient, nth)
  const day = dayOf(patient, nth * 90)
  return {
    resourceType: 'Encounter',
    id: ids.of('enc', patient, nth),
    meta: meta('us-core-encounter', 10, patient, nth),
    identifier: [{ use: 'official', system: 'urn:example:sandbox:encounter', value: ids.of('enc', patient, nth) }],
    status: 'finished',
    class: { system: `${TERMINOLOGY}v3-ActCode`, code: any.pick(['AMB', 'EMER', 'VR']) },
    type: [coded(SNOMED, '185349003', 'Encounter for check up')],
    subject: referenceTo.patient(patient),
    participant: [
      {
        type: [coded(`${TERMINOLOGY}v3-ParticipationType`, 'PPRF', 'primary performer')],
        individual: referenceTo.practitioner(patient),
      },
    ],
    period: { start: `${day}T09:00:00Z`, end: `${day}T09:${String(10 + any.below(49)).padStart(2, '0')}:00Z` },
    location: [{ location: referenceTo.location(patient) }],
    serviceProvider: referenceTo.organization(patient),
  }
}

export const conditionResource = (patient: number, nth: number): Resource => {
  const any = random(11, patient, nth)
  const [code, display] = any.pick(CONDITIONS)
  return {
    resourceType: 'Condition',
    id: ids.of('cond', patient, nth),
    meta: meta('us-core-condition-encounter-diagnosis', 11, patient, nth),
    clinicalStatus: coded(`${TERMINOLOGY}condition-clinical`, any.pick(['active', 'resolved']), 'Clinical status'),
    verificationStatus: coded(`${TERMINOLOGY}condition-ver-status`, 'confirmed', 'Confirmed'),
    category: [coded(`${TERMINOLOGY}condition-category`, 'encounter-diagnosis', 'Encounter Diagnosis')],
    code: coded(SNOMED, code, display),
    subject: referenceTo.patient(patient),
    encounter: referenceTo.encounter(patient, 0),
    onsetDateTime: dayOf(patient, nth * 30),
    recordedDate: dayOf(patient, nth * 30 + 1),
  }
}

export const observationResource = (patient: number, nth: number): Resource => {
  const any = random(12, patient, nth)
  const [code, display, unit, low, spread] = any.pick(MEASURES)
  const instant = `${dayOf(patient, nth * 20)}T09:05:00Z`
  return {
    resourceType: 'Observation',
    id: ids.of('obs', patient, nth),
    meta: meta('us-core-vital-signs', 12, patient, nth),
    status: 'final',
    category: [coded(`${TERMINOLOGY}observation-category`, 'vital-signs', 'Vital Signs')],
    code: coded(LOINC, code, display),
    subject: referenceTo.patient(patient),
    encounter: referenceTo.encounter(patient, 0),
    effectiveDateTime: instant,
    issued: instant.replace('Z', '.000Z'),
    performer: [referenceTo.practitioner(patient)],
    valueQuantity: { value: low + any.below(spread * 10) / 10, unit, system: UNITS, code: unit },
  }
}

export const medicationRequestResource = (patient: number, nth: number): Resource => {
  const any = random(13, patient, nth)
  const [code, display] = any.pick(MEDICATIONS)
  return {
    resourceType: 'MedicationRequest',
    id: ids.of('med', patient, nth),
    meta: meta('us-core-medicationrequest', 13, patient, nth),
    status: any.pick(['active', 'completed', 'stopped']),
    intent: 'order',
    category: [coded(`${TERMINOLOGY}medicationrequest-category`, 'outpatient', 'Outpatient')],
    medicationCodeableConcept: coded('http://www.nlm.nih.gov/research/umls/rxnorm', code, display),
    subject: referenceTo.patient(patient),
    encounter: referenceTo.encounter(patient, 0),
    authoredOn: dayOf(patient, nth * 45),
    requester: referenceTo.practitioner(patient),
    dosageInstruction: [
      {
        sequence: 1,
        text: 'Take one as directed. Synthetic data, never for care.',
        timing: { repeat: { frequency: 1 + any.below(3), period: 1, periodUnit: 'd' } },
      },
    ],
  }
}

const NOTE_LINES = [
  'The patient, who does not exist, reports feeling as well as invented people do.',
  'No abnormality was found, because none was generated.',
  'Vital signs are recorded beside this note and agree with nothing in particular.',
  'Plan: repeat the same seed and expect the same bytes. Übergabe: keine Änderung.',
] as const

const noteText = (patient: number, nth: number): string => {
  const any = random(15, patient, nth)
  const lines = Array.from({ length: 5 + any.below(9) }, (_, line) => `${line + 1}. ${any.pick(NOTE_LINES)}`)
  return [`Progress note ${nth + 1} of ${ids.patient(patient)} (synthetic)`, ...lines, ''].join('\n')
}

export const documentReferenceResource = (patient: number, nth: number): Resource => {
  const text = Buffer.from(noteText(patient, nth))
  const day = dayOf(patient, nth * 90)
  return {
    resourceType: 'DocumentReference',
    id: ids.of('doc', patient, nth),
    meta: meta('us-core-documentreference', 14, patient, nth),
    identifier: [{ system: 'urn:example:sandbox:document', value: ids.of('doc', patient, nth) }],
    status: 'current',
    type: coded(LOINC, '11506-3', 'Progress note'),
    category: [
      coded('http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category', 'clinical-note', 'Clinical Note'),
    ],
    subject: referenceTo.patient(patient),
    date: `${day}T10:00:00Z`,
    author: [referenceTo.practitioner(patient)],
    custodian: referenceTo.organization(patient),
    // IG export, Attachments [FI-14]: data stands in the line, so that nothing else has to be fetched.
    content: [
      {
        attachment: {
          contentType: 'text/plain; charset=utf-8',
          data: text.toString('base64'),
          size: text.length,
          title: 'Progress note',
        },
      },
    ],
    context: { encounter: [referenceTo.encounter(patient, 0)], period: { start: `${day}T09:00:00Z`, end: `${day}T09:30:00Z` } },
  }
}

/** Some Provenance is of what no patient owns. */
const targetsOf = (patient: number, nth: number): readonly { readonly reference: string }[] => {
  if (nth > 0 && patient % 4 === 3) return [referenceTo.practitioner(patient)]
  const first = nth === 0 ? referenceTo.encounter(patient, 0) : { reference: `Condition/${ids.of('cond', patient, 0)}` }
  return [first, referenceTo.patient(patient)]
}

export const provenanceResource = (patient: number, nth: number): Resource => ({
  resourceType: 'Provenance',
  id: ids.of('prov', patient, nth),
  meta: meta('us-core-provenance', 16, patient, nth),
  target: targetsOf(patient, nth),
  recorded: `${dayOf(patient, nth * 90)}T11:00:00.000Z`,
  activity: coded(`${TERMINOLOGY}v3-DataOperation`, 'CREATE', 'create'),
  agent: [
    {
      type: coded(`${TERMINOLOGY}provenance-participant-type`, 'author', 'Author'),
      who: referenceTo.practitioner(patient),
      onBehalfOf: referenceTo.organization(patient),
    },
  ],
})
