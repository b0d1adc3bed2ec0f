import { SEARCH_TABLE } from './search-table.ts'

/** What the values of a parameter are compared as: the letters of the table. */
export type SearchKind = 'c' | 'd' | 'i' | 'n' | 'p' | 'q' | 'r' | 's' | 't' | 'u' | 'w'

export interface SearchParameter {
  readonly name: string
  readonly kind: SearchKind
  /** Where its values lie, in the words of the table. */
  readonly paths: readonly string[]
}

const TYPES: Readonly<Record<SearchKind, string>> = {
  c: 'token',
  d: 'date',
  i: 'token',
  n: 'number',
  p: 'token',
  q: 'quantity',
  r: 'reference',
  s: 'string',
  t: 'token',
  u: 'uri',
  w: 'token',
}

const camelCase = (name: string): string => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())

const parametersIn = (type: string): readonly SearchParameter[] => {
  const from = SEARCH_TABLE.indexOf(`\n${type};`)
  if (from === -1) return []
  const [, ...groups] = SEARCH_TABLE.slice(from + 1, SEARCH_TABLE.indexOf('\n', from + 1)).split(';')
  return groups.flatMap((group) => {
    const [kind = '', ...entries] = group.split(' ')
    return entries.map((entry) => {
      const [name = '', ...paths] = entry.split(/=(.*)/s).filter((part) => part !== '')
      return { name, kind: kind as SearchKind, paths: paths[0]?.split(',') ?? [camelCase(name)] }
    })
  })
}

/** Parameters that can be evaluated on resources of a type, those of every resource included. */
export const parametersOf = (type: string): readonly SearchParameter[] => [...parametersIn('Resource'), ...parametersIn(type)]

/**
 * What `/metadata` says of a type: each parameter that can be evaluated, with its type in FHIR's words.
 *
 * @see Bulk Data, CapabilityStatement `rest.resource.searchParam` [CS-04]
 */
export const searchParametersOf = (type: string): readonly { readonly name: string; readonly type: string }[] =>
  parametersOf(type).map(({ name, kind }) => ({ name, type: TYPES[kind] }))
