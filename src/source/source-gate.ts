import { DurableObject } from 'cloudflare:workers'
import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { log, nameOf } from '../log.ts'
import type { Source } from '../vendor/source.ts'
import { Breaker, type Permit } from './breaker.ts'
import { configuredSource, type Misconfigured } from './configured-source.ts'
import { fractionOf, withJitter } from './jitter.ts'
import { isReachable } from './probe.ts'
import type { Waiting } from './queue.ts'
import { prepare } from './schema.ts'
import { Slots } from './slots.ts'
import { Sweep } from './sweep.ts'
import { VendorTokens, type GateToken } from './vendor-tokens.ts'

/** How often a waiting job asks, unless it is told earlier. */
const RETRY_MS = 60_000
/** Jobs that are told at a time that slots are free; each that is served makes the next one's place known. */
const MAX_WOKEN = 20
/** A job that was told asks within this, or has its own reasons. */
const WOKEN_MS = 15_000

export type { GateToken, Misconfigured, Permit }

export interface SlotRequest {
  readonly sourceId: string
  readonly jobId: string
  readonly clientId: string
  /** What the vendor counts kick-offs by: the level and group. */
  readonly target: string
  /** A lease never outlives this. */
  readonly leaseMs: number
}

/** `place`: 1 is next. `retryMs`: when to ask again; a job may be woken earlier. */
export type SlotAnswer =
  Misconfigured | { readonly kind: 'granted' } | { readonly kind: 'refused'; readonly place: number; readonly retryMs: number }

/**
 * What all jobs of one vendor client share: slots in flight, kick-off cool-downs and pauses, circuit breakers, the access tokens, and
 * the list of live jobs that the sweep looks after. One object per configured gate.
 */
