import { ledgerOf } from '../client/client-ledger.ts'
import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { ExportError } from '../errors.ts'
import { log, nameOf } from '../log.ts'
import { gateOf, vendorClientOf } from '../source/gate.ts'
import type { SourceGate } from '../source/source-gate.ts'
import type { VendorClient } from '../vendor/client.ts'
import { blockMsOf, subjectOf, type Source } from '../vendor/source.ts'
import { collectingEvent, givenUp } from './collecting-effect.ts'
import { CREDENTIAL_CHANGED } from './failures.ts'
import { UrlRefresher, type Reread } from './url-refresher.ts'
import type { Effect, Job, JobEvent } from './model.ts'
import { addNotes } from './notes.ts'
import { peekTypes } from './peek-types.ts'
import { purgeObjects } from './purge.ts'
import type { JobStorage } from './storage.ts'
import { kickoffEvent, reread, statusEvent } from './vendor-job.ts'

/** How long a job waits before it looks again for a configuration that cannot be used now. */
const MISCONFIGURED_RETRY_MS = 30_000
/** A lease outlives its job's deadline by this, so that it ends only if the job never gave it back. */
const LEASE_MARGIN_MS = 600_000

/** What the engine's effects do to the world: the gate, the vendor, R2 and the ledger. */
export class Effects {
  readonly #env: Env
  readonly #storage: JobStorage
  /** The job as it is by now; it may be deleted while an effect is under way. */
  readonly #current: () => Job | undefined
  #vendor: VendorClient | undefined
  #refresher: UrlRefresher | undefined

  constructor(env: Env, storage: JobStorage, current: () => Job | undefined) {
    this.#env = env
    this.#storage = storage
    this.#current = current
  }

  /** @returns What follows from it, if anything does. */
  async perform(effect: Effect, job: Job): Promise<JobEvent | undefined> {
    switch (effect) {
      case 'register':
        await this.#register(job)
        return undefined
      case 'acquire-slot':
        return this.#acquire(job)
      case 'send-kickoff':
        return this.#withVendor(job, (client, source) => this.#kickoff(client, source, job))
      case 'request-status':
        return this.#withVendor(job, (client, source) => this.#status(client, source, job))
      case 'collect':
        return this.#withVendor(job, (client, source) => this.#collect(client, source, job))
      case 'give-up-files':
        return givenUp({ job, storage: this.#storage, bucket: this.#env.FILES, wanted: this.#isCollecting })
      case 'release-slot':
        await this.#atGate(job, (gate) => gate.release(job.jobId, true))
        return undefined
      case 'return-slot':
        await this.#atGate(job, (gate) => gate.release(job.jobId, false))
        return undefined
      case 'hold-slot':
        await this.#atGate(job, (gate) => gate.hold(job.jobId, Date.now() + job.rules.hiddenJobMs))
        return undefined
      case 'requeue':
        await this.#atGate(job, (gate) => gate.requeue(job.jobId, job.busy ?? 'source', job.nextMs))
        return undefined
      case 'cancel-vendor-job':
        return { kind: 'vendor-job-cancelled', isDone: await this.#cancel(job) }
      case 'report-state':
        await this.#tell(job, () => ledgerOf(this.#env, job.clientId).setJobState(job.jobId, job.state))
        return undefined
      case 'purge':
        await this.#purge(job)
        return undefined
    }
  }

  /** Takes the URLs of all files as the vendor signs them now [N-25]. */
  async refreshUrls(job: Job): Promise<void> {
    await this.#refresherOf(job).refreshWhenAllowed()
  }

  #refresherOf(job: Job): UrlRefresher {
    return (this.#refresher ??= new UrlRefresher(() => this.#reread(job), job.rules.minPollMs, job.finishedMs))
  }

  async #reread(job: Job): Promise<{ said: Reread; retryAfterMs?: number }> {
    const { statusUrl, types } = job
    const source = await this.#pinned(job)
    if (!source || statusUrl === undefined) return { said: 'no-answer' }
    const { urls, ...answer } = await reread(this.#client(source), statusUrl, types)
    if (urls) this.#storage.files.refreshUrls(urls)
    return answer
  }

  /** The source, or nothing while its configuration is missing or broken: an operator may mend it before the deadline. */
  async configured(sourceId: string): Promise<Source | undefined> {
    try {
      return await configOf(this.#env).source(sourceId)
    } catch (error) {
      if (error instanceof ExportError) return undefined
      throw error
    }
  }

  /** The source as long as we are to the vendor who started the job: nobody else may ask about it [N-38]. */
  async #pinned({ sourceId, subject }: Job): Promise<Source | undefined> {
    const source = await this.configured(sourceId)
    return source && subjectOf(source) === subject ? source : undefined
  }

  async #register({ jobId, clientId, sourceId, level, groupId, request, createdMs }: Job): Promise<void> {
    const entry = { jobId, sourceId, level, ...(groupId === undefined ? {} : { groupId }), request, createdMs }
    await ledgerOf(this.#env, clientId).addJob(entry)
  }

  async #acquire(job: Job): Promise<JobEvent> {
    const later: JobEvent = { kind: 'slot-refused', place: 1, retryMs: MISCONFIGURED_RETRY_MS }
    const source = await this.configured(job.sourceId)
    if (!source) return later
    // What the vendor counts by is what it is asked.
    const { level, groupId } = job.asked ?? job
    const askedMs = Date.now()
    const answer = await gateOf(this.#env, source).acquire({
      sourceId: job.sourceId,
      jobId: job.jobId,
      clientId: job.clientId,
      target: `${level}/${groupId ?? ''}`,
      leaseMs: job.rules.deadlineMs + LEASE_MARGIN_MS,
    })
    if (answer.kind === 'misconfigured') return later
    // What was granted so long ago may be another's by the time that this export ends.
    const isStale = Date.now() - askedMs > LEASE_MARGIN_MS / 2
    if (isStale) return { kind: 'slot-refused', place: job.place ?? 1, retryMs: 0 }
    return answer.kind === 'granted' ? { kind: 'slot-granted' } : { ...answer, kind: 'slot-refused' }
  }

  /** Runs an exchange with the vendor. What keeps us from having it at all is not the vendor's word on the job. */
  async #withVendor(job: Job, exchange: (client: VendorClient, source: Source) => Promise<JobEvent>): Promise<JobEvent> {
    const { state } = job
    const source = await this.configured(job.sourceId)
    if (!source)
      return state === 'submitting' ? { kind: 'kickoff-busy', about: 'source' } : { kind: 'unclear', cause: 'unreachable' }
    if (subjectOf(source) === job.subject) return exchange(this.#client(source), source)
    return { kind: state === 'submitting' ? 'kickoff-refused' : 'vendor-failed', failure: CREDENTIAL_CHANGED }
  }

  async #kickoff(client: VendorClient, source: Source, job: Job): Promise<JobEvent> {
    const event = await kickoffEvent(client, job)
    if (event.kind === 'kickoff-ambiguous') void this.#report(source, job, { isReached: false, isProbe: false })
    return event
  }

