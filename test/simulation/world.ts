/** Somebody whose code runs: an incarnation of an object, a Worker's invocation, or the simulation itself. */
export interface Owner {
  readonly name: string
  /** False once it crashed: nothing reaches it any more, and nothing that it awaits will ever settle. */
  alive: boolean
  /** Told of each id that its code makes. */
  onId?(id: string): void
}

/** Something that is under way and can happen next. */
export interface Step {
  readonly owner: Owner
  readonly label: string
  /** On its way to somebody else: it may arrive although its owner dies. What comes back dies with the owner. */
  readonly outgoing: boolean
  /** An exchange with the vendor or R2, which can go wrong in as many ways as its handler knows. */
  readonly canFail: boolean
  /** @param fault 0: all goes well. */
  run(fault: number): void
}

interface Timer {
  readonly owner: Owner
  atMs: number
  /** How often it rings; once when there is none. */
  readonly everyMs: number | undefined
  rings: number
  run(): void
}

/** A promise of the engine that was not kept. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

/** So often no interval rings while anything is under way. */
const MAX_RINGS = 20
/** What every exchange takes. */
const LATENCY_MS = 4
/** Noon of a day, so that HTTP dates are easy to read in a trail. */
const START_MS = Date.UTC(2026, 0, 5, 12)

/** The clock, and everything that is under way. One step is done at a time, and whatever it wakes runs until it waits again. */
export class World {
  now = START_MS
  readonly steps: Step[] = []
  readonly timers: Timer[] = []
  readonly nobody: Owner = { name: 'nobody', alive: true }
  /** Whose code runs now; whatever it starts belongs to it. */
  owner: Owner = this.nobody
  /** How the next exchange that can fail will do so. */
  fault = 0
  /** Told in order when a history is replayed, so that it can be read. */
  readonly trail: string[] | undefined
  violation: Violation | undefined
  #random: number
  #ids = 0

  constructor(seed: number, isTold: boolean) {
    this.#random = seed | 0
    this.trail = isTold ? [] : undefined
  }

  push(step: Step): Step {
    if (step.owner.alive || step.outgoing) this.steps.push(step)
    return step
  }

  drop(step: Step): void {
    const index = this.steps.indexOf(step)
    if (index !== -1) this.steps.splice(index, 1)
  }

  setTimer(run: () => void, waitMs: number, everyMs?: number): Timer {
    const timer = { owner: this.owner, atMs: this.now + Math.max(0, waitMs), everyMs, rings: 0, run }
    this.timers.push(timer)
    return timer
  }

  clearTimer(timer: Timer | null | undefined): void {
    const index = timer ? this.timers.indexOf(timer) : -1
    if (index !== -1) this.timers.splice(index, 1)
  }

  /** The timer that rings first. */
  nextTimer(): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.timers) if (!first || timer.atMs < first.atMs) first = timer
    return first
  }

  async ring(timer: Timer): Promise<void> {
    this.now = Math.max(this.now, timer.atMs)
    timer.rings += 1
    if (timer.everyMs === undefined || timer.rings > MAX_RINGS) this.clearTimer(timer)
    else timer.atMs = this.now + timer.everyMs
    if (timer.rings > MAX_RINGS) this.broken('an interval that nobody needs any more is ended')
    await this.act(timer.owner, 'timer', () => timer.run())
  }

  async perform(step: Step): Promise<void> {
    this.drop(step)
    this.now += LATENCY_MS
    const fault = step.canFail ? this.fault : 0
    if (step.canFail) this.fault = 0
    await this.act(step.owner, fault === 0 ? step.label : `${step.label} (fault ${fault})`, () => step.run(fault))
  }

  /** Runs something on somebody's behalf, and everything that it wakes. */
  async act(owner: Owner, label: string, work: () => void): Promise<void> {
    this.trail?.push(`${((this.now - START_MS) / 1000).toFixed(3)} ${owner.name}: ${label}`)
    this.owner = owner
    work()
    // Node calls back when its queue of microtasks is empty, and without a turn of its loop.
    await new Promise<void>((resolve) => process.nextTick(resolve))
    this.owner = this.nobody
    if (this.violation) throw this.violation
  }

  /** Ends a life: what was on its way out arrives or is lost, everything else is forgotten. */
  kill(owner: Owner, isLost: boolean): void {
    owner.alive = false
    const keeps = (step: Step): boolean => step.owner !== owner || (step.outgoing && !isLost)
    this.steps.splice(0, this.steps.length, ...this.steps.filter(keeps))
    this.timers.splice(0, this.timers.length, ...this.timers.filter((timer) => timer.owner !== owner))
  }

  note(text: string): void {
    this.trail?.push(`    ${text}`)
  }

  /** Remembers the first broken promise; the step that broke it ends, and then the history. */
  broken(promise: string): void {
    this.violation ??= new Violation(promise)
    this.note(`BROKEN: ${promise}`)
  }

  held(isKept: boolean, promise: string): void {
    if (!isKept) this.broken(promise)
  }

  /** In [0, 1): mulberry32, small and seeded. */
  random(): number {
    this.#random = (this.#random + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#random ^ (this.#random >>> 15), 1 | this.#random)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }

  uuid(): string {
    this.#ids += 1
    const id = `00000000-0000-4000-8000-${this.#ids.toString(16).padStart(12, '0')}`
    this.owner.onId?.(id)
    return id
  }
}
