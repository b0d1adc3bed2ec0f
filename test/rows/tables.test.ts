import { describe, expect, it } from 'vitest'
import { spells } from '../../src/rows/elements.ts'
import { CHOICE_ELEMENTS, MANDATORY_ELEMENTS } from '../../src/rows/root-elements.ts'
import { PATIENT_COMPARTMENT } from '../../src/rows/patient-compartment.ts'
import { choiceNames, compartmentLines, mandatoryLines, structures } from './r4-tables.ts'

describe('what is taken from the definitions of R4', () => {
  it('the Patient compartment is that of the specification [PA-09]', () => {
    const written = [...PATIENT_COMPARTMENT].map(([type, paths]) => `${type} ${paths.map((path) => path.join('.')).join(' ')}`)
    expect(written).toEqual(compartmentLines())
  })

  it('the mandatory elements are those of the specification [PA-08]', () => {
    expect([...MANDATORY_ELEMENTS].map(([type, elements]) => `${type} ${elements.join(' ')}`)).toEqual(mandatoryLines())
  })

  it('the choice elements are those of the specification [PA-08]', () => {
    expect([...CHOICE_ELEMENTS]).toEqual(choiceNames())
  })

  it('no element of any resource is taken for a form of another one', () => {
    const collisions = structures().flatMap(({ type, elements }) =>
      elements.flatMap(({ name }) =>
        elements
          .filter((other) => other.name !== name && spells(name.replace('[x]', ''), other.name.replace('[x]', '')))
          .map((other) => `${type}.${name} takes ${other.name}`),
      ),
    )
    expect(collisions).toEqual([])
  })
})
