import * as fc from 'fast-check'
import { PUBLIC_BASE } from '../auth/support.ts'
import { Deployment, makeKeys } from '../doors/setup.ts'
import type { Answer } from '../doors/platform.ts'
import { authorizationOf, makeCredentials, type Credentials } from './credentials.ts'
import { broken, filled, twinOf } from './judge.ts'
import type { FuzzRequest, Mood } from './request.ts'
import { requests } from './requests.ts'

/** Requests to one deployment, one after the other, before it is renewed. */
const MOST_IN_A_RUN = 60
/** Runs with one seed. */
const LOT = 200
/** Nothing here waits for anything real. */
const HANG_MS = 10_000

const INTERFERENCES: Readonly<Record<Exclude<Mood, 'well' | 'down'>, () => Response>> = {
  failing: () => new Response('{"resourceType":"OperationOutcome"}', { status: 500 }),
  'web page': () => new Response('<html>Sign in</html>', { headers: { 'Content-Type': 'text/html' } }),
  throttled: () => new Response(null, { status: 429, headers: { 'Retry-After': '30' } }),
  forgetful: () => new Response('{}', { status: 404 }),
}

/** So low that they are reached. */
const LIMITS = { tokenRequestsPerMinute: 1, tokenRefusalsPerMinute: 2, statusRequestsPerMinute: 2, openExportsPerClient: 2 }

export interface Fuzzed {
  readonly requests: number
  /** Answers by status. */
  readonly statuses: ReadonlyMap<number, number>
  /** Pairs of "not yours" and "not there" that were compared. */
  readonly twins: number
  /** Requests that reached an EHR. */
  readonly upstream: number
}

export interface Fuzzing {
  readonly seed: number
  readonly requests: number
  /** The one run at this path. */
  readonly path?: string
  readonly progress?: (done: number) => void
}

/** A request as a failure shows it: long texts are cut. */
const shown = (request: FuzzRequest): string =>
  JSON.stringify(request, (_, value: unknown) =>
    typeof value === 'string' && value.length > 300 ? `${value.slice(0, 300)}…` : value,
  )

export class Fuzz {
  readonly #deployment: Deployment
  readonly #credentials: Credentials
  /** Lines of the log since the last request began. */
  readonly logged: string[]
  readonly #statuses = new Map<number, number>()
  #requests = 0
  #twins = 0
  #upstream = 0

  private constructor(deployment: Deployment, credentials: Credentials, logged: string[]) {
    this.#deployment = deployment
    this.#credentials = credentials
    this.logged = logged
  }

  /** @param present Told of the deployment before its first request is made. */
  static async make(logged: string[], present: (deployment: Deployment) => void): Promise<Fuzz> {
    const deployment = new Deployment(await makeKeys(), LIMITS)
    present(deployment)
    for (const client of ['full', 'grouped', 'leveled', 'narrowed', 'bound', 'revoked', 'other'] as const)
      await deployment.addJob(client, 'open', 'complete')
    await deployment.addJob('other', 'shut', 'complete')
    await deployment.addJob('full', 'streamed', 'complete')
    await deployment.addJob('full', 'posted', 'complete')
    await deployment.addJob('full', 'open', 'endless')
    await deployment.addJob('full', 'open', 'failing')
    deployment.open()
    return new Fuzz(deployment, await makeCredentials(deployment.keys), logged)
  }

  /** @throws when a promise is broken: with seed and path to make the run again, and the fewest requests that do it. */
  async run({ seed, requests: wanted, path, progress }: Fuzzing): Promise<Fuzzed> {
    const property = fc.asyncProperty(fc.array(requests, { minLength: 1, maxLength: MOST_IN_A_RUN, size: 'max' }), (all) =>
      this.#play(all),
    )
    for (let lot = 0; this.#requests < wanted; lot++) {
      const details = await fc.check(property, { seed: seed + lot, numRuns: LOT, ...(path === undefined ? {} : { path }) })
      if (details.failed) throw told(details)
      progress?.(this.#requests)
      if (path !== undefined) break
    }
    return { requests: this.#requests, statuses: this.#statuses, twins: this.#twins, upstream: this.#upstream }
  }

  async #play(all: readonly FuzzRequest[]): Promise<void> {
    this.#deployment.renew()
    let isBad = false
    for (const request of all) {
      isBad ||= request.mood !== 'well'
      const answer = await this.#made(request, isBad)
      const twin = twinOf(request)
      if (!twin) continue
      const other = await this.#made(twin, isBad)
      this.#twins += 1
      if (JSON.stringify(answer) !== JSON.stringify(other))
        throw new Error(`"not yours" is told apart from "not there": ${shown(request)}\n${seen(answer)}\n${seen(other)}`)
    }
  }

  /** Makes a request and judges the answer. */
  async #made(request: FuzzRequest, isBad: boolean): Promise<Answer> {
    const { network, platform, jobs } = this.#deployment
    const token = this.#credentials.tokens.get(request.credential.name) ?? ''
    const given = this.#requestOf(request, token)
    this.logged.length = 0
    network.sent = []
    network.interfere = () => {
      if (request.mood === 'well') return undefined
      if (request.mood === 'down') throw new TypeError('Network connection lost.')
      return INTERFERENCES[request.mood]()
    }
    const answer = await within(platform.ask(given), shown(request))
    this.#requests += 1
    this.#statuses.set(answer.status, (this.#statuses.get(answer.status) ?? 0) + 1)
    if (network.asked.length > 0) this.#upstream += 1
    const steps = platform.steps + network.sent.length
    const path = new URL(given.url).pathname
    const what = broken({ request, path, token, answer, sent: network.sent, steps, logged: this.logged.join('\n'), isBad })
    if (what !== undefined)
      throw new Error(`${what}: ${shown(request)}\n${filled(request.path, jobs).slice(0, 200)}\n${seen(answer)}`)
    return answer
  }

  #requestOf({ method, path, query, credential, headers, body }: FuzzRequest, token: string): Request {
    const search = credential.form === 'in the query' ? `${query === '' ? '?' : `${query}&`}access_token=${token}` : query
    const all = new Headers()
    for (const [name, value] of headers) all.append(name, value)
    const authorization = authorizationOf(credential, token)
    if (authorization !== undefined) all.append('Authorization', authorization)
    const text = body?.replace(
      /%7Bassertion(?:\+|%20)(\w+)%7D/g,
      (_, name: string) => this.#credentials.assertions.get(name) ?? '',
    )
    return new Request(PUBLIC_BASE + filled(path, this.#deployment.jobs) + search, {
      method,
      headers: all,
      ...(text === undefined ? {} : { body: text }),
    })
  }
}

const seen = ({ status, headers, body }: Answer): string => `${status} ${JSON.stringify(headers)} ${body.slice(0, 400)}`

const within = async <T>(work: Promise<T>, what: string): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`hangs: ${what}`)), HANG_MS)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

const told = ({ seed, counterexamplePath, numShrinks, errorInstance }: fc.RunDetails<[FuzzRequest[]]>): Error =>
  new Error(
    `${errorInstance instanceof Error ? errorInstance.message : String(errorInstance)}\nafter ${numShrinks} shrinks; again with ` +
      `FUZZ_SEED=${seed} FUZZ_PATH=${counterexamplePath} npm run test:fuzz`,
    { cause: errorInstance },
  )
