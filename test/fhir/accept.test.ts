import { expect, it } from 'vitest'
import { accepts, FHIR_JSON } from '../../src/fhir/accept.ts'

const NDJSON = ['application/fhir+ndjson']

it.each<[string | null, readonly string[], boolean]>([
  [null, FHIR_JSON, true],
  ['', FHIR_JSON, true],
  ['application/fhir+json', FHIR_JSON, true],
  ['application/json', FHIR_JSON, true],
  ['application/fhir json', FHIR_JSON, true],
  ['APPLICATION/JSON; charset=utf-8', FHIR_JSON, true],
  ['application/fhir+json, */*; q=0.1', FHIR_JSON, true],
  ['application/fhir+json;fhirVersion=4.0', FHIR_JSON, true],
  ['application/fhir+ndjson', FHIR_JSON, false],
  ['application/fhir+ndjson', NDJSON, true],
  ['text/html', FHIR_JSON, false],
  ['text/html, application/xml;q=0.9, */*;q=0.8', FHIR_JSON, true],
  ['application/*', FHIR_JSON, true],
  ['text/*', FHIR_JSON, false],
  ['*', FHIR_JSON, true],
  ['*/*;q=0', FHIR_JSON, false],
  ['*/*, application/fhir+json;q=0', FHIR_JSON, true], // application/json is still offered
  ['*/*, application/fhir+ndjson; q=0.0', NDJSON, false],
  ['application/fhir+ndjson;q=.5, */*;q=0', NDJSON, true],
  ['application/fhir+ndjson;q=high', NDJSON, true],
  ['nonsense', FHIR_JSON, true],
  ['application/fhir+json', [], false],
])('Accept %j of %j is %j [KO-07, ST-17]', (header, offered, expected) => {
  expect(accepts(header, offered)).toBe(expected)
})
