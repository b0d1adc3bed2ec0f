import type { Expectation, Expected } from './expectations.ts'

const UUID = '0d8a7f0c-5f36-4a43-9d0b-1e6c1d6f5a10'
const JOB = { kind: 'accepted', statusUrl: `https://medplum.example/fhir/R4/bulkdata/export/${UUID}` }

export const MEDPLUM: Omit<Expectation, 'others'> = {
  source: { fhirBase: 'https://medplum.example/fhir/R4' },
  values: {
    vendor: 'https://medplum.example',
    fhirBase: 'https://medplum.example/fhir/R4',
    uuid: UUID,
    signature: 'c2lnbmF0dXJl',
  },
  accepted: { statusUrl: JOB.statusUrl, trace: {} },
  running: { progress: {} },
  complete: { manifest: { transactionTimeMs: Date.UTC(2026, 10, 21, 4, 36, 55, 6), requiresAccessToken: false, rejected: 0 } },
  files: [2, 0, 0],
  finishTime: true,
}

/** What the recording holds beyond the contract; most of it shows what Medplum lets pass. */
export const MEDPLUM_OTHERS: Readonly<Record<string, Expected>> = {
  'status: never issued': { outcome: { kind: 'lost' } },
  'cancel: again': { outcome: true },
  'file: after DELETE': { outcome: { kind: 'open' } },
  'kickoff: patient level': { outcome: JOB },
  'status: patient level complete': { outcome: { kind: 'complete', manifest: { output: [{ type: 'Patient' }] } } },
  'kickoff: bad _type': { outcome: JOB },
  'status: bad _type exports nothing': { outcome: { kind: 'complete', manifest: { output: [] } } },
  'kickoff: bad _since': { outcome: JOB },
  'status: bad _since exports nothing': { outcome: { kind: 'complete', manifest: { output: [] } } },
  'kickoff: group without members': { outcome: JOB },
  'status: group without members never ends': { outcome: { kind: 'running', progress: {} } },
  'kickoff: unknown group': { outcome: { kind: 'rejected', status: 404 } },
  'kickoff: POST at the group level': {
    outcome: { kind: 'rejected', status: 404 },
    source: { supports: { levels: { group: 'POST' } } },
  },
  'kickoff: bad token': { outcome: { kind: 'unauthorized' } },
  'kickoff: read-only scopes': { outcome: { kind: 'rejected', status: 403 } },
  'file: in the cloud': { outcome: { kind: 'open' } },
  'file: ran out': { outcome: { kind: 'gone' } },
}
