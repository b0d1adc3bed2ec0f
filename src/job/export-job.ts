import { DurableObject } from 'cloudflare:workers'
import { ledgerOf } from '../client/client-ledger.ts'
import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { log, nameOf } from '../log.ts'
import {
  coversJob,
  fileAnswer,
  manifestStream,
  progressText,
  retryAfterSeconds,
  type DeleteAnswer,
  type FileAnswer,
  type StartAnswer,
  type StatusAnswer,
} from './answers.ts'
import { Effects } from './effects.ts'
import { newJob, type Effect, type Job, type JobCaller, type JobEvent, type JobRequest } from './model.ts'
import { PollLimiter } from './poll-limiter.ts'
import { rulesFor } from './rules.ts'
import { logState } from './state-log.ts'
import { JobStorage } from './storage.ts'
import { alarmAt, transition } from './transitions.ts'

/** When work under way is looked after, should it have been cut off. */
const WATCHDOG_MS = 30_000

/**
 * One export. Its row is the truth; every event goes through `transition`, is stored with what it demands, and only then acted on.
 * Methods never throw for what a client or vendor does.
 */
export class ExportJob extends DurableObject<Env> {
  readonly #storage: JobStorage
  readonly #polls = new PollLimiter()
  #job: Job | undefined
  #draining: Promise<void> | undefined
  readonly #effects: Effects

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    this.#storage = new JobStorage(state.storage)
    this.#job = this.#storage.load()
    this.#effects = new Effects(env, this.#storage, () => this.#job)
  }

  /**
   * Starts the export. With a slot free the kick-off is sent before this returns, so that the vendor's refusal is the answer;
   * a refused job leaves nothing behind.
   */
  async start(request: JobRequest): Promise<StartAnswer> {
    if (this.#job) return this.#started(this.#job)
    const source = await this.#effects.configured(request.sourceId)
    if (!source) return { kind: 'refused', code: 'source_not_found', diagnostics: 'There is no such source.' }
    const now = Date.now()
    const { jobId, clientId, sourceId, level, groupId, request: url } = request
    const entry = { jobId, sourceId, level, ...(groupId === undefined ? {} : { groupId }), request: url, createdMs: now }
    await ledgerOf(this.env, clientId).addJob(entry)
    const created = newJob(request, source, rulesFor(source, configOf(this.env).settings.limits), now)
    try {
      this.#storage.create(created)
    } catch (error) {
      log('error', { event: 'job.create_failed', jobId, error: nameOf(error) })
      await this.#effects.perform('purge', created)
      return {
        kind: 'refused',
        code: 'body_too_large',
        diagnostics: 'This request is too large to be kept. Ask for less in one export.',
      }
    }
    this.#job = created
    this.#apply({ kind: 'alarm' })
    try {
      await this.#drain()
    } catch (error) {
      // The row is there and the alarm is set: the export goes on without us waiting for it.
      log('error', { event: 'job.start_failed', jobId, error: nameOf(error) })
    }
    const job = this.#current()
    if (!job) return { kind: 'refused', code: 'internal', diagnostics: 'The export could not be started. Try again.' }
    if (job.state !== 'failed' || !job.failure) return this.#started(job)
    await this.#effects.perform('purge', job)
    await this.#forget()
    return { kind: 'refused', ...job.failure }
  }

  /** What a status request is answered. One row in memory is all it costs. */
  view(caller: JobCaller): StatusAnswer {
    const job = this.#visible(caller)
    if (!job) return { kind: 'absent' }
    if (!coversJob(job, caller.scopes)) return { kind: 'forbidden' }
    const { limits, publicBase } = configOf(this.env).settings
    const now = Date.now()
    const waitSeconds = this.#polls.overLimit(now, limits.statusRequestsPerMinute)
    if (waitSeconds !== undefined) return { kind: 'too-often', retryAfterSeconds: waitSeconds }
    switch (job.state) {
      case 'queued':
      case 'submitting':
      case 'running':
      case 'collecting':
        return {
          kind: 'in-progress',
          progress: progressText(job, this.#storage),
          retryAfterSeconds: retryAfterSeconds(job, limits, now),
        }
      case 'complete':
        return { kind: 'complete', expiresMs: job.expiresMs ?? now, manifest: manifestStream(job, this.#storage, publicBase) }
      case 'failed':
        return job.failure ? { kind: 'failed', ...job.failure } : { kind: 'absent' }
      case 'cancelled':
      case 'expired':
        return { kind: 'absent' }
    }
  }

  /** Where one output file is. */
  file(caller: JobCaller, name: string): FileAnswer {
    const job = this.#visible(caller)
    return job?.state === 'complete' ? fileAnswer(job, this.#storage, name, caller.scopes) : { kind: 'absent' }
  }

  /** Reads the vendor's status again because a file's URL no longer works [N-25], then answers as `file`. */
  async freshFile(caller: JobCaller, name: string): Promise<FileAnswer> {
    const job = this.#visible(caller)
    if (!job || this.file(caller, name).kind !== 'vendor') return { kind: 'absent' }
    await this.#effects.refreshUrls(job)
    return this.file(caller, name)
  }

  /** Cancels the export, or deletes its files: gone for the client at once, at the vendor as soon as it can be told. */
  delete(caller: JobCaller): DeleteAnswer {
    const job = this.#visible(caller)
    if (!job) return { kind: 'absent' }
    if (!coversJob(job, caller.scopes)) return { kind: 'forbidden' }
    this.#apply({ kind: 'deleted' })
    this.ctx.waitUntil(this.#drain())
    return { kind: 'deleted' }
  }

  /** A slot may be free. */
  wake(): void {
    if (this.#job?.state !== 'queued') return
    this.#job = { ...this.#job, nextMs: Date.now() }
    this.#storage.save(this.#job)
    this.ctx.waitUntil(this.#arm())
  }

  /** Sets the alarm again if it was lost. @returns False when the job is over. */
  async rearm(): Promise<boolean> {
    if (!this.#job) return false
    if ((await this.ctx.storage.getAlarm()) === null && !this.#draining) await this.#arm()
    return true
  }

  override async alarm(): Promise<void> {
    if (!this.#job) return
    try {
      if (this.#job.todo.length === 0) this.#apply({ kind: 'alarm' })
      await this.#drain()
    } catch (error) {
      log('error', { event: 'job.alarm_failed', jobId: this.#job.jobId, state: this.#job.state, error: nameOf(error) })
      // What is left to do would ring at once, for as long as the fault lasts.
      await this.ctx.storage.setAlarm(Date.now() + WATCHDOG_MS)
      return
    }
    await this.#arm()
  }

  /** Stores what an event makes of the job, together with what it demands. */
  #apply(event: JobEvent, done?: Effect): void {
    if (!this.#job) return
    const before = this.#job
    const todo = done === undefined ? before.todo : before.todo.slice(1)
    const { job, effects } = transition(before, event, Date.now())
    this.#job = { ...job, todo: [...todo, ...effects] }
    this.#storage.save(this.#job)
    if (before.state !== job.state) logState(before.state, job)
  }

  /** Does what is left to do, one thing after the other; a second caller waits for the first. */
  #drain(): Promise<void> {
    this.#draining ??= this.#run().finally(() => {
      this.#draining = undefined
    })
    return this.#draining
  }

  async #run(): Promise<void> {
    // Whether a kick-off that an earlier life of this object had stored was sent, nobody knows.
    if (this.#job?.todo[0] === 'send-kickoff') this.#apply({ kind: 'kickoff-ambiguous' }, 'send-kickoff')
    // Should this life of the object end before the work does, the next one finds an alarm.
    await this.ctx.storage.setAlarm(Date.now() + WATCHDOG_MS)
    for (;;) {
      const effect = this.#job?.todo[0]
      if (!this.#job || effect === undefined) break
      const event = await this.#effects.perform(effect, this.#job)
      if (effect === 'purge') {
        await this.#forget()
        return
      }
      if (event) this.#apply(event, effect)
      else this.#finish()
    }
    await this.#arm()
  }

  /** An effect is done and nothing follows from it. */
  #finish(): void {
    if (!this.#job) return
    this.#job = { ...this.#job, todo: this.#job.todo.slice(1) }
    this.#storage.save(this.#job)
  }

  /** The job is over and nothing of it is left anywhere. */
  async #forget(): Promise<void> {
    this.#job = undefined
    await this.ctx.storage.deleteAlarm()
    await this.ctx.storage.deleteAll()
  }

  async #arm(): Promise<void> {
    if (this.#job) await this.ctx.storage.setAlarm(alarmAt(this.#job, Date.now()))
  }

  #started(job: Job): StartAnswer {
    return { kind: 'started', retryAfterSeconds: retryAfterSeconds(job, configOf(this.env).settings.limits, Date.now()) }
  }

  /** The job as its owner may see it. Somebody else's job, a deleted and an expired one are all as if they had never been. */
  #visible({ clientId, sourceId }: JobCaller): Job | undefined {
    const job = this.#job
    if (!job || job.clientId !== clientId || job.sourceId !== sourceId) return undefined
    // An alarm that is late does not make an export last longer.
    const over = job.state === 'cancelled' || job.state === 'expired' || Date.now() >= (job.expiresMs ?? Infinity)
    return over ? undefined : job
  }

  /** Read anew after an await, since the row may have changed meanwhile. */
  #current(): Job | undefined {
    return this.#job
  }
}
