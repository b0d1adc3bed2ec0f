import { expect, it } from 'vitest'
import { KICKOFF_PARAMETERS, type KickoffParameter, type Level } from '../../src/fhir/kickoff-params.ts'
import { operationDefinition } from '../../src/fhir/operation-definition.ts'

const definitionOf = (level: Level, names: readonly KickoffParameter[], required: readonly KickoffParameter[] = []) =>
  operationDefinition({
    base: 'https://facade.example/fhir/acme',
    title: 'Acme',
    version: '1.2.3',
    date: '2026-01-31',
    level,
    parameters: names.map((name) => ({ name, documentation: `About ${name}.`, isRequired: required.includes(name) })),
  })

it.each<[Level, string, readonly string[] | undefined, readonly boolean[]]>([
  ['system', 'export', undefined, [true, false, false]],
  ['patient', 'patient-export', ['Patient'], [false, true, false]],
  ['group', 'group-export', ['Group'], [false, false, true]],
])('%s is %s, derived from the canonical definition [CS-03]', (level, id, resource, [system, type, instance]) => {
  expect(definitionOf(level, [])).toEqual({
    resourceType: 'OperationDefinition',
    id,
    url: `https://facade.example/fhir/acme/OperationDefinition/${id}`,
    version: '1.2.3',
    name: 'BulkDataExport',
    title: 'Acme',
    status: 'active',
    kind: 'operation',
    date: '2026-01-31',
    affectsState: false,
    code: 'export',
    base: `http://hl7.org/fhir/uv/bulkdata/OperationDefinition/${id}`,
    ...(resource === undefined ? {} : { resource }),
    system,
    type,
    instance,
    parameter: [],
  })
})

it('has the types and cardinalities of 3.0.0, all inputs, none required unless it says so [PA-01..PA-18]', () => {
  const { parameter } = definitionOf('patient', KICKOFF_PARAMETERS, ['patient']) as {
    parameter: { name: string; use: string; min: number; max: string; type: string; documentation: string }[]
  }
  expect(parameter.map(({ name, min, max, type }) => `${name} ${min}..${max} ${type}`)).toEqual([
    '_outputFormat 0..1 string',
    '_since 0..1 instant',
    '_until 0..1 instant',
    '_type 0..* string',
    '_elements 0..* string',
    'patient 1..* Reference',
    'includeAssociatedData 0..* code',
    '_typeFilter 0..* string',
    'organizeOutputBy 0..1 string',
    'allowPartialManifests 0..1 boolean',
  ])
  for (const { use, name, documentation } of parameter) expect([use, documentation]).toEqual(['in', `About ${name}.`])
})
