import { adapters } from '../adapters/index.ts'
import {
  claimsOf,
  clientOf,
  idOf,
  insecure,
  ISSUER,
  issuerOf,
  operatorTokenIn,
  parsed,
  unclaimedByOthers,
  type Claim,
  type Client,
  type Issuer,
  type ServiceLimits,
} from './config-parse.ts'
import { DEFAULT_TYPES, schemas } from './config-schema.ts'
import { ExportError } from './errors.ts'
import type { Adapter } from './vendor/adapter.ts'
import { secretNameOf, type Source } from './vendor/source.ts'

export type { Client, Issuer, ServiceLimits } from './config-parse.ts'

export interface Settings {
  /** Without a trailing slash. */
  readonly publicBase: string
  /** True allows http to loopback addresses, and nothing else. */
  readonly sandbox: boolean
  /** Origins whose pages may call us from a browser. */
  readonly corsOrigins: readonly string[]
  readonly limits: ServiceLimits
}

const SOURCE = 'SOURCE_'
const CLIENT = 'CLIENT_'
const VARIABLE = /^(SOURCE|CLIENT|ISSUER)_[A-Z0-9][A-Z0-9_]*$/

const withoutSlash = (url: string): string => url.replace(/\/+$/, '')

const placeholdersOf = (adapter: Adapter): string[] =>
  [adapter.send?.base ?? '', ...Object.values(adapter.send?.paths ?? {})].flatMap((template) =>
    [...template.matchAll(/\{(\w+)\}/g)].flatMap((match) => (match[1] === undefined ? [] : [match[1]])),
  )

const BUILT_IN_PLACEHOLDERS = new Set(['fhirBase', 'groupId', 'clientId'])

const sourceOf = (id: string, variable: string, value: unknown, sandbox: boolean): Source => {
  const given = parsed(schemas().source, variable, value)
  const refuse = (key: string, reason: string): never => {
    throw new ExportError('config_invalid', `${variable}.${key}: ${reason}`)
  }
  const adapter = adapters.get(given.adapter) ?? refuse('adapter', `must be one of ${[...adapters.keys()].join(', ')}`)
  const dialect: Adapter = {
    ...adapter,
    supports: { ...adapter.supports, ...given.supports },
    send: { ...adapter.send, ...given.send },
    read: { ...adapter.read, ...given.read },
    limits: { ...adapter.limits, ...given.limits },
    trust: { ...adapter.trust, ...given.trust },
  }
  const { credential } = given
  if (!adapter.auth.kinds.includes(credential.kind)) refuse('credential.kind', `must be one of ${adapter.auth.kinds.join(', ')}`)
  if (insecure(given.fhirBase, sandbox)) refuse('fhirBase', 'must be https')
  if ('tokenUrl' in credential && insecure(credential.tokenUrl, sandbox)) refuse('credential.tokenUrl', 'must be https')
  if (given.allPatientsGroup !== undefined && dialect.supports.levels.group === undefined)
    refuse('allPatientsGroup', 'must not be set where there is no group export')
  for (const name of placeholdersOf(dialect)) {
    if (!BUILT_IN_PLACEHOLDERS.has(name) && given.options[name] === undefined)
      refuse(`options.${name}`, 'is needed by this adapter')
  }
  return {
    id,
    // The adapter's title names the vendor, which is nobody's business.
    title: given.title ?? id,
    dialect,
    fhirBase: withoutSlash(given.fhirBase),
    credential,
    retention: given.retention,
    types: given.types ?? DEFAULT_TYPES,
    groups: given.groups ?? {},
    ...(given.allPatientsGroup === undefined ? {} : { allPatientsGroup: given.allPatientsGroup }),
    options: given.options,
    gate: given.gate ?? id,
    deleteAfterCollecting: given.deleteAfterCollecting,
  }
}

const variableOf = (prefix: string, id: string): string => prefix + id.toUpperCase().replaceAll('-', '_')

/**
 * The configuration, looked up by name and parsed once per variable. Asynchronous so that a registry can stand behind it later.
 * A mistake in one source or client is met by those who use it, and by `problems()`, and by nobody else.
 */
export class Config {
  readonly #variables: Readonly<Record<string, unknown>>
  readonly #sources = new Map<string, Source>()
  #settings: Settings | undefined
  #clients: Map<string, Client> | undefined
  #issuers: Map<string, Issuer> | undefined

  constructor(variables: Readonly<Record<string, unknown>>) {
    this.#variables = variables
  }

