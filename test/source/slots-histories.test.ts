import { describe, expect, it } from 'vitest'
import { Slots, type Applicant } from '../../src/source/slots.ts'
import { gateDatabase, randomOf } from './support.ts'

const HISTORIES = 200
const STEPS = 60
const START_MS = 1_800_000_000_000
const MINUTE_MS = 60_000
const LEASE_MS = 2 * MINUTE_MS
const SEEDS = Array.from({ length: HISTORIES }, (_, index) => index + 1)

const clientOf = (job: string): string => job.slice(0, 1)

/** A gate under a random history, beside what it promises. */
class World {
  readonly sql = gateDatabase()
  slots = new Slots(this.sql)
  readonly random
  readonly inFlight: number
  readonly coolMs: number
  nowMs = START_MS
  /** Jobs that have a slot, with when their lease ends. */
  readonly leases = new Map<string, number>()
  /** Jobs that wait, with when they first asked. */
  readonly waiting = new Map<string, number>()
  readonly targets = new Map<string, string>()
  /** No grant of a target before this; '' is every target. */
  readonly paused = new Map<string, number>()
  readonly kickedOffMs = new Map<string, number>()
  shutMs = 0

  constructor(seed: number, coolMs?: number) {
    this.random = randomOf(seed)
    this.inFlight = this.random.pick([1, 2, 3, Infinity])
    this.coolMs = coolMs ?? this.random.pick([0, 30 * MINUTE_MS])
  }

  readonly shutUntil = (): number => this.shutMs

  applicant(job: string): Applicant {
    const target = this.targets.get(job) ?? this.random.pick(['g1', 'g2', 'g3'])
    this.targets.set(job, target)
    return { jobId: job, clientId: clientOf(job), sourceId: 's', target, coolMs: this.coolMs, inFlight: this.inFlight }
  }

  /** Asks as `SourceGate.acquire` does, and holds the answer against the promises. */
  ask(job: string): boolean {
    this.expire()
    if (this.slots.has(job)) return true
    expect(this.leases.has(job)).toBe(false)
    this.slots.join(this.applicant(job), this.nowMs)
    if (!this.waiting.has(job)) this.waiting.set(job, this.nowMs)
    const { isServed, place } = this.slots.standing(job, this.shutUntil, this.nowMs)
    expect(place).toBeGreaterThanOrEqual(1)
    if (isServed) this.granted(job)
    return isServed
  }

  granted(job: string): void {
    const target = this.targets.get(job) ?? ''
    expect(this.leases.size).toBeLessThan(this.inFlight)
    expect(this.nowMs).toBeGreaterThanOrEqual(Math.max(this.shutMs, this.paused.get('') ?? 0, this.paused.get(target) ?? 0))
    expect(this.nowMs).toBeGreaterThanOrEqual((this.kickedOffMs.get(target) ?? -Infinity) + this.coolMs)
    this.slots.grant(job, LEASE_MS, this.nowMs)
    this.kickedOffMs.set(target, this.nowMs)
    this.waiting.delete(job)
    this.leases.set(job, this.nowMs + LEASE_MS)
  }

  expire(): void {
    this.slots.expire(this.nowMs)
    for (const [job, untilMs] of this.leases) if (untilMs <= this.nowMs) this.leases.delete(job)
  }

  release(job: string, kickoffTaken: boolean): void {
    this.slots.giveBack(job, kickoffTaken)
    if (this.leases.delete(job) && !kickoffTaken) this.kickedOffMs.delete(this.targets.get(job) ?? '')
    this.waiting.delete(job)
  }

  requeue(job: string, about: 'source' | 'target', waitMs: number): void {
    const target = this.targets.get(job) ?? ''
    const scope = about === 'source' ? '' : target
    this.slots.requeue(job, about, this.nowMs + waitMs, this.nowMs)
    this.paused.set(scope, Math.max(this.paused.get(scope) ?? 0, this.nowMs + waitMs))
    if (!this.leases.delete(job)) return
    this.kickedOffMs.delete(target)
    this.waiting.set(job, 0)
  }

  /** Jobs in the order of their places. */
  line(slots = this.slots): string[] {
    const places = [...this.waiting.keys()].map((job) => ({ job, ...slots.standing(job, this.shutUntil, this.nowMs) }))
    return places.toSorted((one, other) => one.place - other.place).map(({ job }) => job)
  }

