import { randomUUID } from 'node:crypto'
import type { ExportFile } from './export-files.ts'
import type { TrafficRecorder } from './traffic.ts'

/** A vendor job: one export at a fake vendor. */
export interface Job {
  readonly id: string
  /** Subject of the token that started it. */
  readonly owner: string
  /** The URL that started it, as the vendor would repeat it. */
  readonly request: string
  readonly startedAtMs: number
  /** `Infinity`: never. */
  readonly readyAtMs: number
}

export type JobState =
  | { readonly kind: 'running'; readonly fraction: number }
  | {
      readonly kind: 'complete'
      readonly files: readonly ExportFile[]
      readonly errors: readonly ExportFile[]
      readonly deleted: readonly ExportFile[]
      readonly finishedAtMs: number
      readonly expiresAtMs: number
    }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'cancelled' }

interface StoredJob extends Job {
  readyAtMs: number
  prepared?: { readonly files: readonly ExportFile[]; readonly atMs: number }
  readonly errors: readonly ExportFile[]
  readonly deleted: readonly ExportFile[]
  failure?: string
  cancelled: boolean
  notBeforeMs: number
}

export interface JobPlan {
  readonly owner: string
  readonly request: string
  /** Makes the output files. */
  readonly files: () => Promise<readonly ExportFile[]>
  readonly errors?: readonly ExportFile[]
  readonly deleted?: readonly ExportFile[]
  /** A job that never ends. */
  readonly endless?: boolean
}

export interface JobStore {
  start(plan: JobPlan): Job
  /** `undefined` when there is no such job, it is another subject's, or it has expired. A cancelled job is found. */
  find(id: string, owner: string): Job | undefined
  state(job: Job): JobState
  cancel(job: Job): void
  /** A file of any finished job of this subject; `undefined` also when the job is cancelled or expired. */
  file(id: string, owner: string): ExportFile | undefined
  running(owner?: string): number
  /** Jobs that neither failed nor were cancelled. */
  unended(owner: string | undefined): number
  /** A job of whoever's, for what is counted before anyone has shown a token. */
  byId(id: string): Job | undefined
  /** Whether its output files are made, though it may still be said to run. */
  isPrepared(job: Job): boolean
  /** Lets a running job be done now. */
  finish(job: Job): void
  /** Counts a status request, and whether it came early. */
  polled(job: Job): void
  /** Remembers what the vendor just told the client in `Retry-After`. */
  askedToWait(job: Job, waitMs: number): void
}

/** A timer of the client may fire this much too soon. */
const TIMER_TOLERANCE_MS = 50

export const jobStore = (settings: {
  readonly jobMs: number
  readonly retentionMs: number
  readonly now: () => number
  readonly traffic: TrafficRecorder
  /** What becomes of the files that a route has made. */
  readonly written: (files: readonly ExportFile[]) => readonly ExportFile[]
}): JobStore => {
  const { jobMs, retentionMs, now, traffic, written } = settings
  const jobs = new Map<string, StoredJob>()
  /** Of every job whose files are made: file id → both. */
  const fileIndex = new Map<string, { readonly job: StoredJob; readonly file: ExportFile }>()
  const stored = (job: Job): StoredJob => {
    const found = jobs.get(job.id)
    if (found === undefined) throw new Error(`No job ${job.id}`)
    return found
  }
  const stateOf = (job: StoredJob): JobState => {
    if (job.cancelled) return { kind: 'cancelled' }
    if (job.failure !== undefined) return { kind: 'failed', reason: job.failure }
    if (job.prepared === undefined || now() < job.readyAtMs) {
      const fraction = (now() - job.startedAtMs) / (job.readyAtMs - job.startedAtMs)
      return { kind: 'running', fraction: Number.isFinite(fraction) ? Math.min(0.99, Math.max(0, fraction)) : 0 }
    }
    const finishedAtMs = Math.max(job.readyAtMs, job.prepared.atMs)
    const { files } = job.prepared
    const { errors, deleted } = job
    return { kind: 'complete', files, errors, deleted, finishedAtMs, expiresAtMs: finishedAtMs + retentionMs }
  }
  const isExpired = (job: StoredJob): boolean => {
    const state = stateOf(job)
    return state.kind === 'complete' ? state.expiresAtMs <= now() : job.startedAtMs + jobMs + retentionMs <= now()
  }
  const forget = (job: StoredJob): void => {
    jobs.delete(job.id)
    for (const file of [...(job.prepared?.files ?? []), ...job.errors, ...job.deleted]) fileIndex.delete(file.id)
  }
  const purge = (): void => {
    for (const job of jobs.values()) if (isExpired(job)) forget(job)
  }
  const live = (id: string): StoredJob | undefined => {
    const job = jobs.get(id)
    if (job === undefined || !isExpired(job)) return job
    forget(job)
    return undefined
  }
  const count = (owner: string | undefined, kinds: readonly JobState['kind'][]): number => {
    let counted = 0
    for (const job of jobs.values())
      if ((owner === undefined || job.owner === owner) && kinds.includes(stateOf(job).kind)) counted += 1
    return counted
  }
  const running = (owner?: string): number => count(owner, ['running'])

  return {
    start: ({ owner, request, files: makeFiles, errors = [], deleted = [], endless = false }) => {
      purge()
      const startedAtMs = now()
      const readyAtMs = endless ? Infinity : startedAtMs + jobMs
      const job: StoredJob = {
        id: randomUUID(),
        owner,
        request,
        startedAtMs,
        readyAtMs,
        errors,
        deleted,
        cancelled: false,
        notBeforeMs: 0,
      }
      jobs.set(job.id, job)
      makeFiles().then(
        (files) => {
          const made = written(files)
          job.prepared = { files: made, atMs: now() }
          for (const file of [...made, ...errors, ...deleted]) fileIndex.set(file.id, { job, file })
        },
        (error: unknown) => {
          job.failure = error instanceof Error ? error.message : 'export failed'
        },
      )
      traffic.kickoff(true, running())
      return job
    },
    find: (id, owner) => {
      const job = live(id)
      return job?.owner === owner ? job : undefined
    },
    byId: live,
    state: (job) => stateOf(stored(job)),
    cancel: (job) => {
      stored(job).cancelled = true
      traffic.count('cancels')
    },
    file: (id, owner) => {
      const found = fileIndex.get(id)
      if (found === undefined || found.job.owner !== owner || live(found.job.id) === undefined) return undefined
      return stateOf(found.job).kind === 'complete' ? found.file : undefined
    },
    isPrepared: (job) => stored(job).prepared !== undefined,
    finish: (job) => {
      const known = stored(job)
      known.readyAtMs = Math.min(known.readyAtMs, now())
    },
    unended: (owner) => count(owner, ['running', 'complete']),
    running,
    polled: (job) => {
      traffic.count('statusRequests')
      if (now() < stored(job).notBeforeMs - TIMER_TOLERANCE_MS) traffic.count('earlyStatusRequests')
    },
    askedToWait: (job, waitMs) => {
      stored(job).notBeforeMs = now() + waitMs
    },
  }
}
