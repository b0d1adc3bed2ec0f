import { BROKEN, html, json, outcome, SILENT, spoken, waitOf, type Answer } from './answers.ts'
import type { OurJob, OurJobs } from './jobs.ts'
import { COOLDOWN_MS, deadlineMsOf, FLOOR_MS, HIDDEN_MS, MAX_POLL_MS, VENDOR_BASE } from './numbers.ts'
import type { Plan } from './plan.ts'
import { fileAnswer } from './vendor-files.ts'
import { newVendorJob, type VendorJob } from './vendor-job.ts'
import { VendorTokens } from './vendor-tokens.ts'
import { statusAnswer } from './vendor-status.ts'
import type { World } from './world.ts'

/** How long after its deadline a lease lasts at most. */
const LEASE_MARGIN_MS = 600_000

export interface VendorRequest {
  readonly method: string
  readonly url: string
  readonly headers: Headers
}

/** How the exchange ends for whoever asked. */
export interface Exchange {
  answer(fault: number): Answer
  /** The answer is there, whole. */
  arrived?(): void
  /** There is none, and whoever asked knows. */
  failed?(): void
}

/** One kick-off that was sent. It may be sent again only when the answer said that it was one too many, and came through. */
interface SentKickoff {
  maySendAgain: boolean
}

const busy = (answer: Answer) => ({ answer, isBusy: true })

const location = (job: VendorJob): Record<string, string> => ({ 'Content-Location': `${VENDOR_BASE}/status/${job.number}` })

/** The vendor: conformant in what it says, unreliable in everything else, and strict with who asks too much of it. */
export class Vendor {
  readonly jobs: VendorJob[] = []
  readonly world: World
  readonly plan: Plan
  readonly ours: OurJobs
  readonly tokens: VendorTokens
  readonly #kickoffs: SentKickoff[][] = []
  /** When the slots of taken kick-offs were granted, by group. */
  readonly #granted = new Map<string, number[]>()

  constructor(world: World, plan: Plan, ours: OurJobs) {
    this.world = world
    this.plan = plan
    this.ours = ours
    this.tokens = new VendorTokens(world, plan.habit)
  }

  /** A request leaves us. What it must not be is known now; what becomes of it is not. */
  sent(request: VendorRequest): Exchange {
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === '/token')
      return { answer: (fault) => this.tokens.answer(fault), failed: () => void (this.tokens.hadTrouble = true) }
    const [, , kind, name, index] = pathname.split('/')
    // Whether the vendor is there at all; everybody may ask.
    if (kind === 'metadata') return { answer: (fault) => this.#metadata(fault) }
    if (kind === 'Group') return this.#kickoff(request, name ?? '', searchParams)
    const job = this.jobs[Number(name)]
    if (!job) {
      this.world.broken(`the vendor has nothing at ${request.url}`)
      return { answer: () => spoken(404) }
    }
    if (kind === 'files') {
      const file = { index: Number(index), key: Number(searchParams.get('key')), headers: request.headers }
      return { answer: (fault) => this.tokens.refusal(request.headers) ?? fileAnswer(this, job, file, fault) }
    }
    if (request.method === 'DELETE') {
      job.deletes += 1
      return { answer: (fault) => this.tokens.refusal(request.headers) ?? this.#delete(job, fault) }
    }
    return statusAnswer(
      this,
      job,
      searchParams.get('page') !== null,
      (answered) => this.tokens.refusal(request.headers) ?? answered(),
    )
  }

  our(job: VendorJob): OurJob | undefined {
    return this.ours.byNumber(job.forJob)
  }

  #metadata(fault: number): Answer {
    if (fault % 4 === 1) return spoken(503)
    return fault % 4 === 2 ? BROKEN : json(200, { resourceType: 'CapabilityStatement' })
  }

  #kickoff(request: VendorRequest, group: string, query: URLSearchParams): Exchange {
    const forJob = Number(/(\d+)Z$/.exec(query.get('_since') ?? '')?.[1])
    const earlier = (this.#kickoffs[forJob] ??= [])
    this.world.held(
      earlier.every(({ maySendAgain }) => maySendAgain),
      'a kick-off is sent again only after an answer that said it was one too many [N-06]',
    )
    const sent: SentKickoff = { maySendAgain: false }
    earlier.push(sent)
    let arrived: (() => void) | undefined
    return {
      answer: (fault) => {
        const unauthorized = this.tokens.refusal(request.headers)
        if (unauthorized) return unauthorized
        const { answer, isBusy, job } = this.#decide(group, forJob, fault)
        arrived = () => {
          if (isBusy) sent.maySendAgain = true
          if (job) job.isKnown = answer.kind === 'spoken' && 'Content-Location' in answer.headers
        }
        return answer
      },
      arrived: () => arrived?.(),
    }
  }

