import { expect, it } from 'vitest'
import { ExportError } from '../../src/errors.ts'
import type { Level } from '../../src/fhir/kickoff-params.ts'
import type { Supports } from '../../src/vendor/adapter.ts'
import { handlingOf } from '../../src/vendor/handling.ts'
import { askedOf, levelsOf, needsPatients, type Target } from '../../src/vendor/levels.ts'
import { planExport } from '../../src/vendor/plan.ts'
import type { Source } from '../../src/vendor/source.ts'
import { paramsWith, sourceWith } from './support.ts'

const ALL = 'everybody'

const supporting = (supports: Partial<Supports>, allPatientsGroup?: string): Source =>
  sourceWith(
    { supports: { levels: {}, params: [], cancel: true, groups: 'search', ...supports } },
    allPatientsGroup === undefined ? {} : { allPatientsGroup },
  )

const GROUPS_ONLY: Partial<Supports> = { levels: { group: 'GET' } }
const LISTED_ONLY: Partial<Supports> = { levels: { group: 'GET', patient: 'POST' }, params: ['patient'], patientList: 'required' }
const PATIENT_FIRST: Partial<Supports> = { levels: { system: 'GET', group: 'GET', patient: 'GET' }, prefers: 'patient' }

const PATIENT: Target = { level: 'patient' }
const EVERYBODY: Target = { level: 'group', groupId: ALL }
const SOME: Target = { level: 'group', groupId: 'some' }
const SYSTEM: Target = { level: 'system' }

it.each<[string, Partial<Supports>, string | undefined, Target, boolean, Target | undefined]>([
  ['groups only, with one of all patients', GROUPS_ONLY, ALL, PATIENT, false, EVERYBODY],
  ['groups only, with one of all patients', GROUPS_ONLY, ALL, PATIENT, true, EVERYBODY],
  ['groups only, with one of all patients', GROUPS_ONLY, ALL, SYSTEM, false, undefined],
  ['groups only', GROUPS_ONLY, undefined, PATIENT, false, undefined],
  ['groups only', GROUPS_ONLY, undefined, SOME, false, SOME],
  ['listed patients only, with a group of all', LISTED_ONLY, ALL, PATIENT, false, EVERYBODY],
  ['listed patients only, with a group of all', LISTED_ONLY, ALL, PATIENT, true, PATIENT],
  ['listed patients only, with a group of all', LISTED_ONLY, ALL, EVERYBODY, false, EVERYBODY],
  ['listed patients only, with a group of all', LISTED_ONLY, ALL, EVERYBODY, true, PATIENT],
  ['listed patients only, with a group of all', LISTED_ONLY, ALL, SOME, true, SOME],
  ['listed patients only', LISTED_ONLY, undefined, PATIENT, false, undefined],
  ['listed patients only', LISTED_ONLY, undefined, PATIENT, true, PATIENT],
  ['a better patient level', PATIENT_FIRST, ALL, EVERYBODY, false, PATIENT],
  ['a better patient level', PATIENT_FIRST, ALL, EVERYBODY, true, PATIENT],
  ['a better patient level', PATIENT_FIRST, ALL, SOME, false, SOME],
  ['a better patient level', PATIENT_FIRST, undefined, EVERYBODY, false, EVERYBODY],
  ['a better patient level', PATIENT_FIRST, ALL, SYSTEM, false, SYSTEM],
])('%s: %j, group %j: %j with patients %j asks %j [KO-01]', (_, supports, allPatientsGroup, target, hasPatients, asked) => {
  expect(askedOf(supporting(supports, allPatientsGroup), target, hasPatients)).toEqual(asked)
})

it.each<[Partial<Supports>, string | undefined, readonly Level[], boolean]>([
  [GROUPS_ONLY, undefined, ['group'], false],
  [GROUPS_ONLY, ALL, ['patient', 'group'], false],
  [LISTED_ONLY, undefined, ['patient', 'group'], true],
  [LISTED_ONLY, ALL, ['patient', 'group'], false],
  [PATIENT_FIRST, undefined, ['system', 'patient', 'group'], false],
])('%j with group %j serves %j, and no more [CS-02]', (supports, allPatientsGroup, levels, isListed) => {
  const source = supporting(supports, allPatientsGroup)
  expect(levelsOf(source)).toEqual(levels)
  expect(needsPatients(source, 'patient')).toBe(isListed)
})

const planned = (source: Source, target: Target, patient: readonly string[] = []) =>
  planExport(source, { ...target, params: paramsWith({ patient }), lenient: true, mayRead: () => true })

it('says where the vendor is asked only when that is elsewhere', () => {
  expect(planned(supporting(GROUPS_ONLY, ALL), PATIENT).asked).toEqual(EVERYBODY)
  expect(planned(supporting(PATIENT_FIRST, ALL), EVERYBODY).asked).toEqual(PATIENT)
  expect(planned(supporting(PATIENT_FIRST, ALL), SOME)).not.toHaveProperty('asked')
  expect(planned(supporting(PATIENT_FIRST, ALL), PATIENT)).not.toHaveProperty('asked')
})

it('a vendor that takes a list of patients is told it, and not asked for everybody [PA-09]', () => {
  const made = planned(supporting(LISTED_ONLY, ALL), EVERYBODY, ['Patient/p1'])
  expect(made).toMatchObject({ asked: PATIENT, params: { patient: ['Patient/p1'] } })
  expect(made.rows).toBeUndefined()
  expect(planned(supporting(LISTED_ONLY, ALL), SOME, ['Patient/p1']).rows).toEqual({ patients: ['p1'] })
  expect(handlingOf(supporting(LISTED_ONLY, ALL), 'patient').patient).toBe('native')
  expect(handlingOf(supporting(LISTED_ONLY, ALL), 'group').patient).toBe('emulated')
  expect(handlingOf(supporting(GROUPS_ONLY, ALL), 'patient').patient).toBe('emulated')
})

it('a level that nobody serves is refused, with the way out', () => {
  const refusals = [
    [supporting(GROUPS_ONLY), PATIENT],
    [supporting(LISTED_ONLY), PATIENT],
  ] as const
  const told = refusals.map(([source, target]) => {
    try {
      planned(source, target)
    } catch (error) {
      if (error instanceof ExportError) return [error.code, error.options.parameter, /metadata|POST/.test(error.diagnostics)]
    }
    return []
  })
  expect(told).toEqual([
    ['level_unsupported', undefined, true],
    ['parameter_invalid', 'patient', true],
  ])
})
