import { describe, expect, it } from 'vitest'
import type { ServiceLimits } from '../../src/config.ts'
import { jobUrl, parseFileName, retryAfterSeconds } from '../../src/job/answers.ts'
import { jobIn, NOW_MS } from './support.ts'

const LIMITS: ServiceLimits = {
  vendorPollFloorSeconds: 5,
  retrySeconds: 1,
  tokenRequestsPerMinute: 60,
  tokenRefusalsPerMinute: 30,
  manifestPageFiles: 1_000,
  openExportsPerClient: 100,
  auditRetentionDays: 2190,
  retryAfterMinSeconds: 5,
  retryAfterMaxSeconds: 120,
  statusRequestsPerMinute: 60,
  retentionSeconds: 86_400,
  purgeGraceSeconds: 300,
  accessTokenSeconds: 300,
}

it.each([
  ['Patient.1.ndjson', 1],
  ['OperationOutcome.20000.ndjson', 20_000],
  ['Patient.999999999.ndjson', 999_999_999],
  ['Patient.0.ndjson', undefined],
  ['Patient.01.ndjson', undefined],
  ['Patient.1', undefined],
  ['Patient.1.ndjson.gz', undefined],
  ['Patient.-1.ndjson', undefined],
  ['Patient.1e3.ndjson', undefined],
  ['Patient.1000000000.ndjson', undefined],
  ['../Patient.1.ndjson', undefined],
  ['.1.ndjson', undefined],
  ['Patient.1.ndjson\n', undefined],
  ['', undefined],
])('the file name %j is number %s', (name, n) => {
  expect(parseFileName(name)).toBe(n)
})

describe('Retry-After towards the client', () => {
  it.each([
    [-60_000, 5],
    [0, 5],
    [5_001, 6],
    [60_000, 60],
    [3_600_000, 120],
  ])('of a job whose next act is %d ms away is %d s: an integer from 5 to 120 [N-16, ST-03]', (waitMs, seconds) => {
    expect(retryAfterSeconds(jobIn('running', { nextMs: NOW_MS + waitMs }), LIMITS, NOW_MS)).toBe(seconds)
  })
})

it('a status URL stands on the public base [KO-11]', () => {
  expect(jobUrl('https://bulkhead.example', 'acme', 'j1')).toBe('https://bulkhead.example/fhir/acme/jobs/j1')
})
