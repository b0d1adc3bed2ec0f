import { accessTokens, type AccessTokens } from '../access-tokens.ts'
import { switchboard, type Phase, type Switchboard } from '../faults.ts'
import type { JobStore } from '../jobs.ts'
import type { Serve } from '../listen.ts'
import { outcomeResponse } from '../outcome.ts'
import { oauthError } from '../token-endpoint.ts'
import type { TrafficRecorder } from '../traffic.ts'
import { faultyJobs, type VendorJobs } from './jobs.ts'
import { phaseOf, type PhaseRoutes } from './phases.ts'
import { misbehaving, type WireOptions } from './wire.ts'

/** What the switchboard has to know of a vendor. */
export interface FaultTraits {
  readonly routes: PhaseRoutes
  /** Whether its files are read by URLs that expire. */
  readonly presigns?: boolean
  /** What a bare number in its `Retry-After` is in. Omitted: seconds. */
  readonly retryAfterUnit?: 'ms'
  /** An error in its own shape, where that is no OperationOutcome. */
  readonly faultAnswer?: (phase: Phase, status: number) => Response | undefined
}

export interface VendorFaults {
  readonly faults: Switchboard
  /** What the vendor's clock says, in epoch ms. */
  readonly now: () => number
  readonly tokens: AccessTokens
  readonly jobs: VendorJobs
  /** A server of the vendor's API that misbehaves. */
  readonly api: (serve: Serve) => Serve
  /** A server of its files elsewhere that does. */
  readonly store: (serve: Serve, refuse: (status: number) => Response) => Serve
  readonly urlLifetimeSeconds: (usual: number) => number
}

const CODES: Readonly<Record<number, string>> = {
  401: 'login',
  403: 'forbidden',
  404: 'not-found',
  429: 'throttled',
  500: 'exception',
}

const refusal = (phase: Phase, status: number): Response => {
  const text = `The sandbox was told to answer ${status}`
  if (phase === 'token') return oauthError(status, status === 401 ? 'invalid_client' : 'temporarily_unavailable', text)
  return outcomeResponse(status, CODES[status] ?? (status < 500 ? 'invalid' : 'transient'), text)
}

/** Tokens that can all be made void at once. */
const revocableTokens = (elapsed: () => number): AccessTokens & { revokeAll(): void } => {
  let tokens = accessTokens(elapsed)
  return {
    issue: (session, seconds) => tokens.issue(session, seconds),
    check: (authorization) => tokens.check(authorization),
    revokeAll: () => {
      tokens = accessTokens(elapsed)
    },
  }
}

/** A vendor's switchboard with all that it acts on. @param context.elapsed The true clock, in epoch ms. */
export const vendorFaults = (
  traits: FaultTraits,
  context: {
    readonly tokenPath: string
    readonly traffic: TrafficRecorder
    readonly jobs: JobStore
    readonly elapsed: () => number
  },
): VendorFaults => {
  const { traffic, elapsed } = context
  const presigns = traits.presigns === true
  const faults = switchboard(presigns)
  const now = (): number => elapsed() + faults.skewMs()
  const tokens = revocableTokens(elapsed)
  const jobs = faultyJobs(context.jobs, faults, elapsed)
  const shared = { faults, now, retryAfterUnit: traits.retryAfterUnit ?? 's', revokeTokens: () => tokens.revokeAll() } as const

  /** Counts as the route would have. A cancel that was not served has cancelled nothing. */
  const count: WireOptions['onUnserved'] = (phase, request, { status, waitMs }) => {
    const { pathname } = new URL(request.url)
    traffic.path(request.method, pathname)
    if (status === 401) traffic.count('unauthorized')
    if (phase === 'token') traffic.count('tokenRequests')
    if (phase === 'kickoff') traffic.kickoff(false, jobs.running())
    if (phase === 'file') traffic.count(presigns ? 'storeRequests' : 'fileRequests')
    const job = phase === 'status' ? jobs.byId(pathname.split('/').at(-1) ?? '') : undefined
    if (job === undefined) return
    jobs.polled(job)
    if (waitMs !== undefined) jobs.askedToWait(job, waitMs)
  }

  return {
    faults,
    now,
    tokens,
    jobs,
    api: (serve) =>
      misbehaving(serve, {
        ...shared,
        phaseOf: ({ method, url }) => phaseOf(method, new URL(url).pathname, traits.routes, context.tokenPath),
        refuse: (phase, status) => traits.faultAnswer?.(phase, status) ?? refusal(phase, status),
        onUnserved: count,
      }),
    store: (serve, refuse) =>
      misbehaving(serve, {
        ...shared,
        phaseOf: () => 'file',
        refuse: (_phase, status) => refuse(status),
        onUnserved: () => traffic.count('storeRequests'),
      }),
    urlLifetimeSeconds: (usual) => faults.take('file', ['url-lifetime'])?.seconds ?? usual,
  }
}
