import type { Expected } from './expectations.ts'

const BASE = 'https://fhir.example/r4'
const TEN = Date.UTC(2026, 10, 21, 10)

/** What every source puts up with, declared or not. */
export const GENERIC_OTHERS: Readonly<Record<string, Expected>> = {
  'kickoff: unknown group': { outcome: { kind: 'rejected', status: 404 } },
  'kickoff: relative location': {
    outcome: { kind: 'accepted', statusUrl: 'https://fhir.example/fhir/$export-status/a1b2' },
  },
  'kickoff: Location instead of Content-Location': {
    outcome: { kind: 'accepted', statusUrl: `${BASE}/$export-poll-status?_jobId=8bc70d2f` },
  },
  'kickoff: percent-encoded job id': {
    outcome: { kind: 'accepted', statusUrl: `${BASE}/$bulkdata-status?job=FvHrLGPv0oKZNyLzBnY5iA%3D%3D` },
  },
  'kickoff: wait on the kick-off': { outcome: { kind: 'accepted', retryAfterMs: 120_000 } },
  'kickoff: 200 instead of 202': { outcome: { kind: 'accepted', statusUrl: `${BASE}/status/77` } },
  'kickoff: no location': { outcome: { kind: 'ambiguous' } },
  'kickoff: duplicate': { outcome: { kind: 'busy' } },
  'kickoff: too recently': { outcome: { kind: 'busy' } },
  'kickoff: several running jobs named': { outcome: { kind: 'busy', retryAfterMs: 30_000 } },
  'kickoff: several locations accepted': { outcome: { kind: 'ambiguous' } },
  'kickoff: epoch Retry-After in milliseconds': { outcome: { kind: 'busy', retryAfterMs: 300_000 } },
  'kickoff: epoch Retry-After in seconds': { outcome: { kind: 'busy', retryAfterMs: 300_000 } },
  'kickoff: precise wait': { outcome: { kind: 'busy', retryAfterMs: 1_500 } },
  'kickoff: zero wait': { outcome: { kind: 'busy' } },
  'kickoff: gateway gave up': { outcome: { kind: 'ambiguous' } },
  'status: failed': { outcome: { kind: 'failed' } },
  'status: HAPI progress': { outcome: { kind: 'running', retryAfterMs: 120_000, progress: { phase: 'running' } } },
  'status: HAPI complete': {
    outcome: {
      kind: 'complete',
      manifest: {
        transactionTimeMs: TEN + 123,
        output: [{ type: 'Patient', url: `${BASE}/Binary/5Tgk` }],
        error: [],
        deleted: [],
      },
    },
  },
  'status: BCDA progress': { outcome: { kind: 'running', progress: { percent: 50, phase: 'running' } } },
  'status: BCDA complete': {
    outcome: {
      kind: 'complete',
      expiresMs: Date.UTC(2026, 10, 22, 10, 0, 0, 100),
      manifest: {
        output: [
          { type: 'Patient', url: `${BASE}/data/42/a.ndjson`, count: 12 },
          { type: 'Coverage', url: `${BASE}/data/42/b.ndjson` },
        ],
      },
    },
  },
  'status: OpenEMR complete': {
    outcome: { kind: 'complete', manifest: { transactionTimeMs: Date.UTC(2021, 1, 5, 20, 48, 38) } },
  },
  'status: LinuxForHealth complete': {
    outcome: {
      kind: 'complete',
      manifest: { transactionTimeMs: Date.UTC(2020, 0, 20, 21, 53, 41, 160), requiresAccessToken: false, error: [] },
    },
  },
  'status: string token flag': { outcome: { kind: 'complete', manifest: { requiresAccessToken: true } } },
  'status: types left out': {
    outcome: {
      kind: 'complete',
      manifest: {
        transactionTimeMs: TEN + 123,
        output: [{ type: 'Patient', url: `${BASE}/status/out/1_Patient.ndjson` }],
        error: [{ type: 'OperationOutcome', url: `${BASE}/out/oo.ndjson` }],
        rejected: 1,
      },
    },
  },
  'status: next page': { outcome: { kind: 'complete', manifest: { output: [], nextUrl: `${BASE}/status/1?page=2` } } },
  'status: cancelled in words': { outcome: { kind: 'unclear' } },
  'status: login page': { outcome: { kind: 'unclear' } },
  'status: empty 200': { outcome: { kind: 'unclear' } },
  'status: outcome under 200': { outcome: { kind: 'failed' } },
  'status: transient outcome': { outcome: { kind: 'unclear', retryAfterMs: 10_000 } },
  'status: asked too early': { outcome: { kind: 'unclear', retryAfterMs: 5_000 } },
  'status: gone': { outcome: { kind: 'lost' } },
  'status: quoted progress': {
    outcome: { kind: 'running', retryAfterMs: 120_000, progress: { percent: 50, phase: 'running' } },
  },
  'status: counted progress': { outcome: { kind: 'running', progress: { percent: 25, phase: 'running' } } },
  'status: unreadable expiry': { outcome: { kind: 'complete' } },
  'file: unlisted store': { outcome: { kind: 'untrusted' }, unsent: true },
  'file: fresh and not yet there': { outcome: { kind: 'missing' } },
  'cancel: already over': { outcome: true },
  'cancel: 200': { outcome: true },
  'cancel: refused': { outcome: false },
}
