import type { ExportErrorCode } from '../errors.ts'
import type { KickoffParams, Level } from '../fhir/kickoff-params.ts'
import type { Issue } from '../fhir/operation-outcome.ts'
import type { Progress } from '../fhir/progress.ts'
import type { RowWork } from '../rows/row-work.ts'
import type { Trace, Unclear } from '../vendor/normalise.ts'
import { subjectOf, type Source } from '../vendor/source.ts'
import { newSealKey } from './sealed-url.ts'

/** Written into every row; a row of each past version must still load. */
export const SCHEMA_VERSION = 3

export type JobState = 'queued' | 'submitting' | 'running' | 'collecting' | 'complete' | 'failed' | 'cancelled' | 'expired'

/** Why a job ended without files; what its client is told. */
export interface Failure {
  readonly code: ExportErrorCode
  readonly diagnostics: string
}

/** Numbers that rule a job for its life, fixed when it starts so that a deploy does not change them. Milliseconds. */
export interface Rules {
  /** Wait between status requests when the vendor names none. */
  readonly pollMs: number
  /** Bounds of what the vendor may ask for. */
  readonly minPollMs: number
  readonly maxPollMs: number
  /** First wait after a failure; the other waits after failures are multiples of it. */
  readonly retryMs: number
  /** From the kick-off to the end of collecting. */
  readonly deadlineMs: number
  /** A vendor job whose percentage stands still for this long has failed [N-10]. */
  readonly stallMs: number
  /** How long a slot is held for a vendor job that nobody can name. */
  readonly hiddenJobMs: number
  /** How long the finished export stays. */
  readonly retentionMs: number
  /** How long the vendor keeps its files when it does not say. */
  readonly vendorRetentionMs: number
  /** How long downloads that have begun may go on after the end. */
  readonly graceMs: number
}

/** What a client asked for. */
export interface JobRequest {
  readonly jobId: string
  readonly clientId: string
  readonly sourceId: string
  readonly level: Level
  readonly groupId?: string
  /** Where the vendor is asked. Absent: at the same level and for the same group. */
  readonly asked?: { readonly level: Level; readonly groupId?: string }
  /** As they go to the vendor. */
  readonly params: KickoffParams
  /** What is done to the rows by us. Absent: nothing. */
  readonly rows?: RowWork
  /** Files are organized by us, in blocks of one resource of this type each. Absent: one type per file [FI-12]. */
  readonly organizeBy?: 'Patient'
  /** The vendor organizes the files by this type: their manifest entries have no type [MF-10]. */
  readonly organizedBy?: string
  /** Pages of the manifest may be told before all files are there [PA-18]. */
  readonly partialManifests?: true
  /** The HTTP status of a poll tells about the poll alone, `X-Export-Status` about the export [ST-10]. */
  readonly separateStatus?: true
  /** The kick-off URL that the client called, on our public base [MF-02]. */
  readonly request: string
  /** Resource types that may be delivered; absent when all may. */
  readonly types?: readonly string[]
  /** What a lenient kick-off left out; delivered in `error` [MF-22]. */
  readonly notes: readonly Issue[]
}

/** Who asks for a job, and under which source. */
export interface JobCaller {
  readonly clientId: string
  readonly sourceId: string
  readonly scopes: readonly string[]
}

/** A job: one row. Times are epoch milliseconds. */
export interface Job extends JobRequest {
  readonly schemaVersion: number
  readonly retention: 'r2' | 'none'
  /** Who we are at the vendor, for the life of the job [N-38]. */
  readonly subject: string
  readonly deleteAfterCollecting: boolean
  readonly finishTimeManifest: boolean
  readonly rules: Rules
  /** Seals the addresses of attachments; base64url of 32 bytes. Absent in jobs of older versions: they leave attachments as they are. */
  readonly attachmentKey?: string
  readonly state: JobState
  readonly createdMs: number
  /** When to act next: ask for a slot, ask for the status, collect. */
  readonly nextMs: number
  /** The last wait between two status requests; a vendor usually names the same again. */
  readonly waitMs: number
  /** Place in the queue, 1 is next. */
  readonly place?: number
  readonly submittedMs?: number
  /** When the vendor had finished. */
  readonly finishedMs?: number
  readonly statusUrl?: string
  /** The vendor's clock when it accepted the kick-off. */
  readonly vendorClockMs?: number
  readonly progress: Progress
  /** When the vendor's progress last changed. */
  readonly progressMs: number
  /** Answers in a row that did not help: the vendor was busy, could not be reached, or told nothing. */
  readonly unclear: number
  /** Those among them that were answers, and told nothing: the vendor may never say anything else. */
  readonly unreadable: number
  readonly transactionTimeMs?: number
  readonly vendorExpiresMs?: number
  readonly endedMs?: number
  readonly expiresMs?: number
  readonly failure?: Failure
  /** What the vendor's last "busy" was about. */
  readonly busy?: 'source' | 'target'
  readonly trace: Trace
  /** The vendor could not be told to drop its job, and is told again then. */
  readonly cancel?: { readonly tries: number; readonly nextMs: number }
  /** Effects that are not yet done; stored with the state that wants them, so that a crash between the two loses none. */
  readonly todo: readonly Effect[]
}

