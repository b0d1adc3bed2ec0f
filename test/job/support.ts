import type { Job, JobEvent, JobState, Rules } from '../../src/job/model.ts'

export const STATES = [
  'queued',
  'submitting',
  'running',
  'collecting',
  'complete',
  'failed',
  'cancelled',
  'expired',
] as const satisfies JobState[]

export const RULES: Rules = {
  pollMs: 30_000,
  minPollMs: 5_000,
  maxPollMs: 600_000,
  stallMs: 28_800_000,
  retryMs: 1_000,
  hiddenJobMs: 3_600_000,
  deadlineMs: 86_400_000,
  retentionMs: 7_200_000,
  vendorRetentionMs: 3_600_000,
  graceMs: 300_000,
}

export const CREATED_MS = 1_700_000_000_000
export const SUBMITTED_MS = CREATED_MS + 60_000
/** A moment at which every job of this file is due and no longer fresh. */
export const NOW_MS = SUBMITTED_MS + 60_000
export const STATUS_URL = 'https://vendor.example/jobs/42'

/** What a job of a state holds besides the state, when it came there in the ordinary way. */
const PARTS: Record<JobState, Partial<Job>> = {
  queued: { place: 3 },
  submitting: { submittedMs: SUBMITTED_MS },
  running: { submittedMs: SUBMITTED_MS, statusUrl: STATUS_URL },
  collecting: { submittedMs: SUBMITTED_MS, statusUrl: STATUS_URL, transactionTimeMs: SUBMITTED_MS },
  complete: { submittedMs: SUBMITTED_MS, statusUrl: STATUS_URL, transactionTimeMs: SUBMITTED_MS, expiresMs: NOW_MS },
  failed: { expiresMs: NOW_MS, failure: { code: 'vendor_job_failed', diagnostics: 'It failed.' } },
  cancelled: { endedMs: SUBMITTED_MS },
  expired: { endedMs: SUBMITTED_MS },
}

/** A job that is due at `NOW_MS`. */
export const jobIn = (state: JobState, parts: Partial<Job> = {}): Job => ({
  jobId: 'j1',
  clientId: 'app',
  sourceId: 'acme',
  level: 'patient',
  params: { type: [], elements: [], typeFilter: [], patient: [], includeAssociatedData: [] },
  request: 'https://bulkhead.example/fhir/acme/Patient/$export',
  notes: [],
  schemaVersion: 3,
  retention: 'r2',
  subject: 'bearer',
  deleteAfterCollecting: false,
  finishTimeManifest: false,
  rules: RULES,
  state,
  createdMs: CREATED_MS,
  nextMs: NOW_MS,
  waitMs: 30_000,
  progress: {},
  progressMs: CREATED_MS,
  unclear: 0,
  unreadable: 0,
  trace: {},
  todo: [],
  ...PARTS[state],
  ...parts,
})

export const FAILURE = { code: 'vendor_job_failed', diagnostics: 'It failed.' } as const

/** One event of every kind. */
export const EVENTS = {
  alarm: { kind: 'alarm' },
  'slot-granted': { kind: 'slot-granted' },
  'slot-refused': { kind: 'slot-refused', place: 2, retryMs: 45_000 },
  'kickoff-accepted': { kind: 'kickoff-accepted', statusUrl: STATUS_URL, trace: { 'x-request-id': 'k' } },
  'kickoff-busy': { kind: 'kickoff-busy', about: 'source' },
  'kickoff-refused': { kind: 'kickoff-refused', failure: FAILURE, trace: { 'x-request-id': 'r' } },
  'kickoff-ambiguous': { kind: 'kickoff-ambiguous' },
  'still-running': { kind: 'still-running', progress: { percent: 40, phase: 'running' } },
  finished: { kind: 'finished', trace: { 'x-request-id': 's' } },
  unclear: { kind: 'unclear', cause: 'unreadable' },
  held: { kind: 'held', retryMs: 25_000 },
  lost: { kind: 'lost' },
  'vendor-failed': { kind: 'vendor-failed', failure: FAILURE, trace: { 'x-request-id': 'f' } },
  'given-up': { kind: 'given-up', failure: FAILURE },
  'vendor-job-cancelled': { kind: 'vendor-job-cancelled', isDone: false },
  'collecting-paused': { kind: 'collecting-paused', retryMs: 4_000 },
  collected: { kind: 'collected', delivered: 2, failed: 1 },
  deleted: { kind: 'deleted' },
} as const satisfies { [Kind in JobEvent['kind']]: Extract<JobEvent, { kind: Kind }> }

export const EVENT_KINDS = Object.values(EVENTS).map(({ kind }) => kind)
