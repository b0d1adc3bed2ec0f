import type { Context } from 'hono'
import { tokenUrlOf } from '../auth/client-assertion.ts'
import { configOf } from '../config.ts'
import { ExportError } from '../errors.ts'
import { capabilityStatement, type OperationParameters, type SearchParameter } from '../fhir/capability-statement.ts'
import type { Level } from '../fhir/kickoff-params.ts'
import { OPERATION_IDS, operationDefinition } from '../fhir/operation-definition.ts'
import { smartConfiguration } from '../fhir/smart-configuration.ts'
import { searchParametersOf } from '../rows/type-filter.ts'
import { levelsOf } from '../vendor/levels.ts'
import { promisesOf } from '../vendor/promises.ts'
import type { Source } from '../vendor/source.ts'
import { publicSourceOf, type App } from './context.ts'
import { VERSION, VERSION_DATE } from '../version.ts'

const PUBLIC = { 'Cache-Control': 'public, max-age=300' }

/** What every server of groups can be asked by, and what groups that stand in the configuration can be found by. */
const GROUP_SEARCH: readonly SearchParameter[] = [
  { name: '_id', type: 'token' },
  { name: 'identifier', type: 'token' },
  { name: 'name', type: 'string' },
]

const operationParameters = (source: Source, level: Level): OperationParameters => {
  const { honoured, refused } = promisesOf(source, level)
  const required = honoured.filter(({ isRequired }) => isRequired === true)
  return { honoured: honoured.map(({ name }) => name), required: required.map(({ name }) => name), refused }
}

const notesOf = (source: Source, levels: readonly Level[]): string[] => {
  const parameters = levels[0] === undefined ? [] : promisesOf(source, levels.includes('group') ? 'group' : levels[0]).honoured
  const told: readonly string[] = ['_since', 'includeAssociatedData', '_typeFilter']
  return [
    ...parameters.flatMap(({ name, documentation }) => (told.includes(name) ? [`${name}: ${documentation}`] : [])),
    ...(source.dialect.supports.notes ?? []),
  ]
}

/** What this source does [CS-01] to [CS-06]. Public, as FHIR wants it. */
export const metadata = async (c: Context<App>): Promise<Response> => {
  const source = await publicSourceOf(c)
  const { settings } = configOf(c.env)
  const { groups, params } = source.dialect.supports
  const levels = levelsOf(source)
  const configured = groups === 'none' && Object.keys(source.groups).length > 0
  const statement = capabilityStatement({
    base: `${settings.publicBase}/fhir/${source.id}`,
    title: `Bulk export of ${source.title}`,
    version: VERSION,
    date: VERSION_DATE,
    tokenUrl: tokenUrlOf(settings),
    levels,
    types: source.types,
    groups: configured ? 'search' : groups,
    groupSearch: configured ? GROUP_SEARCH.filter(({ name }) => name !== 'identifier') : GROUP_SEARCH,
    params: Object.fromEntries(levels.map((level) => [level, operationParameters(source, level)])),
    ...(params.includes('_typeFilter') ? {} : { filterBy: searchParametersOf }),
    notes: notesOf(source, levels),
  })
  return c.json(statement, 200, { ...PUBLIC, 'Content-Type': 'application/fhir+json' })
}

/** An export operation as this source has it. Public, like the CapabilityStatement that points to it. */
export const readOperationDefinition = async (c: Context<App>): Promise<Response> => {
  const source = await publicSourceOf(c)
  const { publicBase } = configOf(c.env).settings
  const id = c.req.param('operation')
  const level = levelsOf(source).find((candidate) => OPERATION_IDS[candidate] === id)
  if (level === undefined) {
    throw new ExportError('route_not_found', 'This source has no such operation; its /metadata lists those that it has.')
  }
  const definition = operationDefinition({
    base: `${publicBase}/fhir/${source.id}`,
    title: `Bulk export of ${source.title}: ${level} level`,
    version: VERSION,
    date: VERSION_DATE,
    level,
    parameters: promisesOf(source, level).honoured,
  })
  return c.json(definition, 200, { ...PUBLIC, 'Content-Type': 'application/fhir+json' })
}

const SCOPES = ['system/*.rs', 'system/*.read']

const smart = (c: Context<App>, scopes: readonly string[]): Response => {
  const { settings } = configOf(c.env)
  const { publicBase } = settings
  return c.json(
    smartConfiguration({ tokenUrl: tokenUrlOf(settings), issuer: publicBase, jwksUrl: `${publicBase}/auth/jwks`, scopes }),
    200,
    { ...PUBLIC, 'Content-Type': 'application/json' },
  )
}

/** SMART discovery below the source's base, whatever `Accept` says [CS-08]. */
export const smartOfSource = async (c: Context<App>): Promise<Response> => {
  const source = await publicSourceOf(c)
  return smart(c, [...SCOPES, ...source.types.map((type) => `system/${type}.rs`)])
}

/** The same at the origin, where the SMART bulk client looks for it. */
export const smartOfOrigin = (c: Context<App>): Response => smart(c, SCOPES)
