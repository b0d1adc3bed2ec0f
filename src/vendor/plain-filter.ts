import { decoded } from '../fhir/percent.ts'
import { searchParametersOf } from '../rows/type-filter.ts'

/** A longer one may not fit into a vendor's URL. */
const MAX_PLAIN_CHARS = 1_000
/** Characters that mean the same however often they are decoded. */
const PLAIN_VALUE = /^[\w.|,:/-]+$/
/** Prefixes that few servers know, or that mean something else at each. */
const RARE_PREFIX = /(?:^|,)(?:ap|ne|sa|eb)\d/
/** Kinds of parameters that servers agree on. */
const PLAIN_KINDS: ReadonlySet<string> = new Set(['token', 'reference', 'date', 'string', 'uri'])

const criteriaOf = (filter: string): readonly (readonly [name: string, value: string])[] =>
  filter
    .slice(filter.indexOf('?') + 1)
    .split('&')
    .map((criterion) => {
      const [name = '', value = ''] = criterion.split(/=(.*)/s)
      return [decoded(name), decoded(value)]
    })

const kindsOf = (filter: string): ReadonlyMap<string, string> =>
  new Map(searchParametersOf(filter.slice(0, filter.indexOf('?'))).map(({ name, type }) => [name, type]))

/** Whether every criterion is by a parameter that can be evaluated here: what is wrong with it then is its value. */
export const isByKnownParameters = (filter: string): boolean => {
  const kinds = kindsOf(filter)
  return criteriaOf(filter).every(([name]) => kinds.has(name))
}

/**
 * Whether a filter means the same at every server that evaluates filters at all: known parameters without modifiers, values that need no
 * encoding, the usual prefixes, and not too much of it.
 */
export const isPlainFilter = (filter: string): boolean => {
  const kinds = kindsOf(filter)
  return (
    filter.length <= MAX_PLAIN_CHARS &&
    criteriaOf(filter).every(([name, value]) => {
      const kind = kinds.get(name)
      return (
        kind !== undefined && PLAIN_KINDS.has(kind) && PLAIN_VALUE.test(value) && !(kind === 'date' && RARE_PREFIX.test(value))
      )
    })
  )
}
