import { expect, it } from 'vitest'
import { parsePrefer, type Preferences } from '../../src/fhir/prefer.ts'

const NOTHING: Preferences = { respondAsync: false, separateExportStatus: false }

it.each<[string | null, Partial<Preferences>]>([
  [null, {}],
  ['', {}],
  ['respond-async', { respondAsync: true }],
  ['Respond-Async; wait=10', { respondAsync: true }],
  ['respond-async, handling=lenient', { respondAsync: true, handling: 'lenient' }],
  ['HANDLING="Lenient",respond-async', { respondAsync: true, handling: 'lenient' }],
  ['handling = strict', { handling: 'strict' }],
  ['handling=strict, handling=lenient', { handling: 'strict' }],
  ['handling=whatever', {}],
  ['respond-async,separate-export-status', { respondAsync: true, separateExportStatus: true }],
  ['foo="a, respond-async", return=minimal', {}],
  [',,;;=,"', {}],
])('Prefer %j means %j [KO-08, KO-09, KO-10]', (header, expected) => {
  expect(parsePrefer(header)).toEqual({ ...NOTHING, ...expected })
})
