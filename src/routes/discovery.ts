import type { Context } from 'hono'
import { tokenUrlOf } from '../auth/client-assertion.ts'
import { configOf } from '../config.ts'
import { capabilityStatement } from '../fhir/capability-statement.ts'
import type { KickoffParameter, Level } from '../fhir/kickoff-params.ts'
import { smartConfiguration } from '../fhir/smart-configuration.ts'
import type { Source } from '../vendor/source.ts'
import { publicSourceOf, type App } from './context.ts'
import { VERSION, VERSION_DATE } from '../version.ts'

/** Parameters that the facade handles itself, at every source. */
const OURS: readonly KickoffParameter[] = ['_outputFormat', 'allowPartialManifests']
const PUBLIC = { 'Cache-Control': 'public, max-age=300' }

const paramsAt = (source: Source, level: Level): KickoffParameter[] => {
  const { params, levels } = source.dialect.supports
  return [...OURS, ...params.filter((name) => name !== 'patient' || (levels[level] === 'POST' && level !== 'system'))]
}

/** What this source does [CS-01] to [CS-06]. Public, as FHIR wants it. */
export const metadata = async (c: Context<App>): Promise<Response> => {
  const source = await publicSourceOf(c)
  const { settings } = configOf(c.env)
  const { levels, groups } = source.dialect.supports
  const supported = (['system', 'patient', 'group'] as const).filter((level) => levels[level] !== undefined)
  const configured = groups === 'none' && Object.keys(source.groups).length > 0
  const statement = capabilityStatement({
    base: `${settings.publicBase}/fhir/${source.id}`,
    title: `Bulk export of ${source.title}`,
    version: VERSION,
    date: VERSION_DATE,
    tokenUrl: tokenUrlOf(settings),
    levels: supported,
    types: source.types,
    groups: configured ? 'search' : groups,
    params: Object.fromEntries(supported.map((level) => [level, paramsAt(source, level)])),
  })
  return c.json(statement, 200, { ...PUBLIC, 'Content-Type': 'application/fhir+json' })
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
