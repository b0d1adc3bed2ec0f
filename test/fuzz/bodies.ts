import * as fc from 'fast-check'
import { mostly, pick, TEXT } from './arbitraries.ts'
import { parameter, value } from './queries.ts'
import { ASSERTIONS } from './request.ts'

const entry = fc.oneof(
  fc.record({ name: parameter, valueString: value }),
  fc.record({ name: parameter, valueInstant: value }),
  fc.record({ name: pick('patient'), valueReference: fc.record({ reference: value }) }),
  fc.record({ name: fc.anything(), valueString: fc.anything() }),
  fc.record({ name: parameter, valueBoolean: fc.boolean(), valueString: value }),
)
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
export const parametersBody = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .array(entry, { maxLength: 4 })
      .map((entries) => JSON.stringify({ resourceType: 'Parameters', parameter: entries })),
  },
  {
    weight: 2,
    arbitrary: pick(
      '',
      ' ',
      '{',
      'null',
      '[]',
      '"x"',
      '{"resourceType":"Patient"}',
      '{"resourceType":"Parameters"}',
      '{"resourceType":"Parameters","parameter":{}}',
      '{"resourceType":"Parameters","parameter":[null]}',
      '{"resourceType":"Parameters","__proto__":{"parameter":[]}}',
      '{"__proto__":{"resourceType":"Parameters"}}',
      '{"resourceType":"Parameters","parameter":[{"name":"__proto__","valueString":"x"}]}',
      '{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Patient","__proto__":{"valueCode":"x"}}]}',
      '\ufeff{"resourceType":"Parameters"}',
      '{"resourceType":"Parameters","parameter":[{"name":"patient","valueReference":{"reference":"Patient/canary-patient"}}]}',
      '\0',
      'canary-body',
    ),
  },
  { weight: 1, arbitrary: fc.json().map((json) => json) },
)
/** Each costs as much as a hundred others. */
export const hugeBody = fc.oneof(
  fc.constant(nested(20_000)),
  fc.integer({ min: 1, max: 5_000 }).map((count) =>
    JSON.stringify({
      resourceType: 'Parameters',
      parameter: Array.from({ length: count }, (_, index) => ({ name: '_type', valueString: `T${index}` })),
    }),
  ),
  fc.constant(
    `{"resourceType":"Parameters","parameter":[{"name":"_typeFilter","valueString":"Patient?name=${'a'.repeat(300_000)}"}]}`,
  ),
  fc.constant('x'.repeat(1_100_000)),
)

const field = mostly(pick('grant_type', 'scope', 'client_assertion_type', 'client_assertion', 'client_id'), TEXT, 8)
const fieldValue = fc.oneof(
  pick(...ASSERTIONS).map((name) => `{assertion ${name}}`),
  pick(
    'client_credentials',
    'system/*.rs',
    'system/Patient.read',
    'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    'full',
    'other',
    'a.b.c',
    'e30.e30.e30',
    'eyJhbGciOiJub25lIn0.e30.',
    '..',
    `${'a'.repeat(3_000)}.${'b'.repeat(3_000)}.c`,
  ),
  TEXT,
)
export const form = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        pick(...ASSERTIONS),
        pick(
          'system/*.rs',
          'system/Patient.rs',
          'system/Observation.read',
          'openid',
          'system/Patient.rs?name=x',
          '*'.repeat(500),
        ),
      )
      .map(([name, scope]) => ({
        grant_type: 'client_credentials',
        scope,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: `{assertion ${name}}`,
      }))
      .map((parts) => new URLSearchParams(parts).toString()),
  },
  {
    weight: 2,
    arbitrary: fc
      .array(fc.tuple(field, fieldValue), { maxLength: 7 })
      .map((pairs) => new URLSearchParams(pairs.map(([name, text]) => [name, text])).toString()),
  },
  { weight: 1, arbitrary: pick('', '=', '&', '%', 'grant_type', `scope=${'x'.repeat(20_000)}`, '__proto__=x') },
)
