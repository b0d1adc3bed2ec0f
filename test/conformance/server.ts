import { jsonOf, MAX_BODY_BYTES, send, type Exchange, type Sent } from './exchange.ts'
import { isJson, LEVELS, objects, textOf, type Json, type Level } from './fhir.ts'
import type { Tokens } from './tokens.ts'

export interface Settings {
  /** FHIR base of the server, without a slash at its end. */
  readonly base: string
  readonly tokens: Tokens
  readonly groupId?: string
  /** How long one export may take. */
  readonly timeoutSeconds: number
  /** Exports at a time. */
  readonly parallel: number
  /** Status requests to send at once to see whether that is too many; 0 for none. */
  readonly overPoll: number
  /** Origins besides that of the base that the token may go to. */
  readonly trustedOrigins: readonly string[]
  readonly sleep: (ms: number) => Promise<void>
}

export const OPERATIONS: Readonly<Record<Level, string>> = { system: 'export', patient: 'patient-export', group: 'group-export' }

/** The server under test: requests with the token, and what it says about itself. Each exchange of the latter happens once. */
export class Server {
  readonly settings: Settings
  readonly #once = new Map<string, Promise<unknown>>()

  constructor(settings: Settings) {
    this.settings = settings
  }

  get base(): string {
    return this.settings.base
  }

  /** The same answer for everyone who asks under one name. */
  once<T>(name: string, work: () => Promise<T>): Promise<T> {
    const known = this.#once.get(name) as Promise<T> | undefined
    if (known !== undefined) return known
    const promise = work()
    this.#once.set(name, promise)
    return promise
  }

  /** Whether the token may be sent there. */
  trusts(url: string): boolean {
    const { origin } = new URL(url)
    return origin === new URL(this.base).origin || this.settings.trustedOrigins.includes(origin)
  }

  /** A request with the token where it may go. @param scope Asks with a token of this scope. */
  async send(sent: Sent, { scope, maxBytes = MAX_BODY_BYTES }: { scope?: string; maxBytes?: number } = {}): Promise<Exchange> {
    const headers = this.trusts(sent.url) ? { ...sent.headers, ...(await this.authorization(scope)) } : { ...sent.headers }
    return send({ ...sent, headers }, maxBytes)
  }

  async authorization(scope?: string): Promise<{ Authorization: string }> {
    return { Authorization: `Bearer ${await this.settings.tokens.token(scope)}` }
  }

  metadata(): Promise<Exchange> {
    return this.once('metadata', () => this.send({ url: `${this.base}/metadata`, headers: { Accept: 'application/fhir+json' } }))
  }

  /** The CapabilityStatement; `undefined` when there is none. */
  async capability(): Promise<Json | undefined> {
    const statement = jsonOf(await this.metadata())
    return isJson(statement) && statement['resourceType'] === 'CapabilityStatement' ? statement : undefined
  }

  /** `rest` of a server. */
  async rest(): Promise<Json | undefined> {
    return objects((await this.capability())?.['rest']).find(({ mode }) => mode === 'server')
  }

  /** Levels whose operation the CapabilityStatement names, wherever in it. */
  async advertised(): Promise<readonly Level[]> {
    const rest = await this.rest()
    const operations = [rest ?? {}, ...objects(rest?.['resource'])].flatMap(({ operation }) => objects(operation))
    const definitions = operations.map(({ definition }) => textOf(definition).split('|')[0]?.split('/').at(-1))
    return LEVELS.filter((level) => definitions.includes(OPERATIONS[level]))
  }

  /** Levels to export at: what is advertised, or what was named by `--group` where nothing is. */
  async levels(): Promise<readonly Level[]> {
    const advertised = await this.advertised()
    const levels = advertised.length === 0 && this.settings.groupId !== undefined ? (['group'] as const) : advertised
    return (await this.groupId()) === undefined ? levels.filter((level) => level !== 'group') : levels
  }

  /** The level of the exports that most checks share: that of most servers first. */
  async mainLevel(): Promise<Level> {
    const levels = await this.levels()
    return (['group', 'patient', 'system'] as const).find((level) => levels.includes(level)) ?? 'group'
  }

  groups(): Promise<Exchange> {
    return this.once('groups', () => this.send({ url: `${this.base}/Group`, headers: { Accept: 'application/fhir+json' } }))
  }

  /** `--group`, or the first that a search finds. */
  async groupId(): Promise<string | undefined> {
    if (this.settings.groupId !== undefined) return this.settings.groupId
    const groups = await this.groups()
    const bundle = jsonOf(groups)
    const found = isJson(bundle) && groups.status === 200 ? objects(bundle['entry']) : []
    const ids = found.flatMap(({ resource }) =>
      isJson(resource) && resource['resourceType'] === 'Group' ? [textOf(resource['id'])] : [],
    )
    return ids[0]
  }

  async exportPath(level: Level, groupId?: string): Promise<string> {
    if (level === 'system') return `${this.base}/$export`
    if (level === 'patient') return `${this.base}/Patient/$export`
    return `${this.base}/Group/${groupId ?? (await this.groupId()) ?? 'none'}/$export`
  }
}
