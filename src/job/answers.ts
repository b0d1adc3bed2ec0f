import { mayRead, readableTypes, readsEverything } from '../auth/scopes.ts'
import type { ServiceLimits } from '../config.ts'
import type { ExportErrorCode } from '../errors.ts'
import { manifestChunks, type ManifestFile } from '../fhir/manifest.ts'
import { formatProgress } from '../fhir/progress.ts'
import { outwardRetryAfterSeconds } from '../fhir/retry-after.ts'
import type { Job } from './model.ts'
import type { FileRow } from './file-rows.ts'
import type { JobStorage } from './storage.ts'

/** What a job answers its routes. Tagged unions: error classes do not survive the trip between objects. */
export type StartAnswer =
  | { readonly kind: 'started'; readonly retryAfterSeconds: number }
  | { readonly kind: 'refused'; readonly code: ExportErrorCode; readonly diagnostics: string }

/** The caller's token does not cover what the job holds [AU-17]. */
interface Forbidden {
  readonly kind: 'forbidden'
}

export type StatusAnswer =
  | Forbidden
  | { readonly kind: 'absent' }
  | { readonly kind: 'too-often'; readonly retryAfterSeconds: number }
  | { readonly kind: 'in-progress'; readonly progress: string; readonly retryAfterSeconds: number }
  | { readonly kind: 'complete'; readonly expiresMs: number; readonly manifest: ReadableStream<Uint8Array> }
  | { readonly kind: 'failed'; readonly code: ExportErrorCode; readonly diagnostics: string }

export type FileAnswer =
  | Forbidden
  | { readonly kind: 'absent' }
  /** Rests in R2. */
  | { readonly kind: 'stored'; readonly type: string; readonly n: number; readonly bytes: number; readonly sha256: string }
  /** Stays at the vendor. */
  | { readonly kind: 'vendor'; readonly type: string; readonly url: string }
  /** Small, and our own. */
  | { readonly kind: 'text'; readonly type: string; readonly text: string; readonly sha256: string }

export type DeleteAnswer = Forbidden | { readonly kind: 'deleted' } | { readonly kind: 'absent' }

/** `Patient.3.ndjson` is the third file of the manifest. @returns Its number; `undefined` for any other name. */
export const parseFileName = (name: string): number | undefined => {
  const digits = /^[A-Za-z]+\.([1-9]\d{0,8})\.ndjson$/.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

const nameOfFile = (type: string, n: number): string => `${type}.${n}.ndjson`

/** Whether a token covers everything that a job may hold [AU-17]. */
export const coversJob = ({ types }: Job, scopes: readonly string[]): boolean =>
  types ? readableTypes(scopes, types).length === types.length : readsEverything(scopes)

/** Where one output file of a complete job is. */
export const fileAnswer = (job: Job, storage: JobStorage, name: string, scopes: readonly string[]): FileAnswer => {
  const n = parseFileName(name)
  const file = n === undefined ? undefined : storage.files.get(n)
  if (!file || file.state !== 'ready' || file.type === null || name !== nameOfFile(file.type, file.n)) return { kind: 'absent' }
  const { type } = file
  // Deletions and outcomes may be about any type of the export.
  if (!(file.kind === 'output' ? mayRead(scopes, type) : coversJob(job, scopes))) return { kind: 'forbidden' }
  if (file.text !== null) return { kind: 'text', type, text: file.text, sha256: file.sha256 ?? '' }
  if (job.retention === 'none') return file.url === null ? { kind: 'absent' } : { kind: 'vendor', type, url: file.url }
  return { kind: 'stored', type, n: file.n, bytes: file.bytes ?? 0, sha256: file.sha256 ?? '' }
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

/** The manifest, written out of the rows as it is read: any number of files costs the same memory. */
export const manifestStream = (job: Job, storage: JobStorage, publicBase: string): ReadableStream<Uint8Array> => {
  const base = `${jobUrl(publicBase, job.sourceId, job.jobId)}/files`
  const entry = ({ type, n, lines }: FileRow): ManifestFile => ({
    type: type ?? '',
    url: `${base}/${nameOfFile(type ?? '', n)}`,
    ...(lines === null ? {} : { count: lines }),
  })
  const head = { transactionTimeMs: job.transactionTimeMs ?? job.createdMs, request: job.request }
  const chunks = manifestChunks(head, function* (kind) {
    for (const file of storage.files.listed(kind)) yield entry(file)
  })
  const encoder = new TextEncoder()
  return new ReadableStream({
    type: 'bytes',
    pull(controller) {
      const { value, done } = chunks.next()
      if (!done) controller.enqueue(encoder.encode(value))
      else controller.close()
    },
  })
}

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
