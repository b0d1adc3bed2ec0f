import { app } from '../../src/app.ts'
import { rowsOf } from './ending.ts'
import type { OurJob, OurJobs } from './jobs.ts'
import { GRACE_MS, OTHER_SOURCE_ID, PUBLIC_BASE, SOURCE_ID, UNTIL } from './numbers.ts'
import { CLIENTS, STRANGER, type Platform } from './platform.ts'
import type { JobPlan, Plan } from './plan.ts'
import type { SimulatedResponse } from './polyfills.ts'
import { Reading } from './reading.ts'
import type { Vendor } from './vendor.ts'
import type { Owner, World } from './world.ts'

export interface ClientAnswer {
  readonly status: number
  readonly headers: Headers
  /** Nothing when the body broke off. */
  readonly text: string | undefined
}

/** An id that no job has. */
const NO_JOB = 'ffffffff-ffff-4fff-8fff-ffffffffffff'
/** Looks at an export whose files come. */
const MOST_FOLLOWED = 5
const FOLLOWED_EVERY_MS = 7_000
/** What is answered when an object or R2 failed under a request: nothing is learnt from it, and the client asks again. */
const FAILED = 'Bulkhead failed to answer'

export const isLost = ({ text }: ClientAnswer): boolean => text === undefined || text.includes(FAILED)

/** The clients: they ask, read and delete, and compare what they are told with what they were told before. */
export class Clients {
  /** Looks that somebody wants to take as soon as nothing else is under way. */
  readonly looks: (() => Promise<void>)[] = []
  readonly #world: World
  readonly #plan: Plan
  readonly #platform: Platform
  readonly #ours: OurJobs
  readonly #reading: Reading
  #absent: string | undefined

  constructor(world: World, plan: Plan, platform: Platform, ours: OurJobs, vendor: Vendor) {
    this.#world = world
    this.#plan = plan
    this.#platform = platform
    this.#ours = ours
    this.#reading = new Reading(world, plan, ours, vendor)
  }

  /** Asks for the `number`th export. */
  async start(number: number, plan: JobPlan): Promise<void> {
    const client = CLIENTS[plan.client] ?? CLIENTS[0]
    let job: OurJob | undefined
    const onId = (id: string): void => {
      job ??= this.#ours.add(number, id, client, plan)
    }
    const { filters, organizes, streams } = this.#plan
    const query = [
      `_since=2020-01-01T00:00:0${number}Z`,
      ...(filters ? [`_until=${UNTIL}`] : []),
      ...(organizes && !streams ? ['organizeOutputBy=Patient'] : []),
      ...(plan.isPaged ? ['allowPartialManifests=true'] : []),
    ]
    const path = `/fhir/${SOURCE_ID}/Group/g${plan.group}/$export?${query.join('&')}`
    const answered = (answer: ClientAnswer): void => {
      if (!job) {
        this.#world.held(answer.status !== 202, 'a kick-off that is accepted has a job')
        return
      }
      const at = answer.headers.get('Content-Location') ?? ''
      if (answer.status === 202) this.#world.held(at.endsWith(job.id), 'the status URL is that of the job')
      job.answered = answer.status === 202 ? 'accepted' : isLost(answer) ? 'lost' : 'refused'
      const { database } = this.#platform.object('JOBS', job.id)
      if (job.answered === 'refused') this.#world.held(database.counts().size === 0, 'a refused export leaves nothing behind')
    }
    await this.#ask(client, 'GET', path, answered, onId)
  }