  /** @throws ExportError `config_invalid` naming the key. */
  get settings(): Settings {
    if (this.#settings) return this.#settings
    const base = this.#variables.PUBLIC_BASE
    const sandbox = this.#variables.SANDBOX === true || this.#variables.SANDBOX === 'true'
    if (typeof base !== 'string' || !/^https?:\/\/[^\s?#@]+$/.test(base) || !URL.canParse(base))
      throw new ExportError('config_invalid', 'PUBLIC_BASE: must be an absolute https URL')
    if (insecure(base, sandbox)) throw new ExportError('config_invalid', 'PUBLIC_BASE: must be https')
    const limits = parsed(schemas().limits, 'LIMITS', this.#variables.LIMITS ?? {})
    const corsOrigins = parsed(schemas().corsOrigins, 'CORS_ORIGINS', this.#variables.CORS_ORIGINS ?? [])
    return (this.#settings = { publicBase: withoutSlash(base), sandbox, corsOrigins, limits })
  }

  get sourceIds(): string[] {
    return Object.keys(this.#variables)
      .filter((name) => name.startsWith(SOURCE) && VARIABLE.test(name))
      .map((name) => idOf(SOURCE, name))
  }

  /** `undefined` for a source that is not configured. @throws ExportError `config_invalid` for one that is, wrongly. */
  async source(id: string): Promise<Source | undefined> {
    const known = this.#sources.get(id)
    if (known) return known
    const variable = variableOf(SOURCE, id)
    // Ids are case-sensitive on the wire, so that one source has one URL.
    if (idOf(SOURCE, variable) !== id || !Object.hasOwn(this.#variables, variable)) return undefined
    const source = sourceOf(id, variable, this.#variables[variable], this.settings.sandbox)
    this.#sources.set(id, source)
    return source
  }

  /** `undefined` for a client that is not configured, or whose own configuration is broken. */
  async client(clientId: string): Promise<Client | undefined> {
    return this.#registered().get(clientId)
  }

  /** The trusted issuer with this `iss`; `undefined` for one that is not configured, or wrongly. */
  async issuer(iss: string): Promise<Issuer | undefined> {
    this.#issuers ??= unclaimedByOthers(this.#issuerClaims())
    return this.#issuers.get(iss)
  }

  /** False where all clients bring tokens of other issuers: then we need no signing key. */
  async issuesTokens(): Promise<boolean> {
    const clients = [...this.#registered().values()]
    return clients.length === 0 || clients.some(({ issuer }) => issuer === undefined)
  }

  /** A secret by name. @throws ExportError `config_invalid` that names it and never shows it. */
  secret(name: string): string {
    const value = this.#variables[name]
    if (typeof value === 'string' && value !== '') return value
    throw new ExportError('config_invalid', `${name}: this secret is not set; run \`wrangler secret put ${name}\``)
  }

  /** Everything that is wrong, for `/health/ready`: one line each, no values. */
  async problems(): Promise<string[]> {
    const problems: string[] = []
    const attempt = async (work: () => Promise<unknown>): Promise<void> => {
      try {
        await work()
      } catch (error) {
        problems.push(error instanceof ExportError ? error.diagnostics : 'the configuration could not be read')
      }
    }
    for (const read of [() => this.settings, () => operatorTokenIn(this.#variables)]) await attempt(async () => read())
    if (await this.issuesTokens()) await attempt(async () => this.secret('TOKEN_SIGNING_KEYS'))
    for (const name of Object.keys(this.#variables)) {
      if (/^(SOURCE|CLIENT|ISSUER)_/i.test(name) && !VARIABLE.test(name))
        problems.push(`${name}: must be named like SOURCE_ACME, CLIENT_MY_APP or ISSUER_ACME`)
    }
    for (const id of this.sourceIds) {
      await attempt(async () => {
        const source = await this.source(id)
        if (source) this.secret(secretNameOf(source.credential))
      })
    }
    for (const [variable, value] of this.#named(CLIENT)) await attempt(async () => clientOf(variable, value, this))
    for (const [variable, value] of this.#named(ISSUER)) await attempt(async () => issuerOf(variable, value, this))
    const issuerClaims = [...this.#issuerClaims().values()]
    for (const { variables } of issuerClaims) {
      if (variables.length > 1) problems.push(`${variables.join(', ')}: have the same issuer, so none of them is trusted`)
    }
    const issuerIds = issuerClaims.flatMap(({ variables }) => variables.map((variable) => idOf(ISSUER, variable)))
    for (const { value: client, variables } of this.#clientClaims().values()) {
      const names = variables.join(', ')
      if (variables.length > 1) problems.push(`${names}: have the same clientId, so none of them is served`)
      const unknown = Object.keys(client.access).filter((id) => !this.sourceIds.includes(id))
      if (unknown.length > 0) problems.push(`${names}.access: ${unknown.join(', ')} is no configured source`)
      if (client.issuer !== undefined && !issuerIds.includes(client.issuer))
        problems.push(`${names}.issuer: ${client.issuer} is no configured issuer`)
    }
    return [...new Set(problems)]
  }

  #named(prefix: string): [string, unknown][] {
    return Object.entries(this.#variables).filter(([name]) => name.startsWith(prefix))
  }

  #registered(): Map<string, Client> {
    return (this.#clients ??= unclaimedByOthers(this.#clientClaims()))
  }

  #clientClaims(): Map<string, Claim<Client>> {
    return claimsOf(this.#named(CLIENT), (variable, value) => {
      const client = clientOf(variable, value, this)
      return [client.clientId, client]
    })
  }

  #issuerClaims(): Map<string, Claim<Issuer>> {
    return claimsOf(this.#named(ISSUER), (variable, value) => {
      const issuer = issuerOf(variable, value, this)
      return [issuer.issuer, issuer]
    })
  }
}

const configs = new WeakMap<object, Config>()

/** The configuration of an environment, parsed once for as long as the isolate lives. */
export const configOf = (env: Readonly<Record<string, unknown>>): Config => {
  const known = configs.get(env)
  if (known) return known
  const config = new Config(env)
  configs.set(env, config)
  return config
}