  async #status(client: VendorClient, source: Source, job: Job): Promise<JobEvent> {
    const permit = await gateOf(this.#env, source).permit(source.id)
    if (permit.kind === 'refused') return { kind: 'held', retryMs: permit.retryMs }
    const { files } = this.#storage
    const event = await statusEvent(client, job, {
      files: (page, isFirst) => {
        if (isFirst) files.clear()
        files.addPage(page, job.types, job.retention === 'r2' ? 'pending' : 'ready', job.organizedBy)
      },
      settled: async () => {
        if (job.retention !== 'none') return
        await peekTypes(client, files, job.types, blockMsOf(source))
        await addNotes(files, job)
      },
    })
    const isReached = event.kind !== 'unclear' || event.cause !== 'unreachable'
    // Not waited for, since the answer is not yet stored.
    if (permit.isProbe || !isReached) void this.#report(source, job, { isReached, isProbe: permit.isProbe })
    return event
  }

  readonly #isCollecting = (): boolean => this.#current()?.state === 'collecting'

  #collect(client: VendorClient, source: Source, job: Job): Promise<JobEvent> {
    return collectingEvent({
      job,
      source,
      client,
      storage: this.#storage,
      bucket: this.#env.FILES,
      publicBase: configOf(this.#env).settings.publicBase,
      refresher: this.#refresherOf(job),
      permit: () => gateOf(this.#env, source).permit(source.id),
      report: (isReached, isProbe) => this.#report(source, job, { isReached, isProbe }),
      wanted: this.#isCollecting,
    })
  }

  /** @returns False when the vendor could not be told. One that takes no DELETE need not be. */
  async #cancel(job: Job): Promise<boolean> {
    const { statusUrl } = job
    const source = await this.#pinned(job)
    if (statusUrl === undefined || source?.dialect.supports.cancel === false) return true
    return source !== undefined && this.#client(source).cancel(statusUrl)
  }

  /** Tells the gate's circuit breaker how the source is. */
  #report(source: Source, job: Job, { isReached, isProbe }: { isReached: boolean; isProbe: boolean }): Promise<void> {
    return this.#tell(job, async () => gateOf(this.#env, source).report(source.id, isReached, isProbe))
  }

  /**
   * Throws when the gate cannot be told, also because its source's configuration is broken: a slot that is not given back is one export
   * fewer for everybody. A source that is no longer configured has no gate.
   */
  async #atGate(job: Job, work: (gate: DurableObjectStub<SourceGate>) => Promise<unknown>): Promise<void> {
    const source = await configOf(this.#env).source(job.sourceId)
    if (source) await work(gateOf(this.#env, source))
  }

  /** Something that may fail without harm to the job: the other side finds out by itself. */
  async #tell(job: Pick<Job, 'jobId'>, work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (error) {
      log('warn', { event: 'job.tell_failed', jobId: job.jobId, error: nameOf(error) })
    }
  }

  /** Deletes everything that other places hold of a job. */
  async #purge(job: Job): Promise<void> {
    await purgeObjects(this.#env.FILES, this.#storage.uploads, job.jobId)
    await ledgerOf(this.#env, job.clientId).removeJob(job.jobId)
  }

  /** A gate that cannot be told now is told when the job asks it for a slot. */
  async track(source: Source, jobId: string): Promise<void> {
    await this.#tell({ jobId }, async () => gateOf(this.#env, source).track(jobId))
  }

  /** Told when nothing is left of a job; the sweep finds out by itself otherwise. */
  async forgotten(job: Job): Promise<void> {
    await this.#tell(job, () => this.#atGate(job, (gate) => gate.forget(job.jobId)))
  }

  #client(source: Source): VendorClient {
    return (this.#vendor ??= vendorClientOf(this.#env, source))
  }
}
