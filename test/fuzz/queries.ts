import * as fc from 'fast-check'
import { KICKOFF_PARAMETERS } from '../../src/fhir/kickoff-params.ts'
import { LONG, mostly, pick, TEXT } from './arbitraries.ts'

export const parameter = mostly(
  pick(...KICKOFF_PARAMETERS),
  fc.oneof(
    pick(
      '_format',
      'limit',
      'before',
      'identifier',
      'name',
      'member:Patient.name',
      '_id',
      'access_token',
      '__proto__',
      '_TYPE',
      ' _type',
      '_type ',
    ),
    TEXT,
  ),
  4,
)
const good = pick(
  'Patient',
  'Observation',
  'Patient,Observation',
  'Group',
  'Basic',
  'Nothing',
  '2026-01-01T00:00:00Z',
  '2026-01-01T00:00:00+05:00',
  'application/fhir+ndjson',
  'ndjson',
  'text/csv',
  'Patient.id',
  'id',
  'Patient/p1',
  'https://bulkhead.example/fhir/open/Patient/p1',
  'LatestProvenanceResources',
  'Patient?active=true',
  'Observation?code=a,b',
  'Patient?_include=x',
  'true',
  'false',
  '1',
  '50',
)
export const value = mostly(good, TEXT, 3)
const huge = fc
  .integer({ min: 100, max: 3_000 })
  .map((count) => Array.from({ length: count }, (_, index) => `T${index}`).join(','))
export const query: fc.Arbitrary<string> = fc.oneof(
  { weight: 8, arbitrary: fc.constant('') },
  {
    weight: 4,
    arbitrary: pick(
      '?_type=Patient',
      '?_type=Patient,Observation',
      '?_since=2026-01-01T00:00:00Z',
      '?_typeFilter=Patient%3Factive%3Dtrue',
      '?_elements=id',
    ),
  },
  {
    weight: 4,
    arbitrary: fc
      .array(fc.tuple(parameter, value), { minLength: 1, maxLength: 4 })
      .map(
        (pairs) =>
          `?${pairs.map(([name, text]) => `${encodeURIComponent(name.toWellFormed())}=${encodeURIComponent(text.toWellFormed())}`).join('&')}`,
      ),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      huge.map((list) => `?_type=${list}`),
      pick(
        '?',
        '?&&&',
        '?=',
        '?_type',
        '?_type=%',
        '?_type=%ff',
        '?_type=%00',
        '?a?b?c',
        `?_since=${LONG}`,
        '?_type=Patient&_type=Observation',
        '?_type=Patient&_type=',
        '?limit=1&limit=2',
        '?before=1',
        '?limit=999999999999999',
        '?_since=canary-query',
      ),
    ),
  },
)
