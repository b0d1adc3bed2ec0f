import { MEDPLUM, MEDPLUM_OTHERS } from './expectations-medplum.ts'
import { GENERIC_OTHERS } from './expectations-tolerated.ts'

/** 2026-11-21T10:10:00Z, when every replay happens. */
export const NOW_MS = Date.UTC(2026, 10, 21, 10, 10)

/** What an exchange must become. Of an object only the members named here count. */
export interface Expected {
  readonly outcome: Readonly<Record<string, unknown>> | boolean
  /** The request is refused before it is sent: the exchange is not played. */
  readonly unsent?: true
  /** Changes to the source. */
  readonly source?: Readonly<Record<string, unknown>>
}

/** What an adapter's vendor means by the bytes of its transcripts. */
export interface Expectation {
  /** The source as it stands in configuration, without `adapter`. */
  readonly source: Readonly<Record<string, unknown>>
  readonly values: Readonly<Record<string, string>>
  readonly accepted: Readonly<Record<string, unknown>>
  readonly running: Readonly<Record<string, unknown>>
  readonly complete: Readonly<Record<string, unknown>>
  /** How many files each list of the manifest holds: output, deleted, error. */
  readonly files: readonly [number, number, number]
  /** `transactionTime` was taken when the export ended, so it is not safe as the next `_since` [N-20]. */
  readonly finishTime: boolean
  /** Exchanges beyond the contract. */
  readonly others: Readonly<Record<string, Expected>>
}

const BEARER = { credential: { kind: 'bearer', secret: 'ACME_TOKEN' } }
const JWT = {
  credential: { kind: 'private-key-jwt', clientId: 'app', tokenUrl: 'https://auth.example/token', keySecret: 'ACME_KEY' },
}
const BUCKET = 'https://bucket.s3.us-east-1.amazonaws.com'
const SIGNATURES = { bucket: BUCKET, signature: 'c2lnbmF0dXJl' }
const REDOX_SOURCE_ID = '7ce6f387-c33c-417d-8682-81e83628cbd9'

/** One line of facts per adapter: the whole difference between vendors, after which there is none. */
export const EXPECTATIONS: Readonly<Record<string, Expectation>> = {
  generic: {
    source: { fhirBase: 'https://fhir.example/r4', ...BEARER, trust: { fileOrigins: [BUCKET] } },
    values: { fhirBase: 'https://fhir.example/r4', ...SIGNATURES },
    accepted: { statusUrl: 'https://fhir.example/r4/bulkstatus/job-1', trace: {} },
    running: { retryAfterMs: 120_000, progress: { percent: 50, phase: 'running' } },
    complete: {
      expiresMs: Date.UTC(2027, 10, 22, 23, 59, 59),
      trace: {},
      manifest: { transactionTimeMs: Date.UTC(2026, 10, 21, 10), requiresAccessToken: true, rejected: 0 },
    },
    files: [2, 1, 1],
    finishTime: false,
    others: GENERIC_OTHERS,
  },
  'oracle-health': {
    source: { fhirBase: 'https://ehr.example/r4/ec2458f2-1e24-41c8-b71b-0e701af7583d', ...JWT },
    values: { fhirBase: 'https://ehr.example/r4/ec2458f2-1e24-41c8-b71b-0e701af7583d', ...SIGNATURES },
    accepted: {
      statusUrl: 'https://ehr.example/r4/ec2458f2-1e24-41c8-b71b-0e701af7583d/bulk-export/jobs/job-1',
      trace: { 'opc-request-id': '/0DA5B5F8/8BF6D9D8' },
    },
    running: { retryAfterMs: 600_000, progress: { phase: 'running' } },
    complete: {
      expiresMs: Date.UTC(2025, 6, 22, 23, 59, 59),
      manifest: { transactionTimeMs: Date.UTC(2022, 0, 4, 17, 42, 25), requiresAccessToken: true, rejected: 0 },
    },
    files: [3, 0, 1],
    finishTime: false,
    others: {
      'kickoff: patients': { outcome: { kind: 'accepted' } },
      'status: five hours': { outcome: { kind: 'running', retryAfterMs: 18_000_000 } },
      'status: failed': { outcome: { kind: 'failed', trace: { 'opc-request-id': '/0DA5B5F8/8BF6D9DA' } } },
      'file: store refuses': { outcome: { kind: 'gone' } },
    },
  },
  redox: {
    source: {
      fhirBase: 'https://redox.example/fhir/R4',
      ...JWT,
      options: { destinationSlug: 'acme-health', environmentFlag: 'Production', sourceId: REDOX_SOURCE_ID },
    },
    values: { fhirBase: 'https://redox.example/fhir/R4', sourceId: REDOX_SOURCE_ID },
    accepted: {
      statusUrl: 'https://redox.example/fhir/R4/acme-health/Production/bulk-data-status/job-1',
      trace: { '/Meta/Source/ID': REDOX_SOURCE_ID, '/Meta/Logs/0/ID': 'd9f5d293-7110-461e-a875-3beb089e79f3' },
    },
    running: { progress: { percent: 50, phase: 'running' } },
    complete: {
      trace: {
        '/Meta/Source/ID': REDOX_SOURCE_ID,
        '/Meta/Destinations/0/ID': 'af394f14-b34a-464f-8d24-895f370af4c9',
        '/Meta/Logs/0/ID': 'd9f5d293-7110-461e-a875-3beb089e79f3',
        '/Meta/Logs/0/AttemptID': '925d1617-2fe0-468c-a14c-f8c04b572c54',
      },
      manifest: { transactionTimeMs: Date.UTC(2026, 10, 21, 10), requiresAccessToken: true, rejected: 0 },
    },
    files: [2, 0, 0],
    finishTime: false,
    others: {
      'status: running, status mirrored': { outcome: { kind: 'running', progress: {} } },
      'status: failed': { outcome: { kind: 'failed', trace: { '/Meta/Logs/0/ID': 'd9f5d293-7110-461e-a875-3beb089e79f3' } } },
      'status: a state that is not known': { outcome: { kind: 'unclear' } },
      'status: another event': { outcome: { kind: 'unclear' } },
    },
  },
  medplum: { ...MEDPLUM, source: { ...MEDPLUM.source, ...JWT }, others: MEDPLUM_OTHERS },
  'vendor-x': {
    source: { fhirBase: 'https://x.example/fhir', ...BEARER },
    values: { fhirBase: 'https://x.example/fhir' },
    accepted: { statusUrl: 'https://x.example/fhir/exports/job-1', trace: {} },
    running: { retryAfterMs: 18_000, progress: { phase: 'running' } },
    complete: { manifest: { transactionTimeMs: Date.UTC(2026, 10, 21, 10, 7), requiresAccessToken: true, rejected: 0 } },
    files: [2, 0, 1],
    finishTime: true,
    others: {
      'status: scheduled': { outcome: { kind: 'running', retryAfterMs: 30_000, progress: { phase: 'queued' } } },
      'status: completed and still 202': { outcome: { kind: 'running', retryAfterMs: 500, progress: { phase: 'finishing' } } },
    },
  },
}