/** What happens to a job. */
export type JobEvent =
  | { readonly kind: 'alarm' }
  | { readonly kind: 'slot-granted' }
  | { readonly kind: 'slot-refused'; readonly place: number; readonly retryMs: number }
  | {
      readonly kind: 'kickoff-accepted'
      readonly statusUrl: string
      readonly retryAfterMs?: number
      readonly vendorClockMs?: number
      readonly trace: Trace
    }
  /** The request is known not to run. `about`: what the vendor counts by, everything or this level and group. */
  | { readonly kind: 'kickoff-busy'; readonly about: 'source' | 'target'; readonly retryAfterMs?: number }
  | { readonly kind: 'kickoff-refused'; readonly failure: Failure; readonly trace?: Trace }
  | { readonly kind: 'kickoff-ambiguous' }
  | { readonly kind: 'still-running'; readonly retryAfterMs?: number; readonly progress: Progress }
  | { readonly kind: 'finished'; readonly transactionTimeMs?: number; readonly expiresMs?: number; readonly trace: Trace }
  /** `unreachable`: no answer, or one that says "not now". `unreadable`: an answer that tells nothing of the job. */
  | { readonly kind: 'unclear'; readonly cause: Unclear; readonly retryAfterMs?: number }
  /** The source's circuit is open: nothing was sent. */
  | { readonly kind: 'held'; readonly retryMs: number }
  | { readonly kind: 'lost' }
  | { readonly kind: 'vendor-failed'; readonly failure: Failure; readonly trace?: Trace }
  /** We end it, whatever the vendor still does. */
  | { readonly kind: 'given-up'; readonly failure: Failure }
  /** The vendor was asked to drop its job, and could be told or not. */
  | { readonly kind: 'vendor-job-cancelled'; readonly isDone: boolean }
  | { readonly kind: 'collecting-paused'; readonly retryMs: number }
  | { readonly kind: 'collected'; readonly delivered: number; readonly failed: number }
  | { readonly kind: 'deleted' }

/** Those that mean something else in each state. */
export type StateEvent = Exclude<JobEvent, { readonly kind: 'vendor-job-cancelled' }>

/** What must be done, in order. Each may be done twice without harm, save `send-kickoff`, which its stored state guards. */
export type Effect =
  /** The job enters its client's index. */
  | 'register'
  | 'acquire-slot'
  | 'send-kickoff'
  | 'request-status'
  | 'collect'
  /** Collecting took too long: what is still to come counts as failed. */
  | 'give-up-files'
  /** The vendor's export is over. */
  | 'release-slot'
  /** The vendor took no kick-off, so that its cool-down has not begun either. */
  | 'return-slot'
  /** As `return-slot`, but the job keeps its place: the vendor was busy. */
  | 'requeue'
  /** A vendor job may run that nobody can name: the slot stays taken for as long as that may last. */
  | 'hold-slot'
  | 'cancel-vendor-job'
  | 'report-state'
  | 'purge'

export interface Transition {
  readonly job: Job
  readonly effects: readonly Effect[]
}

/** A job that has just been asked for. */
export const newJob = (request: JobRequest, source: Source, rules: Rules, nowMs: number): Job => ({
  ...request,
  schemaVersion: SCHEMA_VERSION,
  retention: source.retention,
  subject: subjectOf(source),
  deleteAfterCollecting: source.deleteAfterCollecting,
  finishTimeManifest: source.dialect.read?.transactionTime === 'finish',
  rules,
  attachmentKey: newSealKey(),
  state: 'queued',
  createdMs: nowMs,
  nextMs: nowMs,
  waitMs: rules.pollMs,
  progress: {},
  progressMs: nowMs,
  unclear: 0,
  unreadable: 0,
  trace: {},
  todo: ['register'],
})
