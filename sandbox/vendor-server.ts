import { Hono, type Context } from 'hono'
import type { AccessTokens, Session } from './access-tokens.ts'
import type { RegisteredClient } from './client-authentication.ts'
import type { SourceConfig } from './config.ts'
import type { Dataset } from './dataset.ts'
import type { Switchboard } from './faults.ts'
import type { VendorJobs } from './faults/jobs.ts'
import { mountFaults } from './faults/routes.ts'
import { vendorFaults, type FaultTraits, type VendorFaults } from './faults/vendor-faults.ts'
import { readBinary } from './binaries.ts'
import { jobStore } from './jobs.ts'
import { listen } from './listen.ts'
import { outcomeResponse } from './outcome.ts'
import { oddFiles, type Oddity } from './oddities.ts'
import { tokenEndpoint, type TokenRules } from './token-endpoint.ts'
import { recordTraffic, type Traffic, type TrafficRecorder } from './traffic.ts'
import type { VendorClients } from './vendor-clients.ts'

export type Pace = 'fast' | 'real'

export interface VendorSettings {
  readonly dataset: Dataset
  readonly pace: Pace
  /** How long an export runs, instead of what the pace says. */
  readonly jobSeconds?: number
  /** How long an access token lives, instead of what the vendor says. */
  readonly tokenSeconds?: number
  /** Exports that run at once at a vendor that counts them, instead of what it documents. */
  readonly exportsAtOnce?: number
  /** Requests to the FHIR API that a vendor with a rate limit takes in a minute. */
  readonly requestsPerMinute?: number
  /** Whether each vendor writes rows in its own way. */
  readonly oddities: boolean | readonly Oddity[]
  readonly host: string
  readonly now: () => number
}

/** A number for each pace. */
export type Paced = Readonly<Record<Pace, number>>

/** What a vendor's routes work with. */
export interface Vendor {
  /** Where it listens. Known once it does. */
  readonly origin: string
  readonly fhirBase: string
  readonly dataset: Dataset
  readonly settings: VendorSettings
  readonly traffic: TrafficRecorder
  readonly jobs: VendorJobs
  readonly tokens: AccessTokens
  readonly clients: VendorClients
  /** Its clock, which may be wrong: for what it tells. */
  readonly now: () => number
  /** The true clock, for how long something takes. */
  readonly elapsed: () => number
  /** How long a URL made now lives. */
  readonly urlLifetimeSeconds: (usual: number) => number
  /** What the answers of a store of its own pass through. */
  readonly misbehavingStore: VendorFaults['store']
  readonly paced: (values: Paced) => number
}

export type VendorEnv = { Variables: { session: Session } }
export type VendorContext = Context<VendorEnv>

/** What a vendor runs beside its API. */
export interface Mounted {
  /** Origins of its files, besides its own. */
  readonly fileOrigins: readonly string[]
  close(): Promise<void>
}

/** One fake EHR. */
export interface VendorSpec extends FaultTraits {
  readonly id: string
  readonly title: string
  readonly groupId: string
  /** Path of its FHIR base on its origin. */
  readonly fhirPath: string
  readonly jobSeconds: Paced
  readonly retentionSeconds: number
  readonly token: TokenRules
  /** In which ways it writes rows, when the sandbox lets each vendor do as it does. */
  readonly oddities?: readonly Oddity[]
  /** Base of its FHIR resources on its origin, when that is not `fhirPath`. */
  readonly resourcePath?: string
  /** What it holds, when that is more than the sandbox's dataset. */
  readonly holds?: (dataset: Dataset) => Dataset
  /** Adds its routes. */
  readonly mount: (app: Hono<VendorEnv>, vendor: Vendor) => Mounted | undefined | Promise<Mounted | undefined>
  /** Its part of the facade's configuration. */
  readonly source: (
    vendor: Vendor,
    tokenUrl: string,
  ) => Omit<SourceConfig, 'adapter' | 'title' | 'fhirBase' | 'types' | 'trust' | 'allPatientsGroup'>
}

export interface RunningVendor {
  readonly id: string
  readonly title: string
  readonly origin: string
  readonly fhirBase: string
  readonly tokenUrl: string
  readonly groupId: string
  /** What an export of its group gives: the sandbox's dataset, and more where the vendor adds something. */
  readonly dataset: Dataset
  /** Whether its rows are not the bytes of the dataset, though they say the same. */
  readonly writesOddly: boolean
  /** The facade's client and a stranger, with their keys and secrets. */
  readonly clients: VendorClients
  readonly source: SourceConfig
  /** Tells it to misbehave. */
  readonly faults: Switchboard
  traffic(): Traffic
  close(): Promise<void>
}