  step(): void {
    const job = this.random.pick(['a1', 'a2', 'a3', 'b1', 'b2', 'c1'])
    const leased = [...this.leases.keys()]
    switch (this.random.below(8)) {
      case 0:
      case 1:
      case 2:
        this.ask(job)
        break
      case 3:
        if (leased.length > 0) this.release(this.random.pick(leased), this.random.below(2) === 0)
        break
      case 4:
        if (leased.length > 0)
          this.requeue(this.random.pick(leased), this.random.pick(['source', 'target']), this.random.below(20) * MINUTE_MS)
        break
      case 5:
        this.nowMs += this.random.pick([1, 1_000, MINUTE_MS])
        this.expire()
        break
      case 6:
        this.shutMs = this.random.pick([0, 0, this.nowMs + MINUTE_MS])
        break
      case 7:
        // A new life of the gate: rows are all that is left.
        this.slots = new Slots(this.sql)
        break
    }
  }

  /** Everybody asks, so that nobody counts as gone. */
  askAll(): void {
    for (const job of this.waiting.keys()) this.ask(job)
  }
}

describe(`${HISTORIES} random histories of one gate`, () => {
  it('never grant more slots than there are, nor one during a cool-down, a pause or an open breaker', () => {
    for (const seed of SEEDS) {
      const world = new World(seed)
      for (let step = 0; step < STEPS; step++) world.step()
      expect(world.slots.count(), `seed ${seed}`).toBe(world.leases.size)
    }
  })

  it('give each waiting job a place of its own, from 1 on, and the same after a restart', () => {
    for (const seed of SEEDS) {
      const world = new World(seed)
      for (let step = 0; step < STEPS; step++) {
        world.step()
        if (step % 6 > 0) continue
        world.askAll()
        const places = [...world.waiting.keys()].map((job) => world.slots.standing(job, world.shutUntil, world.nowMs).place)
        expect(
          places.toSorted((one, other) => one - other),
          `seed ${seed}`,
        ).toEqual(places.map((_, index) => index + 1))
        expect(world.line(new Slots(world.sql)), `seed ${seed}`).toEqual(world.line())
      }
    }
  })

  it('put a job that the vendor was too busy for back to where it was', () => {
    let requeued = 0
    for (const seed of SEEDS) {
      const world = new World(seed, 0)
      for (let step = 0; step < STEPS; step++) world.step()
      world.shutMs = 0
      world.paused.clear()
      world.nowMs += 20 * MINUTE_MS
      world.expire()
      for (const job of world.leases.keys()) world.release(job, true)
      for (const job of ['a1', 'b1', 'c1', 'a2', 'b2', 'a3']) world.slots.join(world.applicant(job), (world.nowMs += 1))
      for (const job of ['a1', 'b1', 'c1', 'a2', 'b2', 'a3']) world.waiting.set(job, world.nowMs)
      world.nowMs += 1
      const before = world.line()
      const [head] = before
      if (head === undefined) continue
      world.granted(head)
      world.nowMs += world.random.below(1_000)
      world.requeue(head, 'source', MINUTE_MS)
      expect(world.line(), `seed ${seed}`).toEqual(before)
      requeued += 1
    }
    expect(requeued).toBe(HISTORIES)
  })

  it('serve every client within as many grants as there are clients, whatever is put back or paused', () => {
    for (const seed of SEEDS) {
      const world = new World(seed, 0)
      const jobs = ['a', 'b', 'c'].flatMap((client) => Array.from({ length: 4 }, (_, index) => `${client}${index}`))
      for (const job of jobs) world.slots.join({ ...world.applicant(job), inFlight: 1 }, (world.nowMs += 1))
      for (const job of jobs) world.waiting.set(job, world.nowMs)
      const granted: string[] = []
      for (let turn = 0; turn < 1_000 && world.waiting.size > 0; turn++) {
        world.nowMs += MINUTE_MS
        const [next] = world.slots.served(world.shutUntil, world.nowMs)
        for (const job of world.waiting.keys()) world.slots.join({ ...world.applicant(job), inFlight: 1 }, world.nowMs)
        if (!next) continue
        world.granted(next.job)
        if (world.random.below(3) === 0) {
          world.requeue(next.job, 'source', world.random.below(3) * MINUTE_MS)
        } else {
          granted.push(next.client)
          world.release(next.job, true)
        }
      }
      expect(world.waiting.size, `seed ${seed}`).toBe(0)
      for (let turn = 0; turn < 4; turn++)
        expect(new Set(granted.slice(turn * 3, turn * 3 + 3)).size, `seed ${seed}: ${granted.join(' ')}`).toBe(3)
    }
  })

  it('lose no job: once nothing fails any more, each that asks is served', () => {
    for (const seed of SEEDS) {
      const world = new World(seed)
      for (let step = 0; step < STEPS; step++) world.step()
      world.shutMs = 0
      const left = new Set(world.waiting.keys())
      for (let round = 0; round < 400 && left.size > 0; round++) {
        world.nowMs += MINUTE_MS
        world.expire()
        for (const job of left) {
          if (!world.ask(job)) continue
          left.delete(job)
          world.release(job, true)
        }
      }
      expect([...left], `seed ${seed}`).toEqual([])
    }
  })
})
