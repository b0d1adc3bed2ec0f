import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RowWork } from '../../src/rows/row-work.ts'
import { oracle } from './oracle.ts'
import { BASE, run } from './support.ts'

const SINCE_MS = Date.parse('2026-01-01T00:00:00Z')
const UNTIL_MS = Date.parse('2026-06-01T00:00:00Z')

const TYPES = ['Patient', 'Observation', 'Condition', 'Provenance', 'Medication', 'AuditEvent'] as const
const ids = fc.constantFrom('p1', 'p2', 'p10', 'P1', 'x.y-z')
const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom(
    '"lastUpdated":"2020-01-01T00:00:00Z"',
    '{"resourceType":"Patient","id":"p1"}',
    `"reference":"${BASE}/Patient/p1"`,
    `\\"reference\\":\\"${BASE}/Patient/p1`,
    'Patient/p1',
    `${BASE}/Patient/p1`,
    '\\',
    '\\\\"',
    'äöü 漢字 😀',
    '}\n{',
    ']}',
  ),
)
const reference = fc
  .tuple(
    fc.constantFrom('', '', `${BASE}/`, `${BASE}/`, 'https://other.example.org/fhir/r4/', `${BASE}x/`),
    fc.constantFrom('Patient', 'Patient', 'Patient', 'Observation', 'Practitioner', 'patient'),
    ids,
    fc.constantFrom('', '', '/_history/3'),
  )
  .map(([base, type, id, version]) => ({ reference: `${base}${type}/${id}${version}` }))
const instants = fc.constantFrom(
  '2025-12-31T23:59:59.999Z',
  '2026-01-01T00:00:00Z',
  '2026-01-01T00:00:00.001Z',
  '2026-01-01T01:00:00+02:00',
  '2026-03-03T03:03:03Z',
  '2026-06-01T00:00:00.000Z',
  'last week',
)
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined })
const meta = fc.record({
  versionId: maybe(fc.constantFrom('1', 'a"b')),
  lastUpdated: maybe(fc.oneof({ weight: 6, arbitrary: instants }, { weight: 1, arbitrary: fc.constant(null) })),
  profile: maybe(fc.array(nasty, { maxLength: 2 })),
  tag: maybe(
    fc.array(
      fc.record({
        system: fc.constantFrom('http://terminology.hl7.org/CodeSystem/v3-ObservationValue', 'x'),
        code: fc.constantFrom('SUBSETTED', 'y'),
      }),
      { maxLength: 2 },
    ),
  ),
})

/** Values of any shape, with the names that the program looks for anywhere. */
const { value: anything } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    nasty,
    reference,
    fc.integer(),
    fc.constantFrom(null, true, 1e300),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom('meta', 'lastUpdated', 'reference', 'url', 'subject', 'id', 'contentType', 'a"b', 'ü'),
      tie('value'),
      {
        maxKeys: 3,
      },
    ),
  ),
}))

const resource = fc
  .record({
    resourceType: fc.oneof({ weight: 12, arbitrary: fc.constant('same') }, { weight: 1, arbitrary: fc.constantFrom(...TYPES) }),
    id: maybe(ids),
    meta: maybe(meta),
    text: maybe(fc.record({ div: nasty })),
    contained: maybe(
      fc.array(fc.record({ resourceType: fc.constantFrom(...TYPES), meta, subject: reference }), { maxLength: 2 }),
    ),
    subject: maybe(fc.oneof(reference, fc.constant(null), fc.array(reference, { maxLength: 2 }))),
    target: maybe(fc.array(reference, { maxLength: 3 })),
    agent: maybe(fc.array(fc.record({ who: reference }), { maxLength: 2 })),
    performer: maybe(fc.array(reference, { maxLength: 2 })),
    status: maybe(fc.constant('final')),
    valueQuantity: maybe(anything),
    valueless: maybe(nasty),
    _status: maybe(anything),
    note: maybe(anything),
    name: maybe(anything),
  })
  .chain((members) => fc.shuffledSubarray(Object.entries(members), { minLength: 15 }).map((shuffled) => ({ members, shuffled })))
  .chain(({ members, shuffled }) => fc.boolean().map((usual) => (usual ? members : Object.fromEntries(shuffled))))

/** How a resource is written: most as JSON.stringify does, some with blanks, some with escapes. */
const written = fc.record({ resource, style: fc.constantFrom('plain', 'plain', 'plain', 'spaced', 'slashes', 'numbered') })
const write = (type: string, { resource: row, style }: { resource: object; style: string }): string => {
  const json = JSON.stringify({
    ...row,
    resourceType: 'resourceType' in row && row.resourceType !== 'same' ? row.resourceType : type,
  })
  if (style === 'slashes') return json.replaceAll('/', '\\/')
  // What is within a string is left as it is.
  if (style === 'spaced')
    return json.replaceAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]/g, (token) => (token.length === 1 ? ` ${token}\t` : token)).trim()
  if (style === 'numbered')
    return json.replaceAll(/[äöüP]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return json
}

const works: fc.Arbitrary<RowWork> = fc
  .record({
    sinceMs: maybe(fc.constant(SINCE_MS)),
    untilMs: maybe(fc.constant(UNTIL_MS)),
    patients: maybe(fc.uniqueArray(ids, { maxLength: 3 })),
    provenanceOf: maybe(fc.constantFrom(['Patient'], ['Observation', 'Practitioner'])),
    elements: maybe(fc.subarray(['name', 'Observation.value', 'Condition.note', 'note', 'Medication.status'], { minLength: 1 })),
  })
  .map((work) => Object.fromEntries(Object.entries(work).filter(([, member]) => member !== undefined)))

const parsed = (rows: readonly string[]): unknown[] => rows.map((row) => JSON.parse(row) as unknown)

describe('a program over rows', () => {
  it('lets out what plain code over parsed rows does, however they are written and cut [PA-02] [PA-04] [PA-08] [PA-09] [FI-06]', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...TYPES),
        fc.array(written, { maxLength: 8 }),
        works,
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (type, resources, work, sizes, isGiven) => {
          const rows = resources.map((one) => write(type, one))
          const { rows: out, program } = await run(rows, { work, sizes, file: { type: isGiven ? type : undefined } })
          expect(parsed(out)).toEqual(oracle(rows, work, isGiven ? type : undefined))
          expect([program.readLines, program.lines]).toEqual([rows.length, out.length])
          expect(program.isChanged).toBe(out.join('\n') !== rows.join('\n'))
        },
      ),
      { numRuns: 1_500 },
    )
  }, 60_000)
})
