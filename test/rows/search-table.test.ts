import { evalFhirPath } from '@medplum/core'
import { describe, expect, it } from 'vitest'
import { DEFAULT_TYPES } from '../../src/config-schema.ts'
import { parametersOf, searchParametersOf } from '../../src/rows/search-parameters.ts'
import { anyAt } from '../../src/rows/search-path.ts'
import { definitions, pathsOf, searchTableSource, TABLE_TYPES } from './search-table-generator.ts'

/**
 * What a US Core 7.0.0 server SHALL or SHOULD search by, alone or combined.
 *
 * @see https://hl7.org/fhir/us/core/STU7/CapabilityStatement-us-core-server.html
 */
const US_CORE: Readonly<Record<string, string>> = {
  AllergyIntolerance: 'clinical-status patient',
  CarePlan: 'category date patient status',
  CareTeam: 'patient role status',
  Condition: 'abatement-date asserted-date category clinical-status code encounter onset-date patient recorded-date _lastUpdated',
  Coverage: 'patient',
  Device: 'patient status type',
  DiagnosticReport: 'category code date patient status _lastUpdated',
  DocumentReference: '_id category date patient period status type',
  Encounter: '_id _lastUpdated class date discharge-disposition identifier location patient status type',
  Goal: 'description lifecycle-status patient target-date',
  Immunization: 'date patient status',
  Location: 'address address-city address-postalcode address-state name',
  MedicationDispense: 'patient status type',
  MedicationRequest: 'authoredon encounter intent patient status',
  Observation: 'category code date patient status _lastUpdated',
  Organization: 'address name',
  Patient: '_id birthdate death-date family gender given identifier name',
  Practitioner: '_id identifier name',
  PractitionerRole: 'practitioner specialty',
  Procedure: 'code date patient status',
  Provenance: 'patient',
  QuestionnaireResponse: '_id authored patient questionnaire status _tag',
  RelatedPerson: '_id name patient',
  ServiceRequest: '_id authored category code patient status',
  Specimen: '_id patient',
}

describe('the table of search parameters', () => {
  it('is what the definitions of FHIR R4 and US Core give', async () => {
    await expect(searchTableSource()).toMatchFileSnapshot('../../src/rows/search-table.ts')
  })

  it.each(Object.entries(US_CORE))('has what US Core asks of a server for %s [PA-13]', (type, names) => {
    const known = new Set(searchParametersOf(type).map(({ name }) => name))
    expect(names.split(' ').filter((name) => !known.has(name))).toEqual([])
  })

  it('has every type that is exported by default', () => {
    expect(DEFAULT_TYPES.filter((type) => !TABLE_TYPES.includes(type))).toEqual([])
  })

  it('tells each parameter once, by its FHIR type [CS-04]', () => {
    for (const type of TABLE_TYPES) {
      const listed = searchParametersOf(type)
      expect(new Set(listed.map(({ name }) => name)).size).toBe(type === 'Resource' ? listed.length / 2 : listed.length)
      for (const { name, type: told } of listed) {
        const named = definitions.filter(({ code, base }) => code === name && (base.includes(type) || base.includes('Resource')))
        expect(named.map((each) => each.type)).toContain(told)
      }
    }
  })

  it('has the parameters of every resource for a type without its own', () => {
    expect(searchParametersOf('Basic').length).toBeGreaterThan(6)
    expect(searchParametersOf('StructureMap').map(({ name }) => name)).toEqual([
      '_id',
      '_lastUpdated',
      '_security',
      '_tag',
      '_profile',
      '_source',
    ])
  })

  it('lists nothing that needs another resource, a terminology or a map', () => {
    const names = new Set(TABLE_TYPES.flatMap((type) => searchParametersOf(type)).map(({ name }) => name))
    for (const name of ['_has', '_text', '_content', '_query', 'near', 'phonetic', 'code-value-quantity']) {
      expect(names).not.toContain(name)
    }
  })
})

/** A value of each type that is told apart by its shape; the others are texts. */
const MARKS: Readonly<Record<string, unknown>> = {
  boolean: true,
  decimal: 1.5,
  positiveInt: 2,
  dateTime: '2026-01-31T00:00:00Z',
  date: '2026-01-31',
  CodeableConcept: { coding: [{ system: 'urn:a', code: 'b' }] },
  Coding: { system: 'urn:a', code: 'b' },
  Identifier: { system: 'urn:a', value: 'b' },
  Period: { start: '2026-01-31' },
  Quantity: { value: 1, unit: 'mg' },
  Age: { value: 1, unit: 'a' },
  Range: { low: { value: 1 } },
  SampledData: { origin: { value: 1 }, period: 1, dimensions: 1 },
  Reference: { reference: 'Other/z' },
}

/** A resource that has one value, a marked one, where a path of the table leads. */
const resourceWith = (type: string, path: string, mark: unknown): Record<string, unknown> => {
  const build = (steps: readonly string[]): unknown => {
    const [step, ...rest] = steps
    if (step === undefined) return mark
    const [, member = '', key, value, target] = /^(\w+)(?:\[(\w+)=(.*)\]|@(\w+))?$/.exec(step) ?? []
    const below = build(rest)
    if (target !== undefined) return { [member]: [{ reference: `${target}/x` }, { reference: 'Other/y' }] }
    if (key !== undefined) return { [member]: [{ [key]: 'another' }, { [key]: value, ...(below as object) }] }
    return { [member]: below }
  }
  return { resourceType: type, ...(build(path.match(/(?:[^.[]|\[[^\]]*\])+/g) ?? []) as object) }
}

describe('a path of the table', () => {
  const cases = definitions.flatMap((definition) =>
    definition.base
      .filter((type) => TABLE_TYPES.includes(type) && type !== 'Resource')
      .flatMap((type) => pathsOf(definition, type).map(({ path, type: valueType }) => ({ definition, type, path, valueType }))),
  )

  it('leads where the FHIRPath of the definition leads', () => {
    expect(cases.length).toBeGreaterThan(700)
    for (const { definition, type, path, valueType } of cases.filter(({ path: each }) => !each.endsWith('!'))) {
      const mark = MARKS[valueType] ?? 'a mark'
      const resource = resourceWith(type, path, mark)
      const expected = evalFhirPath(definition.expression ?? '', resource)
      const found: unknown[] = []
      anyAt(path, (value) => {
        found.push(value)
        return false
      })(resource)
      expect(found, `${type}?${definition.code} at ${path}`).toHaveLength(1)
      expect(expected, `${type}?${definition.code} at ${path}`).toEqual(expect.arrayContaining(found))
    }
  })

  it('finds nothing in a resource that has nothing there', () => {
    const paths = parametersOf('Observation').flatMap((parameter) => parameter.paths)
    expect(paths.filter((path) => anyAt(path, () => true)({ resourceType: 'Observation' }))).toEqual([])
  })
})
