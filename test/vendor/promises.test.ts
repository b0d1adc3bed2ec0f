import { expect, it } from 'vitest'
import { adapters } from '../../adapters/index.ts'
import { KICKOFF_PARAMETERS } from '../../src/fhir/kickoff-params.ts'
import { handlingOf } from '../../src/vendor/handling.ts'
import { levelsOf } from '../../src/vendor/levels.ts'
import { promisesOf } from '../../src/vendor/promises.ts'
import { EXPECTATIONS } from '../adapters/expectations.ts'
import { sourceOf } from '../adapters/play.ts'

it.each([...adapters.keys()])(
  '%s promises each parameter that it honours, at each level that it serves, and no other [CS-02]',
  async (id) => {
    const source = await sourceOf(id, { ...EXPECTATIONS[id]?.source, allPatientsGroup: 'everybody' })
    const levels = levelsOf(source)
    expect(levels).toContain('patient')
    for (const level of levels) {
      const handling = handlingOf(source, level)
      const { honoured, refused } = promisesOf(source, level)
      expect(honoured.map(({ name }) => name)).toEqual(KICKOFF_PARAMETERS.filter((name) => handling[name] !== 'refused'))
      expect(refused).toEqual([])
      for (const { documentation } of honoured) expect(documentation).toMatch(/\.$/)
      const since = honoured.find(({ name }) => name === '_since')
      expect(since?.documentation.includes('joined')).toBe(level === 'group')
    }
  },
)

it('names a parameter that is refused as refused, and one that must be there as required [CS-06]', async () => {
  const source = await sourceOf('oracle-health', {
    ...EXPECTATIONS['oracle-health']?.source,
    retention: 'none',
    supports: { lastUpdated: false, params: ['_type', 'patient'] },
  })
  const { honoured, refused } = promisesOf(source, 'patient')
  expect(refused).toEqual(['_since', '_until', 'organizeOutputBy'])
  expect(honoured.filter(({ isRequired }) => isRequired).map(({ name }) => name)).toEqual(['patient'])
})