  /** Asks for the status; and for the files, when there are any. */
  async look(job: OurJob, page = 1): Promise<void> {
    const before = { state: job.state, isDeleted: job.isDeleted, atMs: this.#world.now, page }
    await this.#ask(job.client, 'GET', this.#path(job) + (page === 1 ? '' : `?page=${page}`), (answer) => {
      if (isLost(answer)) return
      const next = this.#reading.status(job, before, answer)
      if (next === 'files') this.lookLater(() => this.readFiles(job))
      else if (next !== 'nothing') this.lookLater(() => this.look(job, next))
    })
  }

  /** Looks now and then at an export whose files come, so that it is told of some of them before the others. */
  follow(job: OurJob, looks = MOST_FOLLOWED): void {
    const world = this.#world
    world.owner = world.nobody
    world.setTimer(() => {
      if (job.state !== 'collecting') return
      this.lookLater(() => this.look(job))
      if (looks > 1) this.follow(job, looks - 1)
    }, FOLLOWED_EVERY_MS)
  }

  lookLater(look: () => Promise<void>): void {
    this.looks.push(look)
  }

  /** Looks at an export that has just ended: now, again by another life of its object, and when it is over. */
  watch(job: OurJob): void {
    const world = this.#world
    world.owner = world.nobody
    world.setTimer(() => this.#holdsNoSlot(job), GRACE_MS * 2)
    if (job.state === 'cancelled') return
    this.lookLater(() => this.look(job))
    const later = (waitMs: number, isCrash: boolean): void => {
      world.owner = world.nobody
      world.setTimer(() => {
        if (isCrash) this.#platform.object('JOBS', job.id).crash(false)
        this.lookLater(() => this.look(job))
      }, waitMs)
    }
    // Now and then is enough, and costs a third.
    if (this.#world.random() < 1 / 3) later(GRACE_MS * 4, true)
    if (this.#world.random() < 1 / 2) later(GRACE_MS * 10 + 1, false)
  }

  /** Long after its end an export has given its slot back, whatever becomes of its rows. */
  #holdsNoSlot(job: OurJob): void {
    const { calmSinceMs } = this.#ours
    if (calmSinceMs === 0 || this.#world.now < calmSinceMs + GRACE_MS || job.heldMs !== undefined) return
    const isHeld = rowsOf(this.#platform.gate.database, 'lease').some((lease) => lease.job === job.id)
    this.#world.held(!isHeld, `an export that is ${job.state} has no slot any more`)
  }

  async readFiles(job: OurJob): Promise<void> {
    const paths = this.#reading.pathsOf(job)
    const before = { state: job.state, isDeleted: job.isDeleted, atMs: this.#world.now }
    for (const [index, path] of paths.entries()) {
      const isLast = index === paths.length - 1
      this.lookLater(() =>
        this.#ask(job.client, 'GET', path, (answer) => {
          this.#reading.file(job, { ...before, path }, answer)
          if (isLast) this.#reading.all(job)
        }),
      )
    }
  }

  async delete(job: OurJob): Promise<void> {
    const { isDeleted } = job
    await this.#ask(job.client, 'DELETE', this.#path(job), (answer) => {
      if (isLost(answer)) return
      if (isDeleted) this.#world.held(answer.status === 404, `a second DELETE is 404, not ${answer.status} [DL-02]`)
      if (answer.status === 202) job.isDeleted = true
      else this.#world.held(answer.status === 404, `DELETE is 202 or 404, not ${answer.status} [N-31]`)
    })
  }

  /** Somebody else asks, or its owner under another source: as if there were no such job [N-33]. */
  async pry(job: OurJob, how: number): Promise<void> {
    const method = how % 4 === 0 ? 'DELETE' : 'GET'
    const isOwner = how % 2 === 1
    const caller = isOwner ? job.client : STRANGER
    const source = isOwner ? OTHER_SOURCE_ID : SOURCE_ID
    const [path = this.#path(job)] = how % 8 > 4 ? this.#reading.pathsOf(job) : []
    const asked = path.replace(`/fhir/${SOURCE_ID}/`, `/fhir/${source}/`)
    const compare = (answer: ClientAnswer): void => {
      if (isLost(answer)) return
      this.#world.held(
        answer.status === 404 && answer.text === this.#absent,
        `somebody else's export is as if it were not there, not ${answer.status} ${answer.text} [N-33]`,
      )
    }
    if (this.#absent !== undefined) return this.#ask(caller, method, asked, compare)
    return this.#ask(STRANGER, 'GET', `/fhir/${SOURCE_ID}/jobs/${NO_JOB}`, (answer) => {
      if (isLost(answer)) return
      this.#absent = answer.text
      this.lookLater(() => this.#ask(caller, method, asked, compare))
    })
  }

  /** The caller's own exports: nobody else's. */
  async list(who: number): Promise<void> {
    const caller = [...CLIENTS, STRANGER][who % 4] ?? STRANGER
    await this.#ask(caller, 'GET', '/jobs', (answer) => {
      if (isLost(answer) || answer.text === undefined) return
      const { jobs } = JSON.parse(answer.text) as { jobs: readonly { id: string }[] }
      for (const { id } of jobs)
        this.#world.held(this.#ours.byId(id)?.client === caller, 'a client is shown its own exports only')
    })
  }

  get isCalm(): boolean {
    return this.#ours.calmSinceMs > 0 && this.#plan.jobs.length > 0
  }

  #path(job: OurJob): string {
    return `/fhir/${SOURCE_ID}/jobs/${job.id}`
  }

  async #ask(
    caller: string,
    method: string,
    path: string,
    done: (answer: ClientAnswer) => void,
    onId?: (id: string) => void,
  ): Promise<void> {
    const world = this.#world
    const owner: Owner = { name: `request of ${caller}`, alive: true, ...(onId ? { onId } : {}) }
    const request = { method, url: PUBLIC_BASE + path, headers: new Headers({ 'X-Caller': caller }) }
    const answered = async (): Promise<void> => {
      const context = { waitUntil: () => undefined, passThroughOnException: () => undefined, props: {} }
      const response = (await app.fetch(request as Request, this.#platform.environment, context)) as unknown as SimulatedResponse
      const text = await response.text().catch(() => undefined)
      world.note(`${method} ${path} of ${caller} is answered ${response.status} ${text ?? '(broken off)'}`)
      done({ status: response.status, headers: response.headers, text })
    }
    await world.act(owner, `${method} ${path}`, () => void answered())
  }
}
