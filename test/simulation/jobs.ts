import type { JobState } from '../../src/job/model.ts'
import { deadlineMsOf, RETENTION_MS } from './numbers.ts'
import type { JobPlan, Plan } from './plan.ts'
import type { World } from './world.ts'
import { leakIn } from '../private-log.ts'

/** Which states may follow. From what is over there is no way back, only out. */
const NEXT: Record<JobState, readonly JobState[]> = {
  queued: ['submitting', 'failed', 'cancelled'],
  submitting: ['running', 'queued', 'failed', 'cancelled'],
  running: ['collecting', 'complete', 'failed', 'cancelled'],
  collecting: ['complete', 'failed', 'cancelled'],
  complete: ['expired', 'cancelled'],
  failed: ['expired', 'cancelled'],
  cancelled: [],
  expired: [],
}

const QUEUE_DEADLINE_MS = 7 * 24 * 3_600_000
const SUBMIT_DEADLINE_MS = 120_000
/** What an alarm, an effect under way or a sweep may add, once nothing goes wrong any more. */
const SLACK_MS = 900_000

/** One export as its client and its log see it. */
export interface OurJob {
  readonly number: number
  readonly id: string
  readonly client: string
  readonly plan: JobPlan
  state: JobState
  sinceMs: number
  /** How its client's kick-off was answered. */
  answered: 'not yet' | 'accepted' | 'refused' | 'lost'
  /** A DELETE was answered with 202. */
  isDeleted: boolean
  /** When its slot was granted. */
  grantedMs: number | undefined
  /** The same, though it was given back since. */
  lastGrantMs: number
  /** When its slot was last held for an export that nobody can name. */
  heldMs: number | undefined
  /** When a kick-off whose answer nobody has was given up. */
  ambiguousMs: number | undefined
  code: string | undefined
  manifest: string | undefined
  /** Pages of the manifest by number, without what may still be added to them. */
  readonly pages: Map<number, string>
  /** The last page was read. */
  isListed: boolean
  expiresMs: number
  /** What a failed export was told to be. */
  failure: string | undefined
  readonly digests: Map<string, string>
}

/** All exports of a history, kept up to date by the engine's own log. */
export class OurJobs {
  readonly all: OurJob[] = []
  /** Deadlines count from here once nothing goes wrong any more. */
  calmSinceMs = 0
  readonly #world: World
  readonly #plan: Plan
  readonly #byId = new Map<string, OurJob>()
  /** Jobs that have just come to an end, for their clients to look at. */
  readonly ended: OurJob[] = []
  /** Jobs whose files have begun to come, for clients that want to hear of them page by page. */
  readonly collecting: OurJob[] = []

  constructor(world: World, plan: Plan) {
    this.#world = world
    this.#plan = plan
  }

  add(number: number, id: string, client: string, plan: JobPlan): OurJob {
    const job: OurJob = {
      number,
      id,
      client,
      plan,
      state: 'queued',
      sinceMs: this.#world.now,
      answered: 'not yet',
      isDeleted: false,
      grantedMs: undefined,
      lastGrantMs: 0,
      ambiguousMs: undefined,
      heldMs: undefined,
      code: undefined,
      manifest: undefined,
      pages: new Map(),
      isListed: false,
      expiresMs: Infinity,
      failure: undefined,
      digests: new Map(),
    }
    this.all.push(job)
    this.#byId.set(id, job)
    return job
  }

  byNumber(number: number): OurJob | undefined {
    return this.all.find((job) => job.number === number)
  }

  byId(id: string): OurJob | undefined {
    return this.#byId.get(id)
  }

  /** Takes one line of the engine's log. */
  logged(line: string): void {
    this.#world.note(line)
    const leak = leakIn(line)
    if (leak !== undefined) this.#world.broken(`the log holds ${leak}`)
    if (!line.includes('"job.state"')) return
    const { jobId, from, to, code } = JSON.parse(line) as { jobId: string; from: JobState; to: JobState; code?: string }
    const job = this.#byId.get(jobId)
    if (!job) {
      this.#world.broken('a job that nobody asked for changed its state')
      return
    }
    this.#world.held(from === job.state, `a job goes on from the state that it was in: ${job.state}, not ${from}`)
    this.#world.held(NEXT[from].includes(to), `a job never goes from ${from} to ${to}`)
    this.#inTime(job)
    job.state = to
    job.sinceMs = this.#world.now
    if (code !== undefined) job.code = code
    if (to === 'failed' && code === 'kickoff_ambiguous') job.ambiguousMs = this.#world.now
    if (to === 'complete' || to === 'failed') job.expiresMs = this.#world.now + RETENTION_MS
    if (to === 'complete' || to === 'failed' || to === 'cancelled') this.ended.push(job)
    if (to === 'collecting' && job.plan.isPaged) this.collecting.push(job)
  }

  /** Takes what a call between objects came back with. */
  returned(method: string, [given]: readonly unknown[], value: unknown): void {
    if (method === 'acquire') {
      const job = this.#byId.get((given as { jobId: string }).jobId)
      if (job && (value as { kind: string }).kind === 'granted') {
        job.grantedMs ??= this.#world.now
        job.lastGrantMs = job.grantedMs
      }
    } else if (method === 'release' || method === 'requeue') {
      const job = this.#byId.get(given as string)
      if (job) job.grantedMs = undefined
    } else if (method === 'hold') {
      const job = this.#byId.get(given as string)
      if (job) job.heldMs = this.#world.now
    }
  }

  /** No state lasts longer than it may. */
  #inTime(job: OurJob): void {
    const limit = this.#limitMs(job)
    const since = Math.max(job.sinceMs, this.calmSinceMs)
    if (this.calmSinceMs > 0 && this.#world.now - since > limit + SLACK_MS)
      this.#world.broken(`a job is ${job.state} for ${limit} ms at most, not ${this.#world.now - since}`)
  }

  #limitMs({ state }: OurJob): number {
    switch (state) {
      case 'queued':
        return QUEUE_DEADLINE_MS
      case 'submitting':
        return SUBMIT_DEADLINE_MS
      case 'running':
      case 'collecting':
        return deadlineMsOf(this.#plan)
      case 'complete':
      case 'failed':
        return RETENTION_MS
      case 'cancelled':
      case 'expired':
        return Infinity
    }
  }
}
