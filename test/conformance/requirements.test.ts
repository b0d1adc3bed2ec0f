import { expect, it } from 'vitest'
import { REQUIREMENTS } from './requirements.ts'
import { CHECKS } from './suite.ts'

const GROUPS = { KO: 19, PA: 20, ST: 18, MF: 22, DL: 4, FI: 15, CS: 9, AU: 21, OT: 3 }

it('every requirement is there once, in order', () => {
  const wanted = Object.entries(GROUPS).flatMap(([group, count]) =>
    Array.from({ length: count }, (_, index) => `${group}-${String(index + 1).padStart(2, '0')}`),
  )
  expect(REQUIREMENTS.map(({ id }) => id)).toEqual(wanted)
})

it('every requirement is looked at by a check, or says why none can', () => {
  const checked = new Set(CHECKS.flatMap(({ ids }) => ids))
  expect(REQUIREMENTS.filter(({ id, unseen }) => !checked.has(id) && unseen === undefined).map(({ id }) => id)).toEqual([])
})

it('no check names a requirement that does not exist', () => {
  const known = new Set(REQUIREMENTS.map(({ id }) => id))
  expect(CHECKS.flatMap(({ ids }) => ids).filter((id) => !known.has(id))).toEqual([])
})
