import * as z from 'zod/mini'
import { schemas } from './config-schema.ts'
import { ExportError } from './errors.ts'
import type { Level } from './fhir/kickoff-params.ts'
import { isSecure } from './vendor/trusted-fetch.ts'

type Schemas = ReturnType<typeof schemas>

export type ServiceLimits = z.output<Schemas['limits']>

/** An authorization server besides our own, whose access tokens are taken from the clients that are bound to it. */
export type Issuer = z.output<Schemas['issuer']> & { readonly id: string }

/** A registered app. */
export interface Client {
  readonly clientId: string
  readonly jwksUrl?: string
  readonly jwks?: { readonly keys: readonly Readonly<Record<string, unknown>>[] }
  /** Id of the trusted issuer that this client's tokens come from; it has no keys here, and no other token is taken from it. */
  readonly issuer?: string
  readonly scopes: readonly string[]
  readonly access: Readonly<Record<string, { readonly groups: readonly string[]; readonly levels: readonly Level[] }>>
}

/** What is wrong, in words that name keys and choices and never a value. */
const reasonOf = (issue: z.core.$ZodIssue): string => {
  switch (issue.code) {
    case 'unrecognized_keys':
      return `${issue.keys.join(', ')} is not a known key`
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`
    case 'invalid_type':
      return `must be ${/^[aeiou]/.test(issue.expected) ? 'an' : 'a'} ${issue.expected}`
    case 'too_small':
      return `must be at least ${String(issue.minimum)}`
    case 'too_big':
      return `must be at most ${String(issue.maximum)}`
    case 'invalid_union':
      return 'has none of the forms that are possible here'
    case 'invalid_key':
      return 'has a key that is not possible here'
    case 'custom':
    case 'invalid_element':
    case 'invalid_format':
    case 'not_multiple_of':
      return issue.message
  }
}

/** Why a variable was refused: `SOURCE_ACME.credential.tokenUrl: must be an absolute https URL`. Values are never repeated. */
export const parsed = <T extends z.ZodMiniType>(schema: T, variable: string, value: unknown): z.output<T> => {
  const result = z.safeParse(schema, typeof value === 'string' ? jsonOf(variable, value) : value)
  if (result.success) return result.data
  const reasons = result.error.issues.map((issue) => `${[variable, ...issue.path.map(String)].join('.')}: ${reasonOf(issue)}`)
  throw new ExportError('config_invalid', reasons.join('; '))
}

/** A `.dev.vars` file and secrets give strings where `wrangler.toml` gives tables. */
const jsonOf = (variable: string, value: string): unknown => {
  try {
    return JSON.parse(value) as unknown
  } catch (cause) {
    throw new ExportError('config_invalid', `${variable}: must be a table, or a string of JSON`, { cause })
  }
}

export interface Claim<T> {
  readonly value: T
  readonly variables: string[]
}

/** What parses, by its key, with the variables that claim it. A broken one is left out, so that it does not lock out the others. */
export const claimsOf = <T>(variables: [string, unknown][], parse: (variable: string, value: unknown) => [string, T]) => {
  const claims = new Map<string, Claim<T>>()
  for (const [variable, given] of variables) {
    try {
      const [key, value] = parse(variable, given)
      const earlier = claims.get(key)
      if (earlier) earlier.variables.push(variable)
      else claims.set(key, { value, variables: [variable] })
    } catch (error) {
      if (!(error instanceof ExportError)) throw error
    }
  }
  return claims
}

/** A key that two variables claim is served to neither: nobody knows whose it is. */
export const unclaimedByOthers = <T>(claims: Map<string, Claim<T>>): Map<string, T> =>
  new Map([...claims].flatMap(([key, { value, variables }]) => (variables.length === 1 ? [[key, value] as const] : [])))

/** Long enough not to be guessed, and what an `Authorization` header can carry (RFC 6750 §2.1). */
const OPERATOR_TOKEN = /^[A-Za-z0-9._~+/-]{32,512}=*$/

/** The secret that proves an operator; `undefined` where none is set. @throws ExportError `config_invalid` for one that is too short. */
export const operatorTokenIn = ({ OPERATOR_TOKEN: value }: Readonly<Record<string, unknown>>): string | undefined => {
  if (value === undefined || value === '') return undefined
  if (typeof value === 'string' && OPERATOR_TOKEN.test(value)) return value
  throw new ExportError('config_invalid', 'OPERATOR_TOKEN: must be 32 to 512 of A-Z a-z 0-9 . _ ~ + / -')
}

/** Read only when they are needed: a mistake in them is told apart from one in a client. */
interface Deployment {
  readonly settings: { readonly sandbox: boolean; readonly publicBase: string }
}

export const ISSUER = 'ISSUER_'

/** `SOURCE_ACME_WEST` is source `acme-west`. */
export const idOf = (prefix: string, variable: string): string => variable.slice(prefix.length).toLowerCase().replaceAll('_', '-')

export const insecure = (url: string, sandbox: boolean): boolean => !isSecure(new URL(url), sandbox)

const demandSecure = (variable: string, jwksUrl: string | undefined, deployment: Deployment): void => {
  if (jwksUrl !== undefined && insecure(jwksUrl, deployment.settings.sandbox))
    throw new ExportError('config_invalid', `${variable}.jwksUrl: must be https`)
}

/** Who lists groups means those, and no other patients. */
const levelsOf = (groups: readonly string[]): readonly Level[] =>
  groups.includes('*') ? ['system', 'patient', 'group'] : ['group']

/** With the levels that follow from the groups where none are given. */
const accessOf = (given: z.output<Schemas['client']>['access']): Client['access'] =>
  Object.fromEntries(
    Object.entries(given).map(([id, { groups, levels }]) => [id, { groups, levels: levels ?? levelsOf(groups) }]),
  )

/** @throws ExportError `config_invalid` naming the key. */
export const clientOf = (variable: string, value: unknown, deployment: Deployment): Client => {
  const { access, ...client } = parsed(schemas().client, variable, value)
  demandSecure(variable, client.jwksUrl, deployment)
  return { ...client, access: accessOf(access) }
}

/** @throws ExportError `config_invalid` naming the key. */
export const issuerOf = (variable: string, value: unknown, deployment: Deployment): Issuer => {
  const issuer = parsed(schemas().issuer, variable, value)
  demandSecure(variable, issuer.jwksUrl, deployment)
  if (issuer.issuer === deployment.settings.publicBase)
    throw new ExportError('config_invalid', `${variable}.issuer: must not be PUBLIC_BASE, whose tokens are our own`)
  return { ...issuer, id: idOf(ISSUER, variable) }
}
