import * as fc from 'fast-check'
import { NO_JOB } from '../doors/setup.ts'
import { LONG, mostly, oddSegment, pick } from './arbitraries.ts'

const source = mostly(
  pick('open', 'open', 'open', 'open', 'open', 'open', 'streamed', 'posted', '{source shut}', 'nowhere'),
  fc.oneof(pick('Open', 'op%65n', 'open%20', 'open.', 'hasOwnProperty'), oddSegment),
)
const group = mostly(pick('g1', 'g1', '{group g2}', 'gx'), oddSegment, 5)
const JOBS = [
  ...(['full', 'grouped', 'leveled', 'narrowed', 'bound', 'revoked', 'other'] as const).map(
    (client) => `{job ${client} open complete}`,
  ),
  '{job full open endless}',
  '{job full open failing}',
  '{job full streamed complete}',
  '{job full posted complete}',
  '{job other shut complete}',
] as const
const job = mostly(
  fc.oneof(pick(...JOBS), pick(...JOBS), pick(NO_JOB)),
  fc.oneof(pick(NO_JOB.toUpperCase(), NO_JOB.slice(1)), oddSegment),
  12,
)
const file = mostly(
  pick('Patient.1.ndjson', 'Observation.2.ndjson', 'Patient.2.ndjson', 'OperationOutcome.3.ndjson'),
  fc.oneof(
    pick('Patient.01.ndjson', 'Patient.1e0.ndjson', 'Patient.999999999999.ndjson', '../Patient.1.ndjson', '%2fPatient.1.ndjson'),
    oddSegment,
  ),
  5,
)

const joined = (...parts: readonly (string | fc.Arbitrary<string>)[]): fc.Arbitrary<string> =>
  fc.tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part))).map((texts) => texts.join(''))

const jobPath = joined('/fhir/', source, '/jobs/', job)
export const routes: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: joined('/fhir/', source, '/$export') },
  { weight: 2, arbitrary: joined('/fhir/', source, '/Patient/$export') },
  { weight: 4, arbitrary: joined('/fhir/', source, '/Group/', group, '/$export') },
  { weight: 2, arbitrary: joined('/fhir/', source, '/Group') },
  { weight: 2, arbitrary: joined('/fhir/', source, '/Group/', group) },
  { weight: 5, arbitrary: jobPath },
  { weight: 5, arbitrary: joined(jobPath, '/files/', file) },
  // Of whoever asks, so that what lies behind the checks is reached as well.
  { weight: 8, arbitrary: pick('/fhir/open/jobs/{own}') },
  { weight: 6, arbitrary: joined('/fhir/open/jobs/{own}/files/', file) },
  { weight: 2, arbitrary: joined('/fhir/open/jobs/{own}/attachments/', pick('A'.repeat(43), 'x', '%00', LONG)) },
  { weight: 2, arbitrary: pick('/fhir/open/jobs/{own}?page=2', '/fhir/open/jobs/{own}?page=0', '/fhir/open/jobs/{own}?page=x') },
  { weight: 2, arbitrary: joined('/fhir/streamed/jobs/{job full streamed complete}/files/', file) },
  { weight: 2, arbitrary: pick('/jobs') },
  { weight: 4, arbitrary: pick('/auth/token') },
  { weight: 1, arbitrary: pick('/auth/jwks', '/auth', '/auth/', '/auth/nothing', '/auth/token/', '/AUTH/token') },
  { weight: 1, arbitrary: pick('/health/live', '/health/ready', '/health', '/.well-known/smart-configuration') },
  {
    weight: 1,
    arbitrary: joined(
      '/fhir/',
      source,
      pick(
        '/metadata',
        '/OperationDefinition/export',
        '/.well-known/smart-configuration',
        '',
        '/',
        '/Observation',
        '/Patient/p1/$export',
      ),
    ),
  },
  { weight: 1, arbitrary: joined('/operator/clients/', pick('full', 'nobody', '%2e%2e', LONG, '\u{1f600}', '%00'), '/audit') },
  { weight: 1, arbitrary: fc.array(oddSegment, { maxLength: 6 }).map((segments) => `/${segments.join('/')}`) },
)

/** Now and then a path that nearly is one. */
export const bent: fc.Arbitrary<(path: string) => string> = fc.oneof(
  { weight: 24, arbitrary: fc.constant((path: string) => path) },
  {
    weight: 1,
    arbitrary: pick<(path: string) => string>(
      (path) => `${path}/`,
      (path) => `/${path}`,
      (path) => path.replace('/', '/./'),
      (path) => `/x/..${path}`,
      (path) => path.replaceAll('/', '//'),
      (path) => path.replace('$export', '%24export'),
      (path) => path.replace('/jobs', '/JOBS'),
      (path) => `${path}#fragment`,
      (path) => `${path};x=y`,
    ),
  },
)