/** Lets a request with a valid token pass, with its session; answers others in the vendor's words. */
export const requireToken =
  (vendor: Vendor, refuse: (reason: 'missing' | 'unknown' | 'expired') => Response) =>
  async (c: VendorContext, next: () => Promise<void>): Promise<Response | undefined> => {
    const session = vendor.tokens.check(c.req.header('Authorization'))
    if (typeof session === 'string') {
      vendor.traffic.count('unauthorized')
      return refuse(session)
    }
    c.set('session', session)
    await next()
    return undefined
  }

/** The request's URL as the vendor would repeat it: its own origin, path and query as they came. */
export const requestUrl = (vendor: Vendor, c: VendorContext): string => {
  const { pathname, search } = new URL(c.req.url)
  return `${vendor.origin}${pathname}${search}`
}

/** Attachments, for whoever has a token. */
const mountBinaries = (app: Hono<VendorEnv>, vendor: Vendor, resourcePath: string): void => {
  const guard = requireToken(vendor, () => outcomeResponse(401, 'login', 'A token is required'))
  app.get(`${resourcePath}/Binary/:id`, guard, (c) => readBinary(vendor.dataset, c.req.param('id') ?? '', c.req.header('Accept')))
}

export const startVendor = async (spec: VendorSpec, settings: VendorSettings, clients: VendorClients): Promise<RunningVendor> => {
  const { pace, now: elapsed } = settings
  const traffic = recordTraffic()
  const dataset = spec.holds?.(settings.dataset) ?? settings.dataset
  let origin = ''
  const oddities = typeof settings.oddities === 'boolean' ? (settings.oddities ? (spec.oddities ?? []) : []) : settings.oddities
  const resourcePath = spec.resourcePath ?? spec.fhirPath
  const resourceBase = (): string => `${origin}${resourcePath}`
  const jobMs = (settings.jobSeconds ?? spec.jobSeconds[pace]) * 1000
  const { faults, now, tokens, jobs, api, store, urlLifetimeSeconds } = vendorFaults(spec, {
    tokenPath: spec.token.path,
    traffic,
    jobs: jobStore({
      jobMs,
      retentionMs: spec.retentionSeconds * 1000,
      now: elapsed,
      traffic,
      written: (files) => oddFiles(files, oddities, resourceBase),
    }),
    elapsed,
  })
  const vendor: Vendor = {
    get origin() {
      return origin
    },
    get fhirBase() {
      return `${origin}${spec.fhirPath}`
    },
    dataset,
    settings,
    traffic,
    tokens,
    clients,
    jobs,
    now,
    elapsed,
    urlLifetimeSeconds,
    misbehavingStore: store,
    paced: (values) => values[pace],
  }

  const app = new Hono<VendorEnv>()
  app.get('/_traffic', (c) => c.json(traffic.snapshot()))
  mountFaults(app, faults, spec.presigns === true)
  app.use(async (c, next) => {
    const { pathname } = new URL(c.req.url)
    traffic.path(c.req.method, pathname)
    // `docs/vendors.md`, Everyone: `%24export` is no route anywhere.
    if (pathname.includes('%24export')) return c.notFound()
    return next()
  })
  const registered: RegisteredClient[] = [clients.primary, clients.second]
  const rules = { ...spec.token, seconds: settings.tokenSeconds ?? spec.token.seconds }
  const tokenUrl = () => `${origin}${spec.token.path}`
  const token = tokenEndpoint(rules, { clients: registered, tokens, traffic, tokenUrl, now })
  app.post(spec.token.path, (c) => token(c.req.raw))
  mountBinaries(app, vendor, resourcePath)
  const mounted = await spec.mount(app, vendor)

  const server = await listen(
    api((request) => app.fetch(request)),
    settings.host,
  )
  origin = server.origin
  return {
    id: spec.id,
    title: spec.title,
    origin,
    fhirBase: vendor.fhirBase,
    tokenUrl: tokenUrl(),
    groupId: spec.groupId,
    dataset,
    writesOddly: oddities.length > 0,
    clients,
    source: {
      adapter: spec.id,
      title: spec.title,
      fhirBase: vendor.fhirBase,
      types: settings.dataset.types,
      allPatientsGroup: spec.groupId,
      ...spec.source(vendor, tokenUrl()),
      // Where a vendor names no wait, ours has to fit exports of seconds.
      ...(settings.pace === 'fast' ? { limits: { pollSeconds: 1 } } : {}),
      ...(mounted === undefined ? {} : { trust: { fileOrigins: mounted.fileOrigins } }),
    },
    faults,
    traffic: () => traffic.snapshot(),
    close: async () => {
      await Promise.all([server.close(), mounted?.close()])
    },
  }
}
