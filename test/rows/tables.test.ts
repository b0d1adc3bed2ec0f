import { describe, expect, it } from 'vitest'
import { RESOURCE_TYPES } from '../../src/fhir/resource-types.ts'
import { spells } from '../../src/rows/elements.ts'
import { PATIENT_COMPARTMENT } from '../../src/rows/patient-compartment.ts'
import { CHOICE_ELEMENTS, mandatoryElementsOf } from '../../src/rows/root-elements.ts'
import { choiceNames, compartmentLines, mandatoryLines, structures } from './r4-tables.ts'

/** It came with R4B, and is among the definitions that R4's are kept with. */
const LATER = 'SubscriptionStatus'

describe('what is taken from the definitions of R4', () => {
  it('the resource types are those of the specification [PA-07]', () => {
    const types = structures().map(({ type }) => type)
    expect([...RESOURCE_TYPES]).toEqual(types.filter((type) => type !== LATER))
  })

  it('the Patient compartment is that of the specification [PA-09]', () => {
    const written = [...RESOURCE_TYPES].flatMap((type) => {
      const paths = PATIENT_COMPARTMENT.get(type)
      return paths ? [`${type} ${paths.map((path) => path.join('.')).join(' ')}`] : []
    })
    expect(written).toEqual(compartmentLines())
  })

  it('the mandatory elements are those of the specification [PA-08]', () => {
    const written = [...RESOURCE_TYPES].flatMap((type) => {
      const elements = mandatoryElementsOf(type)
      return elements.length > 0 ? [`${type} ${elements.join(' ')}`] : []
    })
    expect(written).toEqual(mandatoryLines().filter((line) => !line.startsWith(LATER)))
  })

  it.each(['Resource', 'observation', 'Observ', '.*', ''])('there is nothing for %j, which is no type', (type) => {
    expect(mandatoryElementsOf(type)).toEqual([])
    expect(PATIENT_COMPARTMENT.get(type)).toBeUndefined()
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
