import { quoted } from '../fhir/kickoff-values.ts'
import { RESOURCE_TYPES } from '../fhir/resource-types.ts'
import { dateTest } from './search-date.ts'
import { numberTest } from './search-number.ts'
import { parametersOf, type SearchParameter } from './search-parameters.ts'
import { anyAt, type Test } from './search-path.ts'
import { referenceTest, uriTest } from './search-reference.ts'
import { textTest } from './search-string.ts'
import { ofTypeTest, splitUnescaped, tokenTest, tokenTextTest, unescaped } from './search-token.ts'

export { searchParametersOf } from './search-parameters.ts'

/** A filter that cannot be evaluated. The message tells the client what to do, and holds no value of the search. */
class SearchUnsupported extends Error {}

const refuse = (why: string): never => {
  throw new SearchUnsupported(why)
}

const DATE_HELP = 'a date, such as ge2026-01-31 or lt2026-01-31T12:00:00Z'
const TOKEN_HELP = 'a code, system|code, |code or system|'

/** Of one filter, and values of one criterion: each is asked of each row. */
const MOST_CRITERIA = 100
const MOST_VALUES = 1_000

/** The test of one value, and what the value should look like where it has none. */
type Compile = (value: string, path: string) => Test | undefined

const quantityTest: Compile = (value) => {
  const [number = '', system, code = '', ...more] = splitUnescaped(value, '|').map(unescaped)
  if (system === undefined) return numberTest(number)
  return code === '' || more.length > 0 ? undefined : numberTest(number, [system, code])
}

/** A token that has no system in the resource, so that none can be compared. */
const plainToken =
  (isExact: boolean): Compile =>
  (value) =>
    splitUnescaped(value, '|').length > 1 ? undefined : tokenTest(value, isExact)

/** By kind and modifier. `:not` and `:missing` are not here; nor is a type as the modifier of a reference. */
const compilerOf = (
  { kind }: SearchParameter,
  modifier: string | undefined,
  bases: readonly string[],
): readonly [compile: Compile, help: string] | undefined => {
  switch (kind) {
    case 'c':
    case 'p':
    case 'w':
      return modifier === undefined
        ? [plainToken(kind === 'c'), 'a code alone, since it has no system in the resource']
        : undefined
    case 'i':
    case 't':
      if (modifier === undefined) return [(value) => tokenTest(value), TOKEN_HELP]
      if (modifier === 'text') return [(value) => tokenTextTest(unescaped(value)), 'text']
      return modifier === 'of-type' && kind === 'i' ? [ofTypeTest, 'system|code|value'] : undefined
    case 's':
      if (modifier !== undefined && modifier !== 'exact' && modifier !== 'contains') return undefined
      return [(value, path) => textTest(unescaped(value), modifier, path.endsWith('.family')), 'text']
    case 'r':
      if (modifier === 'identifier') return [(value) => tokenTest(value), TOKEN_HELP]
      if (modifier !== undefined && !RESOURCE_TYPES.has(modifier)) return undefined
      return [(value) => referenceTest(unescaped(value), modifier, bases), 'an id, Type/id or the address of a resource']
    case 'u':
      return modifier === undefined ? [(value) => uriTest(unescaped(value)), 'a URI'] : undefined
    case 'd':
      return modifier === undefined ? [dateTest, DATE_HELP] : undefined
    case 'n':
      return modifier === undefined ? [(value) => numberTest(value), 'a number, such as gt0.8'] : undefined
    case 'q':
      return modifier === undefined
        ? [quantityTest, 'a number, number|system|code or number||unit, such as gt5.4||mg']
        : undefined
  }
}

const BEYOND: ReadonlySet<string> = new Set(['above', 'below', 'in', 'not-in'])

const decoded = (text: string, name: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return refuse(`${name} is not percent-encoded. Write % as %25.`)
  }
}

const anyOf = (tests: readonly Test[]): Test => {
  const [only, ...others] = tests
  return only !== undefined && others.length === 0 ? only : (value) => tests.some((test) => test(value))
}

