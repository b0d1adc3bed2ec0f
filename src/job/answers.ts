import { mayRead, readableTypes, readsEverything } from '../auth/scopes.ts'
import type { ServiceLimits } from '../config.ts'
import type { ExportErrorCode } from '../errors.ts'
import type { FileKind } from '../fhir/manifest.ts'
import { formatProgress } from '../fhir/progress.ts'
import { outwardRetryAfterSeconds } from '../fhir/retry-after.ts'
import type { Job } from './model.ts'
import type { RowJob } from './row-context.ts'
import { AttachmentSeal, type Attachment } from './sealed-url.ts'
import type { JobStorage } from './storage.ts'

/** What a job answers its routes. Tagged unions: error classes do not survive the trip between objects. */
export type StartAnswer =
  | { readonly kind: 'started'; readonly retryAfterSeconds: number }
  | { readonly kind: 'refused'; readonly code: ExportErrorCode; readonly diagnostics: string }

/** The caller's token does not cover what the job holds [AU-17]. */
interface Forbidden {
  readonly kind: 'forbidden'
}

/** An answer about the export, as opposed to one about the poll. */
interface AboutExport {
  /** The client asked for the two to be told apart [ST-10]. */
  readonly isSeparate?: true
}

export type StatusAnswer =
  | Forbidden
  | { readonly kind: 'absent' }
  | { readonly kind: 'too-often'; readonly retryAfterSeconds: number }
  /** The manifest has no such page, or has none yet. */
  | { readonly kind: 'no-page' }
  | (AboutExport & {
      readonly kind: 'in-progress'
      readonly progress: string
      readonly retryAfterSeconds: number
      /** A page of the manifest, for who wants it while the others are still to come [ST-13]. */
      readonly manifest?: ReadableStream<Uint8Array>
    })
  | (AboutExport & { readonly kind: 'complete'; readonly expiresMs: number; readonly manifest: ReadableStream<Uint8Array> })
  | (AboutExport & { readonly kind: 'failed'; readonly code: ExportErrorCode; readonly diagnostics: string })

/**
 * What nearly every poll is answered, as one text: to pass an object between objects takes a tenth of the time of a poll.
 *
 * @returns Other answers as they are.
 */
export const shortened = (answer: StatusAnswer): StatusAnswer | string =>
  answer.kind === 'in-progress' && !answer.isSeparate && !answer.manifest
    ? `${answer.retryAfterSeconds} ${answer.progress}`
    : answer

/** The inverse of `shortened`. */
export const restored = (answer: StatusAnswer | string): StatusAnswer => {
  if (typeof answer !== 'string') return answer
  const space = answer.indexOf(' ')
  return { kind: 'in-progress', retryAfterSeconds: Number(answer.slice(0, space)), progress: answer.slice(space + 1) }
}

export type FileAnswer =
  | Forbidden
  | { readonly kind: 'absent' }
  /** Rests in R2. */
  | { readonly kind: 'stored'; readonly type: string; readonly n: number; readonly bytes: number; readonly sha256: string }
  /** Stays at the vendor. */
  | {
      readonly kind: 'vendor'
      /** Who may ask for it there [N-38]. */
      readonly subject: string
      readonly type: string
      readonly url: string
      readonly fileKind: FileKind
      /** What its rows pass on their way. */
      readonly job: RowJob
    }
  /** Small, and our own. */
  | { readonly kind: 'text'; readonly type: string; readonly text: string; readonly sha256: string }

/** Where an attachment is. `absent`: no seal of this job, or nothing that can be had. */
export type AttachmentAnswer =
  Forbidden | { readonly kind: 'absent' } | ({ readonly kind: 'vendor'; readonly subject: string } & Attachment)

export type DeleteAnswer = Forbidden | { readonly kind: 'deleted' } | { readonly kind: 'absent' }

