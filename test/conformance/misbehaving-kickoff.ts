import { isInstant, isJson, keyOf, lastUpdatedMs, MANDATORY, objects, patientsOf, textOf, type Json } from './fhir.ts'

/** What a kick-off asks for. */
export interface Asked {
  readonly types: readonly string[]
  readonly sinceMs: number
  readonly untilMs: number
  readonly elements: readonly string[]
  readonly patients: readonly string[]
  readonly filters: readonly string[]
  readonly isOrganized: boolean
  readonly isPaged: boolean
  readonly ignored: readonly string[]
  readonly isIncremental: boolean
}

export type Breaks = (id: string) => boolean

const KNOWN = ['_outputFormat', '_since', '_until', '_type', '_elements', 'patient', 'includeAssociatedData', '_typeFilter', 'organizeOutputBy', 'allowPartialManifests'] // prettier-ignore
const FORMATS = ['application/fhir+ndjson', 'application/ndjson', 'ndjson']
const TYPES = ['Patient', 'Condition', 'DocumentReference', 'Provenance', 'Group']

/** Parameter and value of a query or a body. */
export const givenIn = (url: URL, body: string): [string, string][] => {
  if (body === '') return [...url.searchParams]
  const parameters: unknown = JSON.parse(body)
  return objects(isJson(parameters) ? parameters['parameter'] : []).map(({ name, ...value }) => {
    const [only] = Object.values(value)
    return [textOf(name), isJson(only) ? textOf(only['reference']) : String(only)]
  })
}

/** @returns Why it is refused, or what is asked for. */
export const read = (
  given: readonly [string, string][],
  all: readonly Json[],
  isPost: boolean,
  isLenient: boolean,
  breaks: Breaks,
): Asked | string => {
  // prettier-ignore
  const values = (name: string): string[] => given.filter(([each]) => each === name).map(([, value]) => value)
  const list = (name: string): string[] =>
    values(name).flatMap((value) => (breaks('KO-05') && values(name).length > 1 ? [] : value.split(',')))
  const ignored = given.map(([name]) => name).filter((name) => !KNOWN.includes(name))
  if (ignored.length > 0 && !isLenient && !breaks('KO-09')) return 'unknown parameter'
  const format = values('_outputFormat')[0]
  if (format !== undefined && (!FORMATS.includes(format) || (breaks('PA-01') && format === 'ndjson'))) return 'unknown format'
  if (values('_since').some((since) => !isInstant(since))) return '_since is no instant'
  if (breaks('PA-02') && values('_since').length > 0) return '_since is not supported'
  if (list('_type').some((type) => !TYPES.includes(type)) && !breaks('PA-07')) return 'unknown type'
  if (values('patient').length > 0 && !isPost && !breaks('PA-09')) return 'patient by POST'
  const known = new Set(all.map(keyOf))
  if (values('patient').some((patient) => !known.has(patient)) && !breaks('PA-10')) return 'unknown patient'
  if (values('_typeFilter').some((filter) => filter.includes('_include')) && !breaks('PA-15')) return 'a result parameter'
  if (values('_typeFilter').some((filter) => filter.includes('no-such')) && !breaks('PA-16')) return 'unknown search parameter'
  return {
    types: list('_type'),
    sinceMs: Date.parse(values('_since')[0] ?? '-271821-04-20T00:00:00Z'),
    untilMs: Date.parse(values('_until')[0] ?? '+275760-09-13T00:00:00Z'),
    elements: list('_elements'),
    patients: values('patient'),
    filters: filtersOf(values('_typeFilter'), breaks),
    isOrganized: values('organizeOutputBy').length > 0,
    isPaged: values('allowPartialManifests')[0] === 'true',
    ignored,
    isIncremental: values('_since').length > 0,
  }
}

const filtersOf = (given: readonly string[], breaks: Breaks): readonly string[] => {
  if (breaks('PA-13') && given.length === 1 && !given[0]?.includes(',')) return []
  return breaks('PA-14') ? given.slice(0, 1) : given
}

const matches = (resource: Json, filters: readonly string[]): boolean => {
  const own = filters.filter((filter) => filter.startsWith(`${textOf(resource['resourceType'])}?`))
  return own.length === 0 || own.some((filter) => (filter.split('=')[1] ?? '').split(',').includes(textOf(resource['gender'])))
}

const pruned = (resource: Json, elements: readonly string[], breaks: Breaks): Json => {
  if (elements.length === 0) return resource
  const type = textOf(resource['resourceType'])
  const kept = [
    ...elements.map((element) => element.split('.').at(-1) ?? ''),
    ...(MANDATORY[type] ?? []),
    'resourceType',
    'id',
    'meta',
  ]
  const rest = Object.fromEntries(Object.entries(resource).filter(([name]) => kept.includes(name)))
  const meta = isJson(resource['meta']) ? resource['meta'] : {}
  return breaks('PA-08') ? rest : { ...rest, meta: { ...meta, tag: [{ code: 'SUBSETTED' }] } }
}

/** What is delivered. */
export const select = (
  all: readonly Json[],
  asked: Asked,
  readable: (type: string) => boolean,
  breaks: Breaks,
): readonly Json[] =>
  // prettier-ignore
  all
    .filter((resource) => {
      const type = textOf(resource['resourceType'])
      const atMs = lastUpdatedMs(resource) ?? 0
      const owners = patientsOf(resource)
      return (
        (readable(type) || breaks('KO-14')) &&
        (asked.types.length === 0 || asked.types.includes(type) || breaks('PA-05')) &&
        !(breaks('PA-06') && asked.types.length === 0 && type === 'Condition') &&
        !(breaks('PA-12') && asked.types.length === 0 && type === 'Provenance') &&
        (atMs > asked.sinceMs || (breaks('PA-20') && asked.types.length > 0)) &&
        (atMs < asked.untilMs || breaks('PA-04')) &&
        (asked.patients.length === 0 || owners === undefined || asked.patients.some((patient) => owners.has(patient))) &&
        matches(resource, asked.filters)
      )
    })
    .map((resource) => pruned(resource, asked.elements, breaks))
