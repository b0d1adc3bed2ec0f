import * as fc from 'fast-check'
import type { Dataset, DatasetFile } from '../../../sandbox/dataset.ts'

/** Always there, so that they can be asked for. */
export const PATIENTS = ['p1', 'p2', 'p3', 'p4'] as const
export const TYPES = [
  'Patient',
  'Encounter',
  'Condition',
  'Observation',
  'MedicationRequest',
  'DocumentReference',
  'Provenance',
  'Practitioner',
  'Device',
  'Task',
] as const

/** Few, so that a row's time is often the very one that is asked for. */
export const INSTANTS = [
  '2024-01-01T00:00:00Z',
  '2024-01-01T00:00:00.001Z',
  '2024-02-29T23:59:59.999Z',
  '2024-06-01T12:00:00+02:00',
  '2025-01-01T00:00:00Z',
] as const

type Row = Record<string, unknown>

const instant = fc.constantFrom(...INSTANTS)
/** What nobody can ask for, or what tells no time. */
const oddInstant = fc.constantFrom('2024-01-01T00:00:00.0005Z', '2024-02-29T23:59:59.9999Z', '2024-06-01', 'yesterday', '')
const anyText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.constantFrom(
    '"},{"',
    '\\',
    '\\"',
    '{"resourceType":"Patient","id":"p1"}',
    'Patient/p1',
    '\u2028',
    '😀',
    '"reference":"Patient/p2"',
  ),
)
const coded = (system: string, ...codes: readonly string[]) =>
  fc.constantFrom(...codes).map((code) => ({ coding: [{ system, code }], text: code }))
const patientReference = fc.constantFrom('p1', 'p2', 'p3', 'p4', 'p5', 'p12').map((id) => ({ reference: `Patient/${id}` }))
const practitionerReference = fc
  .constantFrom('d1', 'd2')
  .map((id) => ({ reference: `Practitioner/${id}`, display: 'Patient/p1' }))
const subject = fc.option(patientReference, { nil: undefined, freq: 8 })
const date = fc.constantFrom('2021', '2021-03', '2021-03-05', '2021-03-05T10:00:00Z', '2021-03-05T23:30:00-05:00', '2022-01-01')

const meta = fc.option(
  fc.record(
    {
      lastUpdated: fc.option(fc.oneof({ weight: 5, arbitrary: instant }, oddInstant), { nil: undefined, freq: 6 }),
      tag: fc.constantFrom([{ system: 'urn:example:tag', code: 'x' }]),
      profile: fc.constant(['http://example.org/profile']),
    },
    { requiredKeys: [] },
  ),
  { nil: undefined, freq: 8 },
)

/** What stands in every type and means nothing here. */
const noise = {
  language: fc.constantFrom('en', 'de'),
  text: anyText.map((text) => ({ status: 'generated', div: text })),
  extension: fc.constant([{ url: 'urn:example:e', valueReference: { reference: 'Patient/p3' } }]),
  contained: anyText.map((display) => [
    { resourceType: 'Patient', id: 'p2', meta: { lastUpdated: INSTANTS[0] }, name: [{ text: display }] },
  ]),
}

const clinical = coded('urn:example:codes', 'a', 'b', 'c')