const compileCriterion = (type: string, criterion: string, bases: readonly string[]): Test => {
  const [, rawName = criterion, rawValue = ''] = /^([^=]*)=(.*)$/s.exec(criterion) ?? []
  const fullName = decoded(rawName, type)
  const [name = '', modifier] = fullName.split(/:(.*)/s)
  const label = `${type}?${quoted(fullName).slice(1, -1)}`
  if (name === '_has') refuse(`${label} asks for other resources, which a filter of one resource cannot see. Leave it out.`)
  if (fullName.includes('.'))
    refuse(`${label} is chained to another resource, which a filter cannot see. Name the resource's id instead.`)
  const parameter = parametersOf(type).find((each) => each.name === name)
  if (parameter === undefined)
    return refuse(`${label} is not a search parameter that can be evaluated. Use one that /metadata lists.`)
  if (modifier !== undefined && BEYOND.has(modifier)) {
    refuse(`${label} needs a terminology or a hierarchy, which is not there. List the codes, ids or URIs instead.`)
  }
  if (rawValue === '') refuse(`${label} has no value. Give it one or leave it out.`)
  if (parameter.kind !== 'd' && rawValue.includes('+')) refuse(`${label} holds a bare +. Write a plus as %2B and a space as %20.`)
  const value = decoded(rawValue, label)
  if (modifier === 'missing') {
    if (value !== 'true' && value !== 'false') refuse(`${label} must be true or false.`)
    const isPresent = anyOf(parameter.paths.map((path) => anyAt(path, () => true)))
    return (resource) => isPresent(resource) === (value === 'false')
  }
  const isNegated = modifier === 'not' && 'cpwit'.includes(parameter.kind)
  const [compile, help] =
    compilerOf(parameter, isNegated ? undefined : modifier, bases) ??
    refuse(`${label} has a modifier that cannot be evaluated. Use the parameter without it.`)
  const alternatives = splitUnescaped(value, ',')
  if (alternatives.length > MOST_VALUES) refuse(`${label} has more than ${MOST_VALUES} values. Use fewer, or leave it out.`)
  const tests = parameter.paths.map((path) => {
    const values = alternatives.map(
      (each) => (each === '' ? undefined : compile(each, path)) ?? refuse(`${label} must be ${help}.`),
    )
    const test = anyOf(values)
    return anyAt(modifier === 'identifier' ? `${path}.identifier` : path, test)
  })
  const matches = anyOf(tests)
  return isNegated ? (resource) => !matches(resource) : matches
}

/** A filter's type, and its criteria as one test. */
const compileFilter = (filter: string, bases: readonly string[]): readonly [type: string, test: Test] => {
  const [, type = '', query = ''] = /^([A-Za-z]+)\?(.+)$/s.exec(filter) ?? []
  if (type === '') refuse(`The filter is not a search. Use Type?query, such as Condition?clinical-status=active.`)
  const criteria = query.split('&').filter((each) => each !== '')
  if (criteria.length > MOST_CRITERIA) refuse(`${type}? has more than ${MOST_CRITERIA} criteria. Use fewer.`)
  const tests = criteria.map((criterion) => compileCriterion(type, criterion, bases))
  const [only, ...others] = tests
  if (only === undefined) return refuse(`${type}? has no criterion. Give it one or leave the filter out.`)
  return [type, others.length === 0 ? only : (resource) => tests.every((test) => test(resource))]
}

/**
 * Why a filter cannot be evaluated on a resource alone as FHIR R4 says it must be.
 *
 * @param filter `Type?query`, URL-decoded once; names and values may be percent-encoded still.
 * @returns A sentence that tells the client what to do, with no value of the search in it; `undefined` when the filter can be evaluated.
 * @see Bulk Data Kick-off, `_typeFilter` [PA-13, PA-16]
 */
export const typeFilterProblem = (filter: string): string | undefined => {
  try {
    compileFilter(filter, [])
    return undefined
  } catch (error) {
    if (error instanceof SearchUnsupported) return error.message
    throw error
  }
}

/**
 * Filters made into one test for each type: to be made once for a file and asked for each row. Filters of one type are alternatives [PA-14].
 *
 * @param bases Addresses without a slash at their end under which an absolute reference is to a resource of this export.
 * @throws for a filter that `typeFilterProblem` has a sentence for.
 * @see Bulk Data Kick-off, `_typeFilter` [PA-13, PA-14]
 */
export const compileTypeFilters = (
  filters: readonly string[],
  bases: readonly string[] = [],
): ReadonlyMap<string, (resource: Readonly<Record<string, unknown>>) => boolean> => {
  const byType = new Map<string, readonly Test[]>()
  for (const filter of filters) {
    const [type, test] = compileFilter(filter, bases)
    byType.set(type, [...(byType.get(type) ?? []), test])
  }
  return new Map([...byType].map(([type, tests]) => [type, anyOf(tests)]))
}
