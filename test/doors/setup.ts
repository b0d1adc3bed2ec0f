import { vi } from 'vitest'
import { makeKey, NOW_MS, PUBLIC_BASE, type TestKey } from '../auth/support.ts'
import { addPlatformGlobals } from './globals.ts'
import { ENDLESS, FAILING, ISSUER, ISSUER_JWKS, Network, SOURCES, tokenUrl, vendorBase } from './network.ts'
import { Platform } from './platform.ts'
import { ourToken, issuerToken } from './tokens.ts'

export const OPERATOR_TOKEN = 'operator.0123456789abcdef0123456789abcdef'
/** Secrets of the deployment; none of them may be seen by anybody. */
export const VENDOR_SECRET = 'canary-vendor-secret'
/** An id that no job has. */
export const NO_JOB = 'ffffffff-ffff-4fff-8fff-ffffffffffff'

export interface Keys {
  /** Signs our access tokens. */
  readonly signing: TestKey
  /** Of every client that has keys here. */
  readonly client: TestKey
  readonly otherClient: TestKey
  readonly issuer: TestKey
  /** Registered nowhere, under names that are. */
  readonly stranger: TestKey
}

export const CLIENT_IDS = ['full', 'grouped', 'leveled', 'narrowed', 'bound', 'revoked', 'other'] as const
export type ClientId = (typeof CLIENT_IDS)[number]

const everywhere = { open: {}, streamed: {}, posted: {} }
const REGISTERED: Readonly<Record<ClientId, { readonly scopes: readonly string[]; readonly access: object }>> = {
  full: { scopes: ['system/*.rs'], access: everywhere },
  grouped: {
    scopes: ['system/*.rs'],
    access: { open: { groups: ['g1'] }, streamed: { groups: ['g1'] }, posted: { groups: ['g1'] } },
  },
  leveled: { scopes: ['system/*.rs'], access: { open: { levels: ['patient'] }, posted: { levels: ['patient'] } } },
  narrowed: { scopes: ['system/Patient.rs', 'system/Group.rs'], access: everywhere },
  bound: { scopes: ['system/*.rs'], access: everywhere },
  revoked: { scopes: ['system/*.rs'], access: everywhere },
  other: { scopes: ['system/*.rs'], access: { open: {}, shut: {} } },
}

export const TYPES = ['Patient', 'Observation'] as const

const POSTED = {
  supports: {
    levels: { system: 'POST', patient: 'POST', group: 'POST' },
    params: ['_since', '_type', '_typeFilter', 'patient', '_elements'],
  },
}

const sourceOf = (id: string): object => ({
  adapter: 'generic',
  fhirBase: vendorBase(id),
  credential: { kind: 'client-secret-post', clientId: 'bulkhead', tokenUrl: tokenUrl(id), secret: 'VENDOR_SECRET' },
  types: TYPES,
  ...(id === 'streamed' ? { retention: 'none' } : {}),
  ...(id === 'posted' ? POSTED : {}),
})

/** Variables of the deployment: with the client that is revoked, or without it. */
export const variablesOf = (keys: Keys, limits: object, hasRevoked: boolean): Record<string, unknown> => {
  const clients = CLIENT_IDS.filter((id) => hasRevoked || id !== 'revoked').map((id) => {
    const key = id === 'other' ? keys.otherClient : keys.client
    const way = id === 'bound' ? { issuer: 'platform' } : { jwks: { keys: [key.open] } }
    return [`CLIENT_${id.toUpperCase()}`, { clientId: id, ...way, ...REGISTERED[id] }] as const
  })
  return {
    PUBLIC_BASE,
    VENDOR_SECRET,
    OPERATOR_TOKEN,
    TOKEN_SIGNING_KEYS: JSON.stringify({ keys: [keys.signing.closed] }),
    CORS_ORIGINS: ['https://app.example'],
    LIMITS: limits,
    ISSUER_PLATFORM: { issuer: ISSUER, jwksUrl: ISSUER_JWKS, audience: PUBLIC_BASE },
    ...Object.fromEntries(SOURCES.map((id) => [`SOURCE_${id.toUpperCase()}`, sourceOf(id)])),
    ...Object.fromEntries(clients),
  }
}