  /** What a kick-off is answered, and whether an export runs for it. */
  #decide(group: string, forJob: number, fault: number): { answer: Answer; isBusy?: boolean; job?: VendorJob } {
    const { now } = this.world
    const wait = waitOf(fault >> 4, now)
    const taken = (answer: (job: VendorJob) => Answer) => {
      const job = this.#take(group, forJob)
      return { answer: answer(job), job }
    }
    if (this.plan.habit === 'busy') return busy(spoken(429, { 'Retry-After': '40000' }))
    if (this.plan.habit === 'refuses') return { answer: outcome(400, 'invalid') }
    switch (fault % 24) {
      case 1:
        return busy(spoken(429, wait.headers))
      case 2:
        return busy(spoken(503, wait.headers))
      case 3:
        return busy(outcome(409, 'duplicate'))
      case 4:
        return busy(outcome(400, 'processing', 'Error: requested too recently'))
      case 5:
        return { answer: outcome(500, 'exception') }
      case 6:
        return { answer: outcome(403, 'forbidden') }
      case 7:
        return { answer: spoken(502) }
      case 8:
        return taken(() => spoken(504))
      case 9:
        return { answer: BROKEN }
      case 10:
        return taken(() => BROKEN)
      case 11:
        return { answer: spoken(200) }
      case 12:
        return taken(() => spoken(202))
      case 13:
        return { answer: html() }
      case 14:
        return taken(() => SILENT)
      case 15:
        return { answer: SILENT }
      case 16:
        this.tokens.revoke()
        return { answer: outcome(401, 'login') }
      case 17:
        return taken(() => spoken(408))
      case 18:
        return taken((job) => spoken(202, location(job), 'accep', 'broken'))
      default:
        return taken((job) => {
          if (wait.waitMs !== undefined) job.pollFromMs = now + Math.min(MAX_POLL_MS, Math.max(FLOOR_MS, wait.waitMs))
          return spoken(202, { ...location(job), ...wait.headers })
        })
    }
  }

  #take(group: string, forJob: number): VendorJob {
    const { now } = this.world
    const { inFlight, cools, jobs } = this.plan
    const plan = jobs[forJob]
    if (!plan) throw new Error(`a kick-off for job ${forJob}, which nobody planned`)
    const others = this.jobs.filter((job) => this.#counts(job)).length
    this.world.held(inFlight === 0 || others < inFlight, `no more than ${inFlight} exports run at the vendor`)
    // Slots, and not arrivals: a kick-off may be long on its way.
    const grantedMs = this.ours.byNumber(forJob)?.grantedMs ?? now
    const earlier = this.#granted.get(group) ?? []
    const isCool = earlier.every((otherMs) => Math.abs(otherMs - grantedMs) >= COOLDOWN_MS)
    this.world.held(!cools || isCool, 'no kick-off while its group cools down')
    this.#granted.set(group, [...earlier, grantedMs])
    const job = newVendorJob(plan, this.plan, { number: this.jobs.length, forJob, nowMs: now })
    this.jobs.push(job)
    this.world.note(`the vendor takes export ${job.number} for job ${forJob}`)
    return job
  }

  /** Whether an export is one that our side must count: it runs, and nothing took it out of our sight. */
  #counts(job: VendorJob): boolean {
    const our = this.our(job)
    if (!job.isRunning || job.wentBack || job.isLost || job.deletes > 0 || !our) return false
    const { now } = this.world
    // A lease that its job could no longer give back ends by itself.
    if (now > (our.grantedMs ?? 0) + deadlineMsOf(this.plan) + LEASE_MARGIN_MS) return false
    if (job.isKnown) return !this.tokens.hadTrouble || our.state === 'running'
    if (our.state === 'cancelled' && now < job.takenMs + HIDDEN_MS) return true
    return our.state === 'submitting' || (our.ambiguousMs !== undefined && now < our.ambiguousMs + HIDDEN_MS)
  }

  #delete(job: VendorJob, fault: number): Answer {
    if (this.plan.habit === 'never-deletes') return spoken(500)
    switch (fault % 6) {
      case 1:
        return spoken(500)
      case 2:
        return BROKEN
      case 3:
        job.isRunning = false
        return BROKEN
      case 4:
        return SILENT
      default:
        job.isRunning = false
        return spoken(202)
    }
  }
}