export class SourceGate extends DurableObject<Env> {
  readonly #slots: Slots
  readonly #sweep: Sweep
  readonly #tokens: VendorTokens
  readonly #breakers = new Map<string, Breaker>()
  readonly #wokenMs = new Map<string, number>()

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    const { sql } = state.storage
    prepare(sql)
    this.#slots = new Slots(sql)
    this.#tokens = new VendorTokens(env, sql)
    this.#sweep = new Sweep(
      sql,
      (jobId) => this.#job(jobId).rearm(),
      (jobId) => this.#slots.drop(jobId),
    )
  }

  /** A place among the vendor's exports in flight, or one in the queue. Asking again keeps either. */
  async acquire(request: SlotRequest): Promise<SlotAnswer> {
    const source = await configuredSource(this.env, request.sourceId)
    if ('kind' in source) return source
    const { jobId } = request
    const { inFlight = Infinity, kickoffEverySeconds = 0 } = source.dialect.limits ?? {}
    const now = Date.now()
    this.#wokenMs.delete(jobId)
    this.#slots.expire(now)
    this.#sweep.track(jobId)
    if (this.#slots.has(jobId)) return { kind: 'granted' }
    this.#slots.join({ ...request, inFlight, coolMs: kickoffEverySeconds * 1000 }, now)
    const { place, isServed, cooledMs, pausedUntilMs } = this.#slots.standing(jobId, this.#shutUntil(now), now)
    if (isServed) {
      this.#slots.grant(jobId, request.leaseMs, now)
      return { kind: 'granted' }
    }
    this.#probeIfDue(source, now)
    this.ctx.waitUntil(this.#wakeOvertaken(now))
    // Those who wait for one point in time must not all come at it; of those who cool down only the first may go anyway.
    const sharedMs = Math.max(pausedUntilMs, this.#shutUntil(now)(source.id)) - now
    const waitMs = Math.max(cooledMs - now, sharedMs > 0 ? withJitter(sharedMs, fractionOf(jobId)) : 0)
    const retryMs = waitMs > 0 ? waitMs : RETRY_MS
    if (retryMs > RETRY_MS) this.#slots.expect(jobId, now + retryMs)
    return { kind: 'refused', place, retryMs }
  }

  /**
   * Gives a slot back, or a place in the queue up; those who can have one are told.
   *
   * @param kickoffTaken False when the vendor took no kick-off in this slot: its cool-down has not begun.
   */
  async release(jobId: string, kickoffTaken: boolean): Promise<void> {
    this.#slots.giveBack(jobId, kickoffTaken)
    await this.#wakeServed(Date.now())
  }

  /**
   * The vendor was too busy for this job's kick-off: it gives its slot back and keeps its place in the queue.
   *
   * @param about What was too much: any kick-off at this vendor, or one of this job's target.
   * @param untilMs Nobody whom it is about has a slot before this, epoch ms.
   */
  async requeue(jobId: string, about: 'source' | 'target', untilMs: number): Promise<void> {
    const now = Date.now()
    this.#slots.requeue(jobId, about, untilMs, now)
    await this.#wakeServed(now)
  }

  /** Bounds a lease that its job can no longer give back: a vendor job may run that nobody can name, even when ours is gone. */
  hold(jobId: string, untilMs: number): void {
    this.#slots.hold(jobId, untilMs)
  }

  /** From now on the sweep looks after a job. */
  track(jobId: string): void {
    this.#sweep.track(jobId)
  }

  /** A job of which nothing is left needs no sweep. */
  forget(jobId: string): void {
    this.#sweep.forget(jobId)
  }

  /** Whether a job may ask a source's server for something: a status, a turn of collecting. Costs nothing but the call. */
  permit(sourceId: string): Permit {
    return this.#breaker(sourceId).permit(Date.now())
  }

  /**
   * What became of a request that was permitted: told when it failed, and when it went well only if it was a probe.
   *
   * @param reached False for no connection, no answer in time, and 5XX.
   * @param isProbe False if the permit said so; a failure then says nothing of a probe that another job has sent since.
   */
  async report(sourceId: string, reached: boolean, isProbe = true): Promise<void> {
    await this.#report(sourceId, reached, isProbe)
  }

  /** The vendor's token for a source: asked for once, however many jobs need it at the same time [N-36]. */
  token(sourceId: string): Promise<GateToken> {
    return this.#tokens.token(sourceId)
  }

  /** A token other than the one that the vendor refused. */
  renew(sourceId: string, stale: string): Promise<GateToken> {
    return this.#tokens.renew(sourceId, stale)
  }

  /** Re-arms live jobs whose alarm was lost, and takes the slots of those that are gone. @returns How many jobs live. */
  async sweep(): Promise<number> {
    const live = await this.#sweep.run()
    const now = Date.now()
    this.#slots.expire(now)
    await this.#wakeServed(now)
    return live
  }

  #breaker(sourceId: string): Breaker {
    const known = this.#breakers.get(sourceId)
    if (known) return known
    const breaker = new Breaker(configOf(this.env).settings.limits.retrySeconds)
    this.#breakers.set(sourceId, breaker)
    return breaker
  }

  #shutUntil(now: number): (sourceId: string) => number {
    return (sourceId) => this.#breakers.get(sourceId)?.shutUntil(now) ?? 0
  }

  async #report(sourceId: string, reached: boolean, isProbe: boolean): Promise<void> {
    const breaker = this.#breaker(sourceId)
    const wasOpen = breaker.isOpen
    const now = Date.now()
    breaker.report(reached, now, isProbe)
    if (wasOpen === breaker.isOpen) return
    log('warn', { event: breaker.isOpen ? 'breaker.opened' : 'breaker.closed', sourceId })
    if (wasOpen) await this.#wakeServed(now)
  }

  /** A kick-off that gets lost ends its job, so none is sent to see whether the server is back: the gate looks by itself. */
  #probeIfDue(source: Source, now: number): void {
    const breaker = this.#breakers.get(source.id)
    if (!breaker?.isOpen || breaker.permit(now).kind === 'refused') return
    this.ctx.waitUntil(this.#probe(source))
  }

  async #probe(source: Source): Promise<void> {
    try {
      await this.#report(source.id, await isReachable(source, configOf(this.env).settings.sandbox), true)
    } catch (error) {
      log('error', { event: 'breaker.probe_failed', sourceId: source.id, error: nameOf(error) })
    }
  }

  /** Tells as many jobs as there are slots for them. */
  async #wakeServed(now: number): Promise<void> {
    await this.#wake(this.#slots.served(this.#shutUntil(now), now).slice(0, MAX_WOKEN), now)
  }

  /** A job that asked was refused though slots are free: those before it do not know of them, as after a pause or a lost lease. */
  async #wakeOvertaken(now: number): Promise<void> {
    // Where no number of slots is known, nobody is in the way of others but those of one target.
    const inTheWay = ({ job, inFlight, coolMs }: Waiting): boolean =>
      (inFlight < Infinity || coolMs > 0) && now - (this.#wokenMs.get(job) ?? 0) >= WOKEN_MS
    await this.#wake(this.#slots.served(this.#shutUntil(now), now).filter(inTheWay).slice(0, MAX_WOKEN), now)
  }

  async #wake(jobs: readonly Waiting[], now: number): Promise<void> {
    for (const [job, atMs] of this.#wokenMs) if (now - atMs >= WOKEN_MS) this.#wokenMs.delete(job)
    for (const { job } of jobs) this.#wokenMs.set(job, now)
    // One that cannot be told asks again by itself.
    await Promise.allSettled(jobs.map(async ({ job }) => this.#job(job).wake()))
  }

  #job(jobId: string) {
    return this.env.JOBS.get(this.env.JOBS.idFromName(jobId))
  }
}
