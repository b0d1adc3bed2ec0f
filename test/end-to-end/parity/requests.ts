import type { Ask, Given } from './ask.ts'

/** Every parameter of `$export`, with values that each let some of the synthetic rows out and some not. */
export const VALUES: readonly Given[] = [
  ['_outputFormat', 'ndjson'],
  ['_since', '2024-03-01T00:00:00Z'],
  ['_until', '2024-08-01T00:00:00+02:00'],
  ['_type', 'Patient,Condition,Practitioner'],
  ['_type', 'Observation,Provenance'],
  ['_elements', 'Patient.birthDate,status'],
  ['patient', 'Patient/pat-000002'],
  ['includeAssociatedData', 'RelevantProvenanceResources'],
  ['_typeFilter', 'Condition?clinical-status=active'],
  ['_typeFilter', 'Observation?date=ge2021-02-01&code=http://loinc.org|8867-4,8310-5'],
  ['_typeFilter', 'Patient?gender=female&birthdate=lt2000'],
  ['organizeOutputBy', 'Patient'],
  ['allowPartialManifests', 'true'],
]

/** `patient` is a list of a body only. */
const methodsFor = (given: readonly Given[]): readonly Ask['method'][] =>
  given.some(([name]) => name === 'patient') ? ['POST'] : ['GET', 'POST']

const LEVELS = ['group', 'patient'] as const

/** Every combination, and not each in turn: four times as long. */
const IS_WHOLE = process.env['PARITY'] === 'whole'

/** At each level and by each method, or at both levels by another method each. */
const asksFor = (given: readonly Given[], nth: number, isWhole = IS_WHOLE): readonly Ask[] => {
  const methods = methodsFor(given)
  return LEVELS.flatMap((level, index): Ask[] => {
    const turn = methods[(nth + index) % methods.length] ?? 'POST'
    return (isWhole ? methods : [turn]).map((method) => ({ level, method, given }))
  })
}

/** One value alone, and none. */
export const SINGLES: readonly Ask[] = [...asksFor([], 0, true), ...VALUES.flatMap((value, nth) => asksFor([value], nth))]

/** Two values together, also of the same parameter: each at one of the levels, in turn. */
export const PAIRS: readonly Ask[] = VALUES.flatMap((one, index) =>
  VALUES.slice(index + 1).map((other): readonly Given[] => [one, other]),
).flatMap((given, nth) => (IS_WHOLE ? asksFor(given, nth) : asksFor(given, nth >> 1).slice(nth % 2, (nth % 2) + 1)))

/** What nobody can do, and what is nobody's language: refused alike, and left out alike when the client is lenient. */
const BEYOND: readonly Given[] = [
  ['_since', 'yesterday'],
  ['_outputFormat', 'text/csv'],
  ['_type', 'Foo'],
  ['_type', 'Patient,Foo'],
  ['_typeFilter', 'Patient?_include=Patient:organization'],
  ['_typeFilter', 'Patient?nonsense=x'],
  ['_typeFilter', 'nonsense'],
  ['_elements', 'Patient.name.family'],
  ['includeAssociatedData', 'EverythingResources'],
  ['includeAssociatedData', '_custom'],
  ['organizeOutputBy', 'Observation'],
  ['allowPartialManifests', 'maybe'],
  ['patient', 'Practitioner/prac-000001'],
  ['_colour', 'red'],
]

export const REFUSALS: readonly Ask[] = BEYOND.flatMap((value, nth): Ask[] => {
  const ask: Ask = { level: LEVELS[nth % 2] ?? 'group', method: methodsFor([value])[0] ?? 'POST', given: [value] }
  return [ask, { ...ask, lenient: true }]
})
