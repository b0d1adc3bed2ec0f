import { DurableObject } from 'cloudflare:workers'
import { ledgerOf } from '../client/client-ledger.ts'
import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { formatProgress } from '../fhir/progress.ts'
import { log, nameOf } from '../log.ts'
import {
  fileAnswer,
  manifestStream,
  retryAfterSeconds,
  type DeleteAnswer,
  type FileAnswer,
  type StartAnswer,
  type StatusAnswer,
} from './answers.ts'
import { Effects } from './effects.ts'
import { newJob, type Effect, type Job, type JobEvent, type JobRequest } from './model.ts'
import { PollLimiter } from './poll-limiter.ts'
import { rulesFor } from './rules.ts'
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
    this.#job = newJob(request, source, rulesFor(source, configOf(this.env).settings.limits), now)
    this.#storage.create(this.#job)
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
  view(clientId: string, sourceId: string): StatusAnswer {
    const job = this.#visible(clientId, sourceId)
    if (!job) return { kind: 'absent' }
    const { limits, publicBase } = configOf(this.env).settings
    const now = Date.now()
    const waitSeconds = this.#polls.overLimit(now, limits.statusRequestsPerMinute)
    if (waitSeconds !== undefined) return { kind: 'too-often', retryAfterSeconds: waitSeconds }
    switch (job.state) {
      case 'queued':
      case 'submitting':
      case 'running':
      case 'collecting':
        return { kind: 'in-progress', progress: this.#progressOf(job), retryAfterSeconds: retryAfterSeconds(job, limits, now) }
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
  file(clientId: string, sourceId: string, name: string): FileAnswer {
    const job = this.#visible(clientId, sourceId)
    return job?.state === 'complete' ? fileAnswer(job, this.#storage, name) : { kind: 'absent' }
  }

  /** Reads the vendor's status again because a file's URL no longer works [N-25], then answers as `file`. */
  async freshFile(clientId: string, sourceId: string, name: string): Promise<FileAnswer> {
    const job = this.#visible(clientId, sourceId)
    if (!job || this.file(clientId, sourceId, name).kind !== 'vendor') return { kind: 'absent' }
    await this.#effects.refreshUrls(job)
    return this.file(clientId, sourceId, name)
  }

  /** Cancels the export, or deletes its files: gone for the client at once, at the vendor as soon as it can be told. */
  delete(clientId: string, sourceId: string): DeleteAnswer {
    if (!this.#visible(clientId, sourceId)) return { kind: 'absent' }
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
    if (before.state !== job.state) {
      log('info', {
        event: 'job.state',
        jobId: job.jobId,
        sourceId: job.sourceId,
        from: before.state,
        to: job.state,
        ...outcomeOf(job),
      })
    }
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
  #visible(clientId: string, sourceId: string): Job | undefined {
    const job = this.#job
    if (!job || job.clientId !== clientId || job.sourceId !== sourceId) return undefined
    // An alarm that is late does not make an export last longer.
    const over = job.state === 'cancelled' || job.state === 'expired' || Date.now() >= (job.expiresMs ?? Infinity)
    return over ? undefined : job
  }

  #progressOf(job: Job): string {
    if (job.state === 'queued')
      return job.place === undefined ? formatProgress({ phase: 'queued' }) : formatProgress({ queuePosition: job.place })
    if (job.state !== 'collecting') return formatProgress(job.progress)
    const { total, pending } = this.#storage.progress()
    // The vendor's share is over; ours is shown in what is left above it.
    const floor = job.progress.percent ?? 50
    return formatProgress({ percent: floor + ((99 - floor) * (total - pending)) / Math.max(1, total) })
  }

  /** Read anew after an await, since the row may have changed meanwhile. */
  #current(): Job | undefined {
    return this.#job
  }
}

/** How a job ended, and what its vendor's support will ask for. */
const outcomeOf = ({ failure, trace }: Job): { code?: string; trace?: Job['trace'] } => ({
  ...(failure ? { code: failure.code } : {}),
  ...(Object.keys(trace).length > 0 ? { trace } : {}),
})
