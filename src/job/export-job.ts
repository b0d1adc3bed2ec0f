import { DurableObject } from 'cloudflare:workers'
import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { log, nameOf } from '../log.ts'
import {
  attachmentAnswer,
  coversJob,
  fileAnswer,
  parseFileName,
  progressText,
  retryAfterSeconds,
  shortened,
  type AttachmentAnswer,
  type DeleteAnswer,
  type FileAnswer,
  type StartAnswer,
  type StatusAnswer,
} from './answers.ts'
import { Effects } from './effects.ts'
import { endOf } from './failures.ts'
import { ManifestPages } from './manifest-pages.ts'
import { newJob, type Job, type JobCaller, type JobRequest } from './model.ts'
import { PollLimiter } from './poll-limiter.ts'
import { rulesFor } from './rules.ts'
import { JobRunner } from './runner.ts'
import { JobStorage } from './storage.ts'

/**
 * One export: what its client, its gate and its alarm ask of it. The runner does the work.
 * Methods never throw for what a client or vendor does.
 */
export class ExportJob extends DurableObject<Env> {
  readonly #storage: JobStorage
  readonly #pages: ManifestPages
  readonly #polls = new PollLimiter()
  readonly #effects: Effects
  readonly #runner: JobRunner
  /** An export is about to be, of which nothing is stored yet. */
  #isStarting = false

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    this.#storage = new JobStorage(state.storage)
    this.#pages = new ManifestPages(state.storage.sql)
    this.#runner = new JobRunner(state.storage, this.#storage, (current) => new Effects(env, this.#storage, current))
    this.#effects = this.#runner.effects
  }

  /**
   * Starts the export. With a slot free the kick-off is sent before this returns, so that the vendor's refusal is the answer;
   * a refused job leaves nothing behind.
   */
  async start(request: JobRequest): Promise<StartAnswer> {
    const existing = this.#runner.job
    if (existing) return this.#started(existing)
    this.#isStarting = true
    try {
      return await this.#start(request)
    } finally {
      this.#isStarting = false
    }
  }

  async #start(request: JobRequest): Promise<StartAnswer> {
    const source = await this.#effects.configured(request.sourceId)
    if (!source) return { kind: 'refused', code: 'source_not_found', diagnostics: 'There is no such source.' }
    const { jobId } = request
    // Before there is a job: the sweep is to find it whatever happens next, and forgets one that never came to be.
    await this.#effects.track(source, jobId)
    const now = Date.now()
    const created = newJob(request, source, rulesFor(source, configOf(this.env).settings.limits), now)
    try {
      this.#runner.create(created)
    } catch (error) {
      log('error', { event: 'job.create_failed', jobId, error: nameOf(error) })
      await this.#effects.perform('purge', created)
      return {
        kind: 'refused',
        code: 'body_too_large',
        diagnostics: 'This request is too large to be kept. Ask for less in one export.',
      }
    }
    // What cannot be done now is done later: the export goes on without us waiting for it.
    await this.#runner.work()
    const { job } = this.#runner
    if (!job) return { kind: 'refused', code: 'internal', diagnostics: 'The export could not be started. Try again.' }
    if (job.state !== 'failed' || !job.failure) return this.#started(job)
    await this.#effects.perform('purge', job)
    await this.#runner.forget()
    return { kind: 'refused', ...job.failure }
  }

  /**
   * What a status request is answered. One row in memory is all it costs; a page of the manifest that has come to be full is frozen.
   *
   * @param page Of the manifest, from 1.
   */
  view(caller: JobCaller, page = 1): StatusAnswer {
    const job = this.#visible(caller)
    if (!job) return { kind: 'absent' }
    if (!coversJob(job, caller.scopes)) return { kind: 'forbidden' }
    if (this.#runner.hasLeftOver) this.ctx.waitUntil(this.#runner.work())
    const { limits, publicBase } = configOf(this.env).settings
    const now = Date.now()
    // The further pages of a manifest that is complete are read once each, as its files are.
    const isPoll = page === 1 || job.state !== 'complete'
    const waitSeconds = isPoll ? this.#polls.overLimit(now, limits.statusRequestsPerMinute) : undefined
    if (waitSeconds !== undefined) return { kind: 'too-often', retryAfterSeconds: waitSeconds }
    const about = job.separateStatus ? { isSeparate: true as const } : {}
    const pages = this.#pages.settle(job, this.#storage.files, limits.manifestPageFiles)
    switch (job.state) {
      case 'queued':
      case 'submitting':
      case 'running':
      case 'collecting':
        if (page > Math.max(1, pages.count)) return { kind: 'no-page' }
        return {
          kind: 'in-progress',
          ...about,
          progress: progressText(job, this.#storage),
          retryAfterSeconds: retryAfterSeconds(job, limits, now),
          ...(page > pages.count ? {} : { manifest: this.#pages.stream(job, page, pages, publicBase) }),
        }
      case 'complete':
        if (page > pages.count) return { kind: 'no-page' }
        return {
          kind: 'complete',
          ...about,
          expiresMs: job.expiresMs ?? now,
          manifest: this.#pages.stream(job, page, pages, publicBase),
        }
      case 'failed':
        return job.failure ? { kind: 'failed', ...about, ...endOf(job.failure) } : { kind: 'absent' }
      case 'cancelled':
      case 'expired':
        return { kind: 'absent' }
    }
  }

  /** `view` for a route. @param scope Of the caller's token, space-separated. @returns To be `restored`. */
  poll(clientId: string, sourceId: string, scope: string, page: number): StatusAnswer | string {
    return shortened(this.view({ clientId, sourceId, scopes: scope.split(' ') }, page))
  }

  /** Where one output file is. */
  file(caller: JobCaller, name: string): FileAnswer {
    const job = this.#visible(caller)
    const n = parseFileName(name)
    if (!job || n === undefined) return { kind: 'absent' }
    const isThere = job.state === 'complete' || (job.state === 'collecting' && this.#pages.isTold(n))
    return isThere ? fileAnswer(job, this.#storage, name, caller.scopes) : { kind: 'absent' }
  }

  /** What one attachment of its files is, by the seal in its URL. */
  async attachment(caller: JobCaller, sealed: string): Promise<AttachmentAnswer> {
    const job = this.#visible(caller)
    // A file on a page that was told is there already, and so is what it points at.
    const isTold = job?.state === 'complete' || (job?.state === 'collecting' && job.partialManifests === true)
    return job && isTold ? attachmentAnswer(job, sealed, caller.scopes) : { kind: 'absent' }
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
    this.#runner.apply({ kind: 'deleted' })
    this.ctx.waitUntil(this.#runner.work())
    return { kind: 'deleted' }
  }

  /** A slot may be free. */
  wake(): void {
    if (this.#runner.job?.state !== 'queued') return
    this.#runner.actAt(Date.now())
    this.ctx.waitUntil(this.#runner.arm())
  }

  /** Sets the alarm again if it was lost. @returns False when the job is over, or never was. */
  async rearm(): Promise<boolean> {
    // Whoever forgot one that is about to be would never look after it.
    if (!this.#runner.job) return this.#isStarting
    if ((await this.ctx.storage.getAlarm()) === null && !this.#runner.isBusy) await this.#runner.arm()
    return true
  }

  override async alarm(): Promise<void> {
    const { job } = this.#runner
    if (!job) return
    if (job.todo.length === 0) this.#runner.apply({ kind: 'alarm' })
    await this.#runner.work()
  }

  #started(job: Job): StartAnswer {
    return { kind: 'started', retryAfterSeconds: retryAfterSeconds(job, configOf(this.env).settings.limits, Date.now()) }
  }

  /** The job as its owner may see it. Somebody else's job, a deleted and an expired one are all as if they had never been. */
  #visible({ clientId, sourceId }: JobCaller): Job | undefined {
    const { job } = this.#runner
    if (!job || job.clientId !== clientId || job.sourceId !== sourceId) return undefined
    // An alarm that is late does not make an export last longer.
    const over = job.state === 'cancelled' || job.state === 'expired' || Date.now() >= (job.expiresMs ?? Infinity)
    return over ? undefined : job
  }
}