/** `Patient.3.ndjson` is the third file of the manifest. @returns Its number; `undefined` for any other name. */
export const parseFileName = (name: string): number | undefined => {
  const digits = /^[A-Za-z]+\.([1-9]\d{0,8})\.ndjson$/.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** A file that is organized by a resource is named after the type of that. */
export const nameOfFile = (type: string, n: number): string => `${type}.${n}.ndjson`

/** Whether a token covers everything that a job may hold [AU-17]. */
export const coversJob = ({ types }: Job, scopes: readonly string[]): boolean =>
  types ? readableTypes(scopes, types).length === types.length : readsEverything(scopes)

/** Where one output file of a complete job is. */
export const fileAnswer = (job: Job, storage: JobStorage, name: string, scopes: readonly string[]): FileAnswer => {
  const n = parseFileName(name)
  const file = n === undefined ? undefined : storage.files.get(n)
  if (!file || file.state !== 'ready' || file.type === null || name !== nameOfFile(file.type, file.n)) return { kind: 'absent' }
  const { type } = file
  // Deletions and outcomes may be about any type of the export, and organized files hold all of them.
  const isOfType = file.kind === 'output' && job.organizeBy === undefined && job.organizedBy === undefined
  if (!(isOfType ? mayRead(scopes, type) : coversJob(job, scopes))) return { kind: 'forbidden' }
  if (file.text !== null) return { kind: 'text', type, text: file.text, sha256: file.sha256 ?? '' }
  if (job.retention === 'none')
    return file.url === null
      ? { kind: 'absent' }
      : { kind: 'vendor', type, url: file.url, fileKind: file.kind, job: rowJobOf(job), subject: job.subject }
  return { kind: 'stored', type, n: file.n, bytes: file.bytes ?? 0, sha256: file.sha256 ?? '' }
}

const rowJobOf = ({ jobId, sourceId, types, rows, attachmentKey, organizedBy }: Job): RowJob => ({
  jobId,
  sourceId,
  ...(types === undefined ? {} : { types }),
  ...(rows === undefined ? {} : { rows }),
  ...(attachmentKey === undefined ? {} : { attachmentKey }),
  ...(organizedBy === undefined ? {} : { organizedBy }),
})

/** What the seal in an attachment's URL names. */
export const attachmentAnswer = async (job: Job, sealed: string, scopes: readonly string[]): Promise<AttachmentAnswer> => {
  const attachment = job.attachmentKey === undefined ? undefined : await new AttachmentSeal(job.attachmentKey).open(sealed)
  if (!attachment) return { kind: 'absent' }
  return mayRead(scopes, attachment.type) ? { kind: 'vendor', ...attachment, subject: job.subject } : { kind: 'forbidden' }
}

/** The status URL of a job. */
export const jobUrl = (publicBase: string, sourceId: string, jobId: string): string =>
  `${publicBase}/fhir/${sourceId}/jobs/${jobId}`

/** How long a client is asked to wait: as long as nothing can change, within our bounds [N-16]. */
export const retryAfterSeconds = (job: Job, limits: ServiceLimits, nowMs: number): number =>
  // A kick-off under way is over in a moment, whatever its deadline.
  outwardRetryAfterSeconds(job.state === 'submitting' ? 0 : job.nextMs - nowMs, {
    minSeconds: limits.retryAfterMinSeconds,
    maxSeconds: limits.retryAfterMaxSeconds,
  })

/** What `X-Progress` tells of a job [ST-02]. */
export const progressText = (job: Job, storage: JobStorage): string => {
  if (job.state === 'queued')
    return job.place === undefined ? formatProgress({ phase: 'queued' }) : formatProgress({ queuePosition: job.place })
  if (job.state !== 'collecting') return formatProgress(job.progress)
  const { total, pending } = storage.files.progress()
  // The vendor's share is over; ours is shown in what is left above it.
  const floor = job.progress.percent ?? 50
  return formatProgress({ percent: floor + ((99 - floor) * (total - pending)) / Math.max(1, total) })
}