const ELEMENTS: Readonly<Record<(typeof TYPES)[number], Readonly<Record<string, fc.Arbitrary<unknown>>>>> = {
  Patient: {
    active: fc.boolean(),
    gender: fc.constantFrom('female', 'male'),
    birthDate: fc.constantFrom('1970-01-01', '1999', '2001-05-05'),
    _birthDate: fc.constant({ extension: [{ url: 'urn:example:time', valueDateTime: '1970-01-01T01:00:00Z' }] }),
    name: anyText.map((family) => [{ family: family || 'x', given: ['Ünal', 'Mary-Ann'] }]),
    generalPractitioner: practitionerReference.map((reference) => [reference]),
    link: fc.option(
      patientReference.map((other) => [{ other, type: 'seealso' }]),
      { nil: undefined, freq: 1 },
    ),
  },
  Encounter: {
    status: fc.constantFrom('finished', 'planned'),
    class: fc.constantFrom('AMB', 'EMER').map((code) => ({ system: 'urn:example:class', code })),
    subject,
    period: fc.record({ start: date, end: fc.constant('2022-02-02') }, { requiredKeys: ['end'] }),
  },
  Condition: {
    subject,
    asserter: fc.oneof(patientReference, practitionerReference),
    clinicalStatus: coded('urn:example:clinical', 'active', 'resolved'),
    code: clinical,
    recordedDate: date,
  },
  Observation: {
    status: fc.constantFrom('final', 'amended'),
    code: clinical,
    subject,
    performer: fc.array(fc.oneof(patientReference, practitionerReference), { minLength: 1, maxLength: 3 }),
    effectiveDateTime: date,
  },
  MedicationRequest: {
    status: fc.constantFrom('active', 'stopped'),
    intent: fc.constant('order'),
    medicationCodeableConcept: clinical,
    subject,
    authoredOn: date,
  },
  DocumentReference: {
    status: fc.constant('current'),
    subject,
    author: fc.array(fc.oneof(patientReference, practitionerReference), { minLength: 1, maxLength: 2 }),
    content: anyText.map((title) => [{ attachment: { contentType: 'text/plain', data: 'eA==', title: title || 'x' } }]),
  },
  Provenance: {
    target: fc.array(fc.oneof(patientReference, practitionerReference, fc.constant({ reference: 'Condition/condition-1' })), {
      minLength: 1,
      maxLength: 3,
    }),
    recorded: instant,
    agent: practitionerReference.map((who) => [{ who }]),
  },
  Practitioner: { active: fc.boolean(), name: anyText.map((family) => [{ family: family || 'x' }]) },
  Device: { status: fc.constantFrom('active', 'inactive'), patient: patientReference, type: clinical },
  Task: {
    status: fc.constantFrom('requested', 'completed'),
    intent: fc.constant('order'),
    for: patientReference,
    focus: fc.oneof(patientReference, practitionerReference),
    owner: patientReference,
  },
}

const REQUIRED: Readonly<Partial<Record<string, readonly string[]>>> = {
  Encounter: ['status', 'class'],
  Observation: ['status', 'code'],
  MedicationRequest: ['status', 'intent'],
  DocumentReference: ['status', 'content'],
  Provenance: ['target', 'recorded', 'agent'],
  Task: ['status', 'intent'],
}

/** Members in any order, `resourceType` not always the first. */
const shuffled = (row: Row, order: readonly number[]): Row =>
  Object.fromEntries(
    Object.entries(row)
      .filter(([, member]) => member !== undefined)
      .map((entry, index): [number, [string, unknown]] => [order[index % order.length] ?? 0, entry])
      .toSorted(([one], [other]) => one - other)
      .map(([, entry]) => entry),
  )

const rowOf = (type: (typeof TYPES)[number], id: string): fc.Arbitrary<string> =>
  fc
    .record({
      own: fc.record<Row>({ meta, ...ELEMENTS[type], ...noise }, { requiredKeys: ['meta', ...(REQUIRED[type] ?? [])] }),
      order: fc.oneof(fc.constant([0]), fc.array(fc.nat(9), { minLength: 3, maxLength: 9 })),
    })
    .map(({ own, order }) => JSON.stringify(shuffled({ resourceType: type, id, ...own }, order)))

/** Rows by type. */
export type Rows = Readonly<Record<string, readonly string[]>>

const rowsOf = (type: (typeof TYPES)[number]): fc.Arbitrary<readonly string[]> => {
  if (type === 'Patient') return fc.tuple(...PATIENTS.map((id) => rowOf(type, id)))
  if (type === 'Practitioner') return fc.tuple(rowOf(type, 'd1'), rowOf(type, 'd2'))
  return fc
    .nat(8)
    .chain((count) => fc.tuple(...Array.from({ length: count }, (_, nth) => rowOf(type, `${type.toLowerCase()}-${nth}`))))
}

export const anyRows: fc.Arbitrary<Rows> = fc.record(Object.fromEntries(TYPES.map((type) => [type, rowsOf(type)])))

/** A dataset whose content can be changed while it is served. */
export const changeableDataset = (): { readonly dataset: Dataset; set(rows: Rows): void } => {
  let rows: Rows = {}
  let version = 0
  const fileOf = (type: string): readonly DatasetFile[] => {
    const held = rows[type] ?? []
    if (held.length === 0) return []
    const bytes = Buffer.from(held.map((row) => `${row}\n`).join(''))
    const open = async function* () {
      yield bytes
    }
    return [{ type, index: 0, resources: held.length, version: `${type}-${version}`, open }]
  }
  return {
    dataset: {
      types: TYPES,
      patients: PATIENTS.length,
      files: async (type) => fileOf(type),
      patientIds: async function* () {
        yield* PATIENTS
      },
    },
    set: (next) => {
      rows = next
      version += 1
    },
  }
}
