import { log, nameOf } from '../log.ts'
import type { Effects } from './effects.ts'
import type { Effect, Job, JobEvent } from './model.ts'
import { logState } from './state-log.ts'
import type { JobStorage } from './storage.ts'
import { alarmAt, isOverdue, transition } from './transitions.ts'

/** When work under way is looked after, should it have been cut off. */
const WATCHDOG_MS = 30_000

/**
 * Drives one job: its row is the truth; every event goes through `transition`, is stored with what it demands, and only then acted on.
 * The one alarm follows from the row.
 */
export class JobRunner {
  readonly #storage: DurableObjectStorage
  readonly #rows: JobStorage
  readonly effects: Effects
  #job: Job | undefined
  #draining: Promise<void> | undefined
  /** Nothing has been done yet since this object came to life. */
  #isNewLife = true
  /** What is stored is not what is in memory: of the two, the stored one has more left to do, or just as much. */
  #isUnsaved = false
  /** What is to be done next may have been begun before, and been cut off. */
  #isLeftOver: boolean

  /** @param effectsFor Given what tells the job as it is by then. */
  constructor(storage: DurableObjectStorage, rows: JobStorage, effectsFor: (current: () => Job | undefined) => Effects) {
    this.#storage = storage
    this.#rows = rows
    this.#job = rows.load()
    this.#isLeftOver = this.#job !== undefined && this.#job.todo.length > 0
    this.effects = effectsFor(() => this.#job)
  }

  /** As it is now; anew after each await. */
  get job(): Job | undefined {
    return this.#job
  }

  get isBusy(): boolean {
    return this.#draining !== undefined
  }

  /** Stores a new job, together with what it demands. @throws when it is too large for a row. */
  create(created: Job): void {
    const { job, effects } = transition(created, { kind: 'alarm' }, Date.now())
    const stored = { ...job, todo: [...job.todo, ...effects] }
    this.#rows.create(stored)
    this.#job = stored
    this.#isUnsaved = false
  }

  /** Stores what an event makes of the job, together with what it demands. */
  apply(event: JobEvent): void {
    // What is left to do is what an alarm rings for; it asks for nothing more.
    if (event.kind === 'alarm' && this.#job && this.#job.todo.length > 0) return
    this.#apply(event)
  }

  /** Stores another time for the next act. */
  actAt(nextMs: number): void {
    if (!this.#job) return
    this.#job = { ...this.#job, nextMs }
    this.#save()
  }

  /** Does what is left to do, one thing after the other; a second caller waits for the first. @throws what an effect threw. */
  drain(): Promise<void> {
    this.#draining ??= this.#run().finally(() => {
      this.#draining = undefined
    })
    return this.#draining
  }

  /** Does what is left to do; what cannot be done now is tried again later. */
  async work(): Promise<void> {
    try {
      await this.drain()
    } catch (error) {
      const job = this.#job
      if (job) log('error', { event: 'job.work_failed', jobId: job.jobId, state: job.state, error: nameOf(error) })
      // What is left to do would ring at once, for as long as the fault lasts.
      await this.#storage.setAlarm(Date.now() + WATCHDOG_MS)
    }
  }

  /** Whether an earlier life of the object has left something, to go on with at the first occasion: the watchdog may be far off. */
  get hasLeftOver(): boolean {
    return this.#isNewLife && this.#isLeftOver && !this.isBusy
  }

  async arm(): Promise<void> {
    if (this.#job) await this.#storage.setAlarm(alarmAt(this.#job, Date.now()))
  }

  /** The job is over and nothing of it is left anywhere. */
  async forget(): Promise<void> {
    const job = this.#job
    this.#job = undefined
    await this.#storage.deleteAlarm()
    await this.#storage.deleteAll()
    if (job) await this.effects.forgotten(job)
  }

  #apply(event: JobEvent, done?: Effect): void {
    if (!this.#job) return
    const before = this.#job
    const todo = done === undefined ? before.todo : before.todo.slice(1)
    const { job, effects } = transition(before, event, Date.now())
    this.#job = { ...job, todo: [...todo, ...effects] }
    // A status request changes nothing before it is answered; should it be cut off, the watchdog is what goes on.
    if (job === before && effects.length === 1 && effects[0] === 'request-status') this.#isUnsaved = true
    else this.#save()
    if (before.state !== job.state) logState(before.state, job)
  }

  async #run(): Promise<void> {
    this.#isNewLife = false
    if (this.#isLeftOver) this.#takeOver()
    // Until the end, whatever throws has been begun.
    this.#isLeftOver = true
    // Should this life of the object end before the work does, the next one finds an alarm.
    await this.#storage.setAlarm(Date.now() + this.#watchdogMs())
    for (;;) {
      const effect = this.#job?.todo[0]
      if (!this.#job || effect === undefined) break
      if (isOverdue(effect, this.#job)) {
        this.#finish()
        continue
      }
      // What was begun must be known to have been, and it is the first thing left to do that is looked at.
      if (effect === 'send-kickoff' && this.#isUnsaved) this.#save()
      const event = await this.effects.perform(effect, this.#job)
      if (effect === 'purge') {
        await this.forget()
        return
      }
      if (event) this.#apply(event, effect)
      else this.#finish()
    }
    this.#isLeftOver = false
    if (this.#isUnsaved) this.#save()
    await this.arm()
  }

  /** A vendor that named a wait is not asked again before it is over, whatever becomes of us. */
  #watchdogMs(): number {
    const job = this.#job
    return job?.todo[0] === 'request-status' ? Math.max(WATCHDOG_MS, job.waitMs) : WATCHDOG_MS
  }

  /** Whether a request that was stored has been sent, nobody knows, nor what it was answered. */
  #takeOver(): void {
    const job = this.#job
    if (job?.todo[0] === 'send-kickoff') this.#apply({ kind: 'kickoff-ambiguous' }, 'send-kickoff')
    // Should the vendor have named a wait, it was most likely the one that it had named before.
    if (job?.todo[0] === 'request-status') this.#apply({ kind: 'held', retryMs: job.waitMs }, 'request-status')
    // Done again by the alarm, which looks at the deadline first: work that ends each life would have no end otherwise.
    if (job?.todo[0] === 'collect') this.#apply({ kind: 'held', retryMs: 0 }, 'collect')
    if (job?.todo[0] === 'acquire-slot') this.#apply({ kind: 'slot-refused', place: job.place ?? 1, retryMs: 0 }, 'acquire-slot')
  }

  /** An effect is done and nothing follows from it. That is stored with what comes next: to do it twice would do no harm. */
  #finish(): void {
    if (!this.#job) return
    this.#job = { ...this.#job, todo: this.#job.todo.slice(1) }
    this.#isUnsaved = true
  }

  #save(): void {
    if (!this.#job) return
    this.#rows.save(this.#job)
    this.#isUnsaved = false
  }
}
