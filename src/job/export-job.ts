import { DurableObject } from 'cloudflare:workers'
import { ledgerOf } from '../client/client-ledger.ts'
import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { ExportError } from '../errors.ts'
import { formatProgress } from '../fhir/progress.ts'
import { log, nameOf } from '../log.ts'
import { GateTokens, gateOf } from '../source/gate.ts'
import { DEFAULT_LIMITS } from '../vendor/adapter.ts'
import { VendorClient } from '../vendor/client.ts'
import { subjectOf, type Source } from '../vendor/source.ts'
import { collect } from './collect.ts'
import {
  manifestStream,
  parseFileName,
  retryAfterSeconds,
  type DeleteAnswer,
  type FileAnswer,
  type StartAnswer,
  type StatusAnswer,
} from './answers.ts'
import { SCHEMA_VERSION, type Effect, type Failure, type Job, type JobEvent, type JobRequest, type Rules } from './model.ts'
import { addNotes } from './notes.ts'
import { PollLimiter } from './poll-limiter.ts'
import { JobStorage, objectPrefix } from './storage.ts'
import { alarmAt, QUEUE_DEADLINE_MS, transition } from './transitions.ts'
import { kickoffEvent, refreshUrls, statusEvent } from './vendor-job.ts'

const ERROR_RETRY_MS = 30_000
/** When work under way is looked after, should it have been cut off. */
const WATCHDOG_MS = 30_000
/** Objects deleted by one call to R2. */
const PURGE_BATCH = 1000

/**
 * One export. Its row is the truth; every event goes through `transition`, is stored with what it demands, and only then acted on.
 * Methods never throw for what a client or vendor does.
 */
