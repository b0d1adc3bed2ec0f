import type { Json } from './fhir.ts'

const resource = (type: string, id: string, minute: number, members: Json): Json => ({
  resourceType: type,
  id,
  meta: { lastUpdated: `2026-01-01T00:${String(minute).padStart(2, '0')}:00.000Z` },
  ...members,
})

const PATIENT_IDS = ['p1', 'p2', 'p3', 'p4']

/** Four patients with a condition and a document each, and one Provenance. */
export const resourcesAt = (base: string): readonly Json[] => [
  ...PATIENT_IDS.map((id, index) =>
    resource('Patient', id, index * 5, {
      gender: index % 2 === 0 ? 'female' : 'male',
      birthDate: `19${60 + index}-05-05`,
      name: [{ family: 'Synthetic' }],
    }),
  ),
  ...PATIENT_IDS.map((id, index) =>
    resource('Condition', `c-${id}`, 30 + index, {
      subject: { reference: `Patient/${id}` },
      code: { text: 'a condition' },
    }),
  ),
  ...PATIENT_IDS.map((id, index) =>
    resource('DocumentReference', `d-${id}`, 40 + index, {
      status: 'current',
      subject: { reference: `Patient/${id}` },
      content: [{ attachment: { contentType: 'text/plain', url: `${base}/attachments/${id}` } }],
    }),
  ),
  resource('Provenance', 'v1', 50, {
    target: [{ reference: 'Condition/c-p1' }],
    recorded: '2026-01-01T00:00:00Z',
    agent: [{ who: { display: 'nobody' } }],
  }),
]

/** When everything that there is had been written. */
export const TRANSACTION_TIME = '2026-01-02T00:00:00.000Z'
