import { Clients } from './clients.ts'
import { checkEnding } from './ending.ts'
import { enter, leave } from './globals.ts'
import { OurJobs } from './jobs.ts'
import { Platform } from './platform.ts'
import type { Choice, Plan } from './plan.ts'
import { Vendor } from './vendor.ts'
import { World } from './world.ts'

/** Far more than any history needs; one that takes more does not end. */
const MAX_STEPS = 30_000
const JUMPS_MS = [1_000, 61_000, 301_000, 1_300_000, 3_700_000, 15_000_000] as const
/** The sweep comes as often as `wrangler.toml` says; after so many times no alarm is lost any more. */
const SWEEPS = 3
const SWEEP_EVERY_MS = 300_000

/** What became of a history: for the trail of one that failed, and to see that all kinds of ends are reached. */
export interface Ended {
  readonly trail: readonly string[]
  readonly steps: number
  readonly ends: readonly string[]
}

/** One history: the real objects in a world that does what a plan says. */
class History {
  readonly #world: World
  readonly #plan: Plan
  readonly #ours: OurJobs
  readonly #vendor: Vendor
  readonly #platform: Platform
  readonly #clients: Clients
  #started = 0
  #steps = 0

  constructor(plan: Plan, isTold: boolean) {
    this.#plan = plan
    this.#world = new World(plan.seed, isTold)
    this.#ours = new OurJobs(this.#world, plan)
    this.#vendor = new Vendor(this.#world, plan, this.#ours)
    this.#platform = new Platform(this.#world, plan, this.#ours)
    this.#clients = new Clients(this.#world, plan, this.#platform, this.#ours, this.#vendor)
  }

  async run(): Promise<Ended> {
    this.#platform.begin()
    enter(this.#world, this.#vendor, (line) => this.#ours.logged(line))
    try {
      for (const choice of this.#plan.choices) {
        for (let skipped = 0; skipped < choice.skip; skipped++) await this.#goOn()
        await this.#act(choice)
      }
      await this.#end()
    } catch (error) {
      throw Object.assign(error as Error, { trail: this.#world.trail })
    } finally {
      // Rejections that nobody looked after are told in a turn of the loop.
      await new Promise<void>((resolve) => void setImmediate(resolve))
      leave()
      this.#platform.end()
    }
    return {
      trail: this.#world.trail ?? [],
      steps: this.#steps,
      ends: this.#ours.all.map(({ state, code, manifest }) => code ?? (manifest === undefined ? state : 'complete')),
    }
  }

  /** Nothing goes wrong any more, and everything comes to its end. */
  async #end(): Promise<void> {
    this.#world.fault = 0
    this.#world.note('from here on all is calm')
    this.#ours.calmSinceMs = this.#world.now
    for (let sweeps = 0; sweeps < SWEEPS; sweeps++) {
      await this.#sweep()
      const untilMs = this.#world.now + SWEEP_EVERY_MS
      while (this.#nextMs() <= untilMs && (await this.#goOn())) continue
      this.#world.now = Math.max(this.#world.now, untilMs)
    }
    while (await this.#goOn()) continue
    // What is gone is known to be gone.
    await this.#sweep()
    while (await this.#goOn()) continue
    checkEnding(this.#world, this.#platform, this.#ours, this.#vendor)
    if (this.#world.violation) throw this.#world.violation
  }

  /** When something happens next; at once while anything is under way. */
  #nextMs(): number {
    const isWaiting = this.#world.steps.length === 0 && this.#clients.looks.length === 0 && this.#ours.ended.length === 0
    if (!isWaiting || this.#started < this.#plan.jobs.length) return this.#world.now
    return Math.min(this.#world.nextTimer()?.atMs ?? Infinity, this.#platform.nextAlarm()?.dueMs ?? Infinity)
  }

  /** The usual course: who was first is served first, and time passes when nobody waits. @returns False when all is over. */
  async #goOn(): Promise<boolean> {
    this.#steps += 1
    if (this.#steps > MAX_STEPS) this.#world.broken('the history ends')
    const next = this.#plan.jobs[this.#started]
    if (next && next.startsAfter <= this.#steps) return this.#start()
    for (const job of this.#ours.ended.splice(0)) this.#clients.watch(job)
    for (const job of this.#ours.collecting.splice(0)) this.#clients.follow(job)
    const [step] = this.#world.steps
    if (step) {
      await this.#world.perform(step)
      return true
    }
    const look = this.#clients.looks.shift()
    if (look) {
      await look()
      return true
    }
    if (await this.#ring()) return true
    return next ? this.#start() : false
  }

  async #start(): Promise<boolean> {
    const plan = this.#plan.jobs[this.#started]
    if (!plan) return false
    this.#started += 1
    await this.#clients.start(this.#started - 1, plan)
    return true
  }

  /** Whatever rings next, rings. */
  async #ring(): Promise<boolean> {
    const world = this.#world
    const timer = world.nextTimer()
    const object = this.#platform.nextAlarm()
    if (timer && timer.atMs <= (object?.dueMs ?? Infinity)) {
      await world.ring(timer)
      return true
    }
    if (!object) return false
    world.now = Math.max(world.now, object.dueMs)
    await object.ring()
    return true
  }

  async #sweep(): Promise<void> {
    const { nobody } = this.#world
    await this.#world.act(nobody, 'sweep', () => void this.#platform.gate.call('sweep', []).catch(() => undefined))
  }

  async #act({ act, argument }: Choice): Promise<void> {
    const world = this.#world
    const pick = <T>(from: readonly T[]): T | undefined => from[argument % Math.max(1, from.length)]
    const job = pick(this.#ours.all)
    if (act < 9) {
      world.fault = argument
    } else if (act < 12) {
      const step = pick(world.steps)
      if (step) await world.perform(step)
    } else if (act < 17) {
      pick(this.#platform.objects().filter(({ lives }) => lives))?.crash(argument > 127)
    } else if (act === 17) {
      this.#platform.deploy(argument > 127)
    } else if (act < 20) {
      if (job) await this.#clients.look(job)
    } else if (act === 20) {
      if (job) await this.#clients.readFiles(job)
    } else if (act === 21) {
      if (job) await this.#clients.delete(job)
    } else if (act < 24) {
      if (job) await this.#clients.pry(job, argument >> 3)
    } else if (act === 24) {
      const jumpMs = pick(JUMPS_MS) ?? 0
      world.note(`${jumpMs} ms pass and nothing rings`)
      world.now += jumpMs
    } else if (act === 25) {
      const object = job && this.#platform.object('JOBS', job.id)
      if (object && object.dueMs < Infinity) await object.ring(true)
    } else if (act === 26) {
      const object = job && this.#platform.object('JOBS', job.id)
      if (object && object.dueMs < Infinity) {
        world.note(`the alarm of job ${job.number} is lost`)
        object.alarmMs = null
      }
    } else if (act === 27) {
      await this.#sweep()
    } else if (act < 30) {
      await this.#ring()
    } else if (act === 30) {
      await this.#clients.list(argument)
    } else {
      this.#vendor.tokens.revoke()
    }
  }
}

export const runHistory = (plan: Plan, isTold = false): Promise<Ended> => new History(plan, isTold).run()
