import { describe, expect, it } from 'vitest'
import { adapters } from '../../adapters/index.ts'
import { ExportError } from '../../src/errors.ts'
import { KICKOFF_PARAMETERS, type KickoffParameter, type KickoffParams, type Level } from '../../src/fhir/kickoff-params.ts'
import { handlingOf, type Handling } from '../../src/vendor/handling.ts'
import { planExport, type ExportAsked, type ExportPlan } from '../../src/vendor/plan.ts'
import type { Source } from '../../src/vendor/source.ts'
import { EXPECTATIONS } from '../adapters/expectations.ts'
import { sourceOf } from '../adapters/play.ts'
import { paramsWith, sourceWith } from './support.ts'

const SINCE = '2026-01-01T00:00:00Z'
const UNTIL = '2026-02-01T00:00:00Z'
const TYPES = ['Patient', 'Condition', 'Observation', 'Provenance']

const everything = (): boolean => true

const plan = (source: Source, params: Partial<KickoffParams>, changes: Partial<ExportAsked> = {}): ExportPlan =>
  planExport(source, {
    level: 'group',
    groupId: 'g1',
    params: paramsWith(params),
    ...(params.type ? { types: params.type } : {}),
    lenient: false,
    mayRead: everything,
    ...changes,
  })

const refusalOf = (run: () => unknown): ExportError => {
  try {
    run()
  } catch (error) {
    if (error instanceof ExportError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

/** Each parameter alone; what it becomes where the vendor does it, and where we do. */
const CASES: Readonly<
  Partial<
    Record<KickoffParameter, { asks: Partial<KickoffParams>; emulated: Partial<ExportPlan>; forwarded?: Partial<KickoffParams> }>
  >
> = {
  _since: { asks: { since: SINCE }, emulated: { rows: { sinceMs: Date.parse(SINCE) } } },
  _until: { asks: { until: UNTIL }, emulated: { rows: { untilMs: Date.parse(UNTIL) } } },
  _type: { asks: { type: ['Patient'] }, emulated: { types: ['Patient'] } },
  _elements: { asks: { elements: ['id', 'Patient.name'] }, emulated: { rows: { elements: ['id', 'Patient.name'] } } },
  patient: { asks: { patient: ['Patient/p1', 'Patient/p2'] }, emulated: { rows: { patients: ['p1', 'p2'] } } },
  includeAssociatedData: {
    asks: { type: ['Patient'], includeAssociatedData: ['RelevantProvenanceResources'] },
    emulated: { rows: { provenanceOf: ['Patient'] }, types: ['Patient', 'Provenance'] },
  },
  _typeFilter: {
    asks: { type: ['Patient'], typeFilter: ['Patient?gender=male'] },
    emulated: { rows: { typeFilter: ['Patient?gender=male'] } },
  },
  organizeOutputBy: { asks: { organizeOutputBy: 'Patient' }, emulated: { organizeBy: 'Patient' } },
}

const FIELDS: Readonly<Partial<Record<KickoffParameter, keyof KickoffParams>>> = {
  _since: 'since',
  _until: 'until',
  _type: 'type',
  _elements: 'elements',
  patient: 'patient',
  includeAssociatedData: 'includeAssociatedData',
  _typeFilter: 'typeFilter',
  organizeOutputBy: 'organizeOutputBy',
}

const OURS = { _outputFormat: 'emulated', allowPartialManifests: 'emulated' } as const
const ALL_OURS = {
  ...OURS,
  _since: 'emulated',
  _until: 'emulated',
  _type: 'emulated',
  _elements: 'emulated',
  patient: 'emulated',
  includeAssociatedData: 'emulated',
  _typeFilter: 'emulated',
  organizeOutputBy: 'emulated',
} as const
const MOST = {
  _since: 'native',
  _until: 'native',
  _type: 'native',
  _elements: 'native',
  includeAssociatedData: 'native',
  _typeFilter: 'native',
} as const

/** Adapter → what is done by whom at the group level. */
const HANDLINGS: Readonly<Record<string, Readonly<Record<KickoffParameter, Handling>>>> = {
  generic: { ...ALL_OURS, ...MOST },
  'oracle-health': { ...ALL_OURS, _type: 'native', _since: 'native', _typeFilter: 'native', includeAssociatedData: 'native' },
  redox: { ...ALL_OURS, ...MOST },
  medplum: { ...ALL_OURS, _type: 'native', _since: 'native' },
  'vendor-x': { ...ALL_OURS, _type: 'native' },
}

const adapted = (id: string, more: object = {}): Promise<Source> => sourceOf(id, { ...EXPECTATIONS[id]?.source, ...more })

describe.each([...adapters.keys()])('%s', (id) => {
  it('handles every parameter of a group export as its table says', async () => {
    expect(handlingOf(await adapted(id), 'group')).toEqual(HANDLINGS[id])
  })

  const cases = Object.entries(CASES).map(([name, one]) => ({ name: name as KickoffParameter, ...one }))
  it.each(cases)(
    '$name goes to the vendor or is left to us, and never both [PA-20], [N-04]',
    async ({ name, asks, emulated }) => {
      const source = await adapted(id)
      const field = FIELDS[name]
      if (field === undefined) throw new Error('no field')
      for (const lenient of [false, true]) {
        const made = plan(source, asks, { lenient })
        expect(made.notes).toEqual([])
        if (HANDLINGS[id]?.[name] === 'native') {
          expect(made.params[field]).toEqual(asks[field])
          expect(made.rows).toBeUndefined()
          expect(made.organizeBy).toBeUndefined()
        } else {
          expect(made.params[field]).toEqual(paramsWith()[field])
          expect(made).toMatchObject(emulated)
        }
      }
    },
  )

  it('is told neither the format nor the pages that the client wants of us', async () => {
    const { params } = plan(await adapted(id), { outputFormat: 'ndjson', allowPartialManifests: true })
    expect(params).toEqual(paramsWith())
  })

  it('streaming files as they are, it filters rows and makes no new files', async () => {
    const source = await adapted(id, { retention: 'none' })
    expect(plan(source, { elements: ['id'], until: UNTIL }).notes).toEqual([])
    const refusal = refusalOf(() => plan(source, { organizeOutputBy: 'Patient' }))
    expect([refusal.code, refusal.options.parameter]).toEqual(['parameter_unsupported', 'organizeOutputBy'])
    expect(refusal.diagnostics).toContain('Leave it out')
    const made = plan(source, { organizeOutputBy: 'Patient' }, { lenient: true })
    expect(made).toMatchObject({ notes: [{ severity: 'warning', expression: 'organizeOutputBy' }] })
    expect(made.organizeBy).toBeUndefined()
    expect(handlingOf(source, 'group').organizeOutputBy).toBe('refused')
  })
})

it('every parameter has an answer at every level', () => {
  for (const level of ['system', 'patient', 'group'] as const)
    expect(Object.keys(handlingOf(sourceWith(), level)).toSorted()).toEqual(KICKOFF_PARAMETERS.toSorted())
})

const supporting = (differences: Partial<Source['dialect']['supports']>, more: Partial<Source> = {}): Source =>
  sourceWith(
    {
      supports: {
        levels: { system: 'GET', patient: 'GET', group: 'GET' },
        params: [],
        cancel: true,
        groups: 'search',
        ...differences,
      },
    },
    { types: TYPES, ...more },
  )

describe('_since and _until', () => {
  it.each([
    ['_since', { since: SINCE }],
    ['_until', { until: UNTIL }],
  ] as const)('%s is refused where resources do not tell when they changed; a lenient client is told', (parameter, asks) => {
    const source = supporting({ lastUpdated: false })
    const refusal = refusalOf(() => plan(source, asks))
    expect([refusal.code, refusal.options.parameter]).toEqual(['parameter_unsupported', parameter])
    const made = plan(source, asks, { lenient: true })
    expect(made.rows).toBeUndefined()
    expect(made.notes).toMatchObject([{ code: 'not-supported', expression: parameter }])
    expect(handlingOf(source, 'group')[parameter]).toBe('refused')
  })

  it('goes to a vendor that knows it, whatever its resources tell', () => {
    expect(plan(supporting({ lastUpdated: false, params: ['_since'] }), { since: SINCE }).params.since).toBe(SINCE)
  })

  it('a bound within a millisecond loses nothing of that millisecond [PA-02], [PA-04]', () => {
    const made = plan(supporting({}), { since: '2026-01-01T00:00:00.1234Z', until: '2026-01-01T00:00:00.1230001Z' })
    const ms = Date.parse('2026-01-01T00:00:00.123Z')
    expect(made.rows).toEqual({ sinceMs: ms - 1, untilMs: ms + 1 })
  })
})

describe('_typeFilter', () => {
  it.each([
    ['a code', 'Condition?clinical-status=active,recurrence'],
    ['a date with a usual prefix', 'Observation?date=ge2026-01-01T00:00:00Z'],
    ['a reference', 'Condition?subject=Patient/1'],
  ])('by %s means the same everywhere and goes to a vendor that can', (_, filter) => {
    const made = plan(supporting({ params: ['_typeFilter'] }), { typeFilter: [filter] })
    expect([made.params.typeFilter, made.rows]).toEqual([[filter], undefined])
  })

  it.each([
    ['a modifier', 'Condition?abatement-date:missing=true'],
    ['a quantity', 'Observation?value-quantity=gt90'],
    ['a zone, which a second decoding would lose', 'Encounter?date=ge2021-06-01T00:00:00+02:00'],
    ['a prefix that means something else at each', 'Patient?birthdate=ap1938'],
    ['more values than fit a URL', `Patient?_id=${Array.from({ length: 900 }, (_, n) => n).join()}`],
  ])('by %s is evaluated here, whatever the vendor can', (_, filter) => {
    for (const lenient of [false, true]) {
      const made = plan(supporting({ params: ['_typeFilter'] }), { typeFilter: [filter] }, { lenient })
      expect([made.params.typeFilter, made.rows]).toEqual([[], { typeFilter: [filter] }])
    }
  })

  it('with a value that means nothing is refused by name, whatever the vendor can [PA-16]', () => {
    const source = supporting({ params: ['_typeFilter'] })
    const refusal = refusalOf(() => plan(source, { typeFilter: ['Patient?birthdate=19a'] }))
    expect([refusal.code, refusal.diagnostics]).toEqual(['parameter_unsupported', expect.stringContaining('Patient?birthdate')])
    expect(plan(source, { typeFilter: ['Patient?birthdate=19a'] }, { lenient: true }).notes).toHaveLength(1)
  })

  it('by a parameter that nobody here knows is for the vendor to judge, and left out for a lenient client [KO-09, PA-16]', () => {
    const source = supporting({ params: ['_typeFilter'] })
    const asks = { typeFilter: ['Patient?nonsense-parameter=1'] }
    expect(plan(source, asks).params.typeFilter).toEqual(asks.typeFilter)
    const lenient = plan(source, asks, { lenient: true })
    expect([lenient.params.typeFilter, lenient.notes.length]).toEqual([[], 1])
  })

  const filters = ['Condition?clinical-status=active', 'Condition?code=a', 'Observation?status=final']

  it('a vendor that takes one for each type is sent the types that it needs, and we do the rest [PA-14]', () => {
    const source = supporting({ params: ['_type', '_typeFilter'], typeFilter: { perType: 1, needsType: true } })
    const made = plan(source, { typeFilter: filters })
    expect(made.params).toMatchObject({ type: TYPES, typeFilter: ['Observation?status=final'] })
    expect(made.rows).toEqual({ typeFilter: filters.slice(0, 2) })
    expect(made.types).toEqual(TYPES)
  })

  it('sends a narrow client its own types, and no others', () => {
    const source = supporting({ params: ['_type', '_typeFilter'], typeFilter: { needsType: true } })
    expect(plan(source, { typeFilter: filters }, { types: ['Observation'] }).params).toEqual(
      paramsWith({ type: ['Observation'], typeFilter: ['Observation?status=final'] }),
    )
  })

  it('is left to us where the vendor needs types and takes none', () => {
    const source = supporting({ params: ['_typeFilter'], typeFilter: { needsType: true } })
    expect(plan(source, { typeFilter: ['Patient?gender=male'] }).rows).toEqual({ typeFilter: ['Patient?gender=male'] })
  })

  it('one of a type that is not exported filters nothing, and is no mistake', () => {
    for (const params of [[], ['_typeFilter']] as const) {
      const made = plan(supporting({ params }), { type: ['Patient'], typeFilter: ['Observation?nonsense-parameter=1'] })
      expect([made.params.typeFilter, made.rows, made.notes]).toEqual([[], undefined, []])
    }
  })

  it('one that cannot be evaluated is refused, with its name and the remedy [PA-16]', () => {
    const refusal = refusalOf(() => plan(supporting({}), { typeFilter: ['Patient?nonsense-parameter=1'] }))
    expect([refusal.code, refusal.options.parameter]).toEqual(['parameter_unsupported', '_typeFilter'])
    expect(refusal.diagnostics).toContain('nonsense-parameter')
  })

  it('a lenient client loses all filters of its type, since one alternative less would lose rows [PA-14], [MF-22]', () => {
    const asks = { typeFilter: ['Patient?gender=male', 'Patient?nonsense-parameter=1', 'Observation?status=final'] }
    const made = plan(supporting({}), asks, { lenient: true })
    expect(made.rows).toEqual({ typeFilter: ['Observation?status=final'] })
    expect(made.notes).toMatchObject([{ expression: '_typeFilter', diagnostics: /All filters of Patient were ignored/ }])
  })
})

describe('includeAssociatedData', () => {
  const RELEVANT = 'RelevantProvenanceResources'
  const LATEST = 'LatestProvenanceResources'
  const asks = { type: ['Patient'], includeAssociatedData: [RELEVANT] }

  it('where it is ours, the vendor is asked for Provenance too, and that of other types stays away [PA-11]', () => {
    const made = plan(supporting({ params: ['_type'] }), asks)
    expect(made).toMatchObject({
      params: { type: ['Patient', 'Provenance'], includeAssociatedData: [] },
      rows: { provenanceOf: ['Patient'] },
      types: ['Patient', 'Provenance'],
    })
  })

  it("where it is the vendor's, Provenance may be delivered though `_type` lacks it", () => {
    const made = plan(supporting({ params: ['_type', 'includeAssociatedData'] }), asks)
    expect(made).toMatchObject({
      params: { type: ['Patient'], includeAssociatedData: [RELEVANT] },
      types: ['Patient', 'Provenance'],
    })
    expect(made.rows).toBeUndefined()
  })

  it.each([[[LATEST, RELEVANT]], [[RELEVANT, LATEST]]])('%j is the wider of the two [PA-11]', (includeAssociatedData) => {
    expect(plan(supporting({}), { ...asks, includeAssociatedData })).toMatchObject({
      rows: { provenanceOf: ['Patient'] },
      notes: [],
    })
    const native = supporting({ params: ['_type', 'includeAssociatedData'] })
    expect(plan(native, { ...asks, includeAssociatedData }).params.includeAssociatedData).toEqual([RELEVANT])
  })

  it('without `_type` all Provenance is delivered anyway [PA-12]', () => {
    const made = plan(supporting({}), { includeAssociatedData: [RELEVANT] })
    expect([made.rows, made.notes]).toEqual([undefined, []])
  })

  it('the latest alone is refused; a lenient client gets all of it and is told', () => {
    const latest = { ...asks, includeAssociatedData: [LATEST] }
    expect(refusalOf(() => plan(supporting({}), latest)).diagnostics).toContain(RELEVANT)
    const made = plan(supporting({}), latest, { lenient: true })
    expect(made).toMatchObject({ rows: { provenanceOf: ['Patient'] }, notes: [{ expression: 'includeAssociatedData' }] })
  })

  it("a code of somebody's own goes to a vendor that may know it, and is refused elsewhere", () => {
    const own = { includeAssociatedData: ['_custom'] }
    expect(plan(supporting({ params: ['includeAssociatedData'] }), own).params.includeAssociatedData).toEqual(['_custom'])
    expect(refusalOf(() => plan(supporting({}), own)).options.parameter).toBe('includeAssociatedData')
    expect(plan(supporting({}), own, { lenient: true }).notes).toHaveLength(1)
  })

  it('needs a token that covers Provenance [AU-18]', () => {
    const narrow = { mayRead: (type: string) => type === 'Patient' }
    expect(refusalOf(() => plan(supporting({}), asks, narrow)).code).toBe('scope_insufficient')
    const made = plan(supporting({}), asks, { ...narrow, lenient: true })
    expect(made).toMatchObject({ types: ['Patient'], notes: [{ expression: 'includeAssociatedData' }] })
    expect(made.rows).toBeUndefined()
  })

  it('is refused by a source without Provenance', () => {
    const source = supporting({ params: ['includeAssociatedData'] }, { types: ['Patient'] })
    expect(refusalOf(() => plan(source, asks)).diagnostics).toContain('no Provenance')
    expect(handlingOf(source, 'group').includeAssociatedData).toBe('refused')
  })
})

describe('patients', () => {
  const asks = { patient: ['Patient/p1'] }

  it.each<[string, Level, 'GET' | 'POST', boolean]>([
    ['by POST at the patient level', 'patient', 'POST', true],
    ['not by GET', 'patient', 'GET', false],
  ])('go to the vendor %s [PA-09]', (_, level, method, isNative) => {
    const source = supporting({ levels: { [level]: method }, params: ['patient'] })
    const made = planExport(source, { level, params: paramsWith(asks), lenient: false, mayRead: everything })
    expect([made.params.patient, made.rows]).toEqual(isNative ? [['Patient/p1'], undefined] : [[], { patients: ['p1'] }])
  })

  it('are never ignored, lenient or not [PA-09]', () => {
    for (const id of adapters.keys()) {
      const made = plan(supporting(adapters.get(id)?.supports ?? {}), asks, { lenient: true })
      expect(made.params.patient.length + (made.rows?.patients?.length ?? 0)).toBe(1)
    }
  })
})

describe('work that needs whole rows', () => {
  const elements = ['id']
  const native = supporting({ params: ['_type', '_elements'] })

  it.each<[string, Partial<KickoffParams>]>([
    ['_since', { since: SINCE }],
    ['_until', { until: UNTIL }],
    ['patient', { patient: ['Patient/p1'] }],
    ['_typeFilter', { typeFilter: ['Patient?gender=male'] }],
    ['includeAssociatedData', { type: ['Patient'], includeAssociatedData: ['RelevantProvenanceResources'] }],
    ['organizeOutputBy', { organizeOutputBy: 'Patient' }],
  ])('%s left to us takes _elements with it [PA-20]', (_, asks) => {
    const made = plan(native, { ...asks, elements })
    expect(made.params.elements).toEqual([])
    expect(made.rows?.elements).toEqual(elements)
  })

  it('_elements alone stays with the vendor, and so does what the vendor does with it', () => {
    const source = supporting({ params: ['_elements', '_since', 'organizeOutputBy'] })
    const made = plan(source, { elements, since: SINCE, organizeOutputBy: 'Patient' })
    expect(made).toMatchObject({ params: { elements, since: SINCE, organizeOutputBy: 'Patient' }, organizedBy: 'Patient' })
    expect(made.rows).toBeUndefined()
  })
})

describe('organizeOutputBy', () => {
  const native = supporting({ params: ['organizeOutputBy', '_type'] })

  it("is the vendor's, of any type, where its blocks stay whole [MF-10]", () => {
    const made = plan(native, { organizeOutputBy: 'Encounter', type: ['Encounter'] })
    expect(made).toMatchObject({ params: { organizeOutputBy: 'Encounter', type: ['Encounter'] }, organizedBy: 'Encounter' })
    expect(made.organizeBy).toBeUndefined()
  })

  it.each<[string, Partial<KickoffParams>]>([
    ['_until', { until: UNTIL }],
    ['_elements', { elements: ['id'] }],
    ['patient', { patient: ['Patient/p1'] }],
  ])('is ours as soon as %s is: rows taken out of blocks would leave headers of nothing', (_, asks) => {
    const made = plan(native, { ...asks, organizeOutputBy: 'Patient' })
    expect([made.organizeBy, made.organizedBy, made.params.organizeOutputBy]).toEqual(['Patient', undefined, undefined])
  })

  it('is ours where the vendor cannot leave out types that are not to be delivered', () => {
    const made = plan(supporting({ params: ['organizeOutputBy'] }), { organizeOutputBy: 'Patient', type: ['Condition'] })
    expect(made).toMatchObject({ organizeBy: 'Patient', types: ['Condition'] })
  })

  it('of another type than Patient is refused where it is ours [PA-17]', () => {
    const refusal = refusalOf(() => plan(supporting({}), { organizeOutputBy: 'Encounter' }))
    expect(refusal.diagnostics).toContain('Use organizeOutputBy=Patient')
    const made = plan(supporting({}), { organizeOutputBy: 'Encounter' }, { lenient: true })
    expect([made.organizeBy, made.notes.length]).toEqual([undefined, 1])
  })
})

describe('types', () => {
  it.each<[string, Level, readonly string[], boolean]>([
    ['a group export', 'group', TYPES, false],
    ['a patient export', 'patient', TYPES, false],
    ['a system export', 'system', TYPES, true],
    ['a group export of a source that lists Group', 'group', [...TYPES, 'Group'], true],
  ])('without `_type`, %s delivers a Group only where it is listed', (_, level, types, hasGroup) => {
    const made = planExport(supporting({}, { types }), { level, params: paramsWith(), lenient: false, mayRead: everything })
    expect(made.types?.includes('Group') ?? true).toBe(hasGroup)
    expect(made.types?.includes('Claim') ?? true).toBe(true)
    expect(made.params.type).toEqual([])
  })

  it('a vendor is asked for no type that may not be delivered [KO-14], [AU-18]', () => {
    const narrow = { types: ['Patient'] }
    expect(plan(supporting({ params: ['_type'] }), {}, narrow)).toMatchObject({
      params: { type: ['Patient'] },
      types: ['Patient'],
    })
    expect(plan(supporting({}), {}, narrow)).toMatchObject({ params: { type: [] }, types: ['Patient'] })
  })
})