export class ExportJob extends DurableObject<Env> {
  readonly #storage: JobStorage
  readonly #polls = new PollLimiter()
  #job: Job | undefined
  #draining: Promise<void> | undefined
  #tokens: GateTokens | undefined

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    this.#storage = new JobStorage(state.storage)
    this.#job = this.#storage.load()
  }

  /**
   * Starts the export. With a slot free the kick-off is sent before this returns, so that the vendor's refusal is the answer;
   * a refused job leaves nothing behind.
   */
  async start(request: JobRequest): Promise<StartAnswer> {
    if (this.#job) return { kind: 'started' }
    const source = await this.#configured(request.sourceId)
    if (!source) return { kind: 'refused', code: 'source_not_found', diagnostics: 'No such source.' }
    const now = Date.now()
    this.#job = {
      ...request,
      schemaVersion: SCHEMA_VERSION,
      retention: source.retention,
      subject: subjectOf(source),
      deleteAfterCollecting: source.deleteAfterCollecting,
      finishTimeManifest: source.dialect.read?.transactionTime === 'finish',
      rules: this.#rules(source),
      state: 'queued',
      createdMs: now,
      nextMs: now,
      progress: {},
      unclear: 0,
      trace: {},
      todo: [],
    }
    const { jobId, clientId, sourceId, level, groupId } = request
    const entry = {
      jobId,
      sourceId,
      level,
      ...(groupId === undefined ? {} : { groupId }),
      request: request.request,
      createdMs: now,
    }
    await ledgerOf(this.env, clientId).addJob(entry)
    this.#storage.create(this.#job)
    this.#apply({ kind: 'alarm' })
    await this.#drain()
    const job: Job = this.#job
    if (job.state !== 'failed' || !job.failure) return { kind: 'started' }
    await this.#purge()
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
    const n = parseFileName(name)
    if (!job || job.state !== 'complete' || n === undefined) return { kind: 'absent' }
    const file = this.#storage.file(n)
    if (!file || file.state !== 'ready' || file.type === null || name !== `${file.type}.${n}.ndjson`) return { kind: 'absent' }
    const { type } = file
    if (file.text !== null) return { kind: 'text', type, text: file.text, sha256: file.sha256 ?? '' }
    if (job.retention === 'none') return file.url === null ? { kind: 'absent' } : { kind: 'vendor', type, url: file.url }
    return { kind: 'stored', type, n, bytes: file.bytes ?? 0, sha256: file.sha256 ?? '' }
  }

  /** Reads the vendor's status again because a file's URL no longer works [N-25], then answers as `file`. */
  async freshFile(clientId: string, sourceId: string, name: string): Promise<FileAnswer> {
    if (this.file(clientId, sourceId, name).kind !== 'vendor') return { kind: 'absent' }
    await this.#refreshUrls()
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
        ...codeOf(job),
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
      if (effect === 'purge') {
        await this.#purge()
        return
      }
      const event = await this.#perform(effect, this.#job)
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

  async #perform(effect: Exclude<Effect, 'purge'>, job: Job): Promise<JobEvent | undefined> {
    switch (effect) {
      case 'acquire-slot':
        return this.#acquire(job)
      case 'send-kickoff':
        return this.#withVendor(job, (client) => kickoffEvent(client, job))
      case 'request-status':
        return this.#withVendor(job, (client) =>
          statusEvent(client, job, {
            files: (page, isFirst) => {
              if (isFirst) this.#storage.clearFiles()
              this.#storage.addFiles(page, job.types, job.retention === 'r2' ? 'pending' : 'ready')
            },
            settled: (rejected) => (job.retention === 'none' ? addNotes(this.#storage, job, rejected) : Promise.resolve()),
          }),
        )
      case 'collect':
        return this.#withVendor(job, (client) => this.#collect(client, job))
      case 'release-slot':
        await this.#tell(async (source) => gateOf(this.env, source).release(job.jobId))
        return undefined
      case 'cancel-vendor-job':
        await this.#tell(async (source) => job.statusUrl !== undefined && this.#client(source).cancel(job.statusUrl))
        return undefined
      case 'report-state':
        await this.#tell(async () => ledgerOf(this.env, job.clientId).setJobState(job.jobId, job.state))
        return undefined
    }
  }

  async #acquire(job: Job): Promise<JobEvent> {
    const source = await this.#configured(job.sourceId)
    if (!source) return { kind: 'slot-refused', place: 1, retryMs: ERROR_RETRY_MS }
    const answer = await gateOf(this.env, source).acquire({
      sourceId: job.sourceId,
      jobId: job.jobId,
      clientId: job.clientId,
      target: `${job.level}/${job.groupId ?? ''}`,
      leaseMs: job.rules.deadlineMs + QUEUE_DEADLINE_MS,
    })
    switch (answer.kind) {
      case 'granted':
        return { kind: 'slot-granted' }
      case 'refused':
        return { kind: 'slot-refused', place: answer.place, retryMs: answer.retryMs }
      case 'misconfigured':
        return { kind: 'slot-refused', place: 1, retryMs: ERROR_RETRY_MS }
    }
  }

  /** Runs an exchange with the vendor. What keeps us from having it at all is not the vendor's word on the job. */
  async #withVendor(job: Job, exchange: (client: VendorClient) => Promise<JobEvent>): Promise<JobEvent> {
    const source = await this.#configured(job.sourceId)
    if (!source) return { kind: 'unclear' }
    if (subjectOf(source) !== job.subject) return { kind: 'vendor-failed', failure: CREDENTIAL_CHANGED }
    return exchange(this.#client(source))
  }

  async #collect(client: VendorClient, job: Job): Promise<JobEvent> {
    const result = await collect({
      jobId: job.jobId,
      storage: this.#storage,
      bucket: this.env.FILES,
      client,
      types: job.types,
      refreshUrls: () => this.#refreshUrls(),
      wanted: () => this.#job?.state === 'collecting',
    })
    if (result.kind === 'paused') return { kind: 'collecting-paused', retryMs: result.retryMs }
    if (this.#job?.state === 'collecting') await addNotes(this.#storage, job, 0)
    const { ready, failed } = this.#storage.progress()
    return { kind: 'collected', delivered: ready, failed }
  }

  async #refreshUrls(): Promise<void> {
    const job = this.#job
    const source = job && (await this.#configured(job.sourceId))
    if (!job || !source || job.statusUrl === undefined) return
    const urls = await refreshUrls(this.#client(source), job.statusUrl, job.types)
    if (urls) this.#storage.refreshUrls(urls)
  }

  /** Something that may fail without harm to the job: the other side finds out by itself. */
  async #tell(work: (source: Source) => Promise<unknown>): Promise<void> {
    const job = this.#job
    try {
      const source = job && (await this.#configured(job.sourceId))
      if (source) await work(source)
    } catch (error) {
      log('warn', { event: 'job.tell_failed', ...(job ? { jobId: job.jobId } : {}), error: nameOf(error) })
    }
  }

  async #purge(): Promise<void> {
    const job = this.#job
    if (!job) return
    for (let more = true; more;) {
      const { objects, truncated } = await this.env.FILES.list({ prefix: objectPrefix(job.jobId), limit: PURGE_BATCH })
      if (objects.length > 0) await this.env.FILES.delete(objects.map((object) => object.key))
      more = truncated
    }
    await this.#tell(async (source) => gateOf(this.env, source).forget(job.jobId))
    await this.#tell(async () => ledgerOf(this.env, job.clientId).removeJob(job.jobId))
    this.#job = undefined
    await this.ctx.storage.deleteAlarm()
    await this.ctx.storage.deleteAll()
  }

  async #arm(): Promise<void> {
    if (this.#job) await this.ctx.storage.setAlarm(alarmAt(this.#job, Date.now()))
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

  #client(source: Source): VendorClient {
    this.#tokens ??= new GateTokens(this.env, source)
    return new VendorClient(source, this.#tokens, configOf(this.env).settings.sandbox)
  }

  /** The source, or nothing while its configuration is missing or broken: an operator may mend it before the deadline. */
  async #configured(sourceId: string): Promise<Source | undefined> {
    try {
      return await configOf(this.env).source(sourceId)
    } catch (error) {
      if (error instanceof ExportError) return undefined
      throw error
    }
  }

  #rules(source: Source): Rules {
    const limits = { ...DEFAULT_LIMITS, ...source.dialect.limits }
    const service = configOf(this.env).settings.limits
    return {
      pollMs: limits.pollSeconds * 1000,
      minPollMs: service.vendorPollFloorSeconds * 1000,
      maxPollMs: limits.maxPollSeconds * 1000,
      deadlineMs: limits.deadlineSeconds * 1000,
      retentionMs: service.retentionSeconds * 1000,
      vendorRetentionMs: limits.retentionSeconds * 1000,
      graceMs: service.purgeGraceSeconds * 1000,
    }
  }
}

const CREDENTIAL_CHANGED: Failure = {
  code: 'credential_changed',
  diagnostics: "The source's credential now belongs to another client, which cannot see this export. Start a new export.",
}

const codeOf = (job: Job): { code?: string } => (job.failure ? { code: job.failure.code } : {})