export const makeKeys = async (): Promise<Keys> => {
  const [signing, client, otherClient, issuer, stranger] = await Promise.all([
    makeKey('ES256', 's1'),
    makeKey('ES384', 'c1'),
    makeKey('ES384', 'c2'),
    makeKey('ES256', 'i1'),
    makeKey('ES256', 's1'),
  ])
  return { signing, client, otherClient, issuer, stranger }
}

/** A token that its client could have at `NOW_MS`, with all that it may have. */
export const goodToken = async (keys: Keys, clientId: ClientId, scope = 'system/*.rs'): Promise<string> =>
  clientId === 'bound' ? issuerToken(keys.issuer, clientId, scope) : ourToken(keys.signing, clientId, scope)

export const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` })

/** How an export is asked for at the level that its client may use. */
const KICKOFF: Readonly<Record<ClientId, string>> = {
  full: '$export',
  grouped: 'Group/g1/$export',
  leveled: 'Patient/$export',
  narrowed: '$export',
  bound: '$export',
  revoked: '$export',
  other: '$export',
}

export type JobState = 'complete' | 'endless' | 'failing'
const SINCE: Readonly<Record<JobState, string>> = {
  complete: '',
  endless: `?_since=${ENDLESS}`,
  failing: `?_since=${FAILING}`,
}

/** Alarms until an export has ended. */
const MOST_TURNS = 20

/** A deployment with exports in it, each made through the front door. */
export class Deployment {
  readonly keys: Keys
  readonly network: Network
  readonly platform: Platform
  readonly #limits: object
  /** `client source state` → its id. */
  readonly jobs = new Map<string, string>()

  constructor(keys: Keys, limits: object) {
    this.keys = keys
    this.#limits = limits
    this.network = new Network([keys.issuer.open])
    this.platform = new Platform(variablesOf(keys, limits, true))
  }

  job(client: string, source: string, state: JobState = 'complete'): string | undefined {
    return this.jobs.get(`${client} ${source} ${state}`)
  }

  async addJob(client: ClientId, source: string, state: JobState): Promise<void> {
    vi.setSystemTime(NOW_MS)
    const headers = bearer(await goodToken(this.keys, client))
    const url = `${PUBLIC_BASE}/fhir/${source}/${KICKOFF[client]}${SINCE[state]}`
    const started = await this.platform.ask(new Request(url, { headers }))
    const id = started.headers['content-location']?.split('/').at(-1)
    if (started.status !== 202 || id === undefined) throw new Error(`no export: ${started.status} ${started.body}`)
    this.jobs.set(`${client} ${source} ${state}`, id)
    const at = `${PUBLIC_BASE}/fhir/${source}/jobs/${id}`
    if (state === 'endless') return
    for (let turn = 0; turn < MOST_TURNS; turn++) {
      if (!(await this.platform.ringNext(id, (ms) => vi.setSystemTime(ms)))) break
      vi.setSystemTime(NOW_MS)
      const { status } = await this.platform.ask(new Request(at, { headers }))
      if (status !== 202) return
    }
    throw new Error(`the export of ${client} at ${source} did not end`)
  }

  /** As freshly opened: what was remembered of earlier requests is forgotten too. */
  renew(): void {
    this.platform.environment = this.platform.environmentWith(variablesOf(this.keys, this.#limits, false))
    this.platform.reset()
    this.network.sent = []
    this.network.interfere = () => undefined
  }

  /** From now on everything comes back to what it is now, and the revoked client is not configured any more. */
  open(): void {
    vi.setSystemTime(NOW_MS)
    this.platform.environment = this.platform.environmentWith(variablesOf(this.keys, this.#limits, false))
    this.platform.keep()
    this.network.sent = []
  }
}

/** Takes over the clock, the network and the log of this test file. */
export const takeOver = (network: () => Network, logged: (line: string) => void): void => {
  addPlatformGlobals()
  vi.useFakeTimers({ toFake: ['Date'], now: NOW_MS })
  vi.stubGlobal('fetch', (url: string, init?: RequestInit) => network().fetch(url, init))
  const tell = (...parts: unknown[]): void => logged(parts.map(String).join(' '))
  // A spy would remember every line.
  vi.stubGlobal('console', { ...console, info: tell, warn: tell, error: tell })
}

export const giveBack = (): void => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
}
