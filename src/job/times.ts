import { fractionOf } from '../source/jitter.ts'
import type { Job } from './model.ts'

/* When a job acts, and the times that its manifest tells. Epoch milliseconds throughout. */

/** The longest wait after an answer that did not help, in first ones: 20 minutes as deployed. */
const MAX_BACKOFF = 1_200
const MAX_JITTER = 0.2
/** Jobs whose alarms once rang together, as after an outage of ours, would go on asking together for as long as they run. */
const POLL_JITTER = 0.1
/** The first status request, when the kick-off named no wait. */
const FIRST_POLL_MS = 10_000
/** A vendor that is busy and does not say for how long is asked again after so many first waits: a minute as deployed. */
const BUSY = 60
/** Some take one kick-off of a group a day; what asks for longer is a mistake. */
const MAX_BUSY_MS = 24 * 3_600_000

/** A job that has waited this long for a slot will not be missed. */
export const QUEUE_DEADLINE_MS = 7 * 24 * 3_600_000

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value))

/** The vendor's wish within our bounds, else the source's usual wait; in ms [N-16]. */
const pollWaitMs = ({ rules }: Job, retryAfterMs: number | undefined): number =>
  clamp(retryAfterMs ?? rules.pollMs, rules.minPollMs, Math.max(rules.minPollMs, rules.maxPollMs))

/** When the vendor is asked again: not before it wishes, and up to a tenth later. */
export const pollAt = (job: Job, retryAfterMs: number | undefined, now: number): number =>
  now + jittered(job, now, pollWaitMs(job, retryAfterMs), POLL_JITTER)

/** When a job has failed for lack of an end, by its state. */
export const deadlineOf = (job: Job): number => {
  if (job.state === 'queued') return job.createdMs + QUEUE_DEADLINE_MS
  // Collecting has as long again: what the vendor has finished at the last moment can still be had.
  return (job.finishedMs ?? job.submittedMs ?? job.createdMs) + job.rules.deadlineMs
}

/** When the status is first asked for. A small export is done soon; a vendor that minds being asked early says so. */
export const firstPollAt = (job: Job, retryAfterMs: number | undefined, now: number): number =>
  now + pollWaitMs(job, retryAfterMs ?? Math.min(FIRST_POLL_MS, job.rules.pollMs))

/**
 * Lengthens a wait by up to a share of it, so that jobs that failed together do not come back together. How much follows from the job
 * and the attempt: the engine stays a function of what it is given.
 *
 * @param attempt Any number that is another one at the job's next wait.
 */
export const jittered = (job: Pick<Job, 'jobId'>, attempt: number, waitMs: number, share = MAX_JITTER): number =>
  Math.round(waitMs * (1 + share * fractionOf(`${job.jobId}/${attempt}`)))

/** When to ask again after the `attempt`th answer in a row that did not help: ever later, and no earlier than the vendor wants [N-11]. */
export const retryAt = (job: Job, attempt: number, retryAfterMs: number | undefined, now: number): number => {
  const { retryMs, minPollMs } = job.rules
  const backoffMs = Math.min(MAX_BACKOFF * retryMs, Math.max(retryMs, minPollMs) * 2 ** (attempt - 1))
  return now + jittered(job, attempt, Math.max(backoffMs, minPollMs, Math.min(retryAfterMs ?? 0, job.rules.maxPollMs)))
}

/** When to send a kick-off again that was refused as one too many for the `attempt`th time [N-05]. */
export const busyUntil = (job: Job, attempt: number, retryAfterMs: number | undefined, now: number): number => {
  const { retryMs } = job.rules
  const backoffMs = Math.min(MAX_BACKOFF * retryMs, BUSY * retryMs * 2 ** (attempt - 1))
  return now + jittered(job, attempt, clamp(retryAfterMs ?? backoffMs, job.rules.minPollMs, MAX_BUSY_MS))
}

/**
 * Whether the vendor's percentage has stood still for too long [N-10]. A vendor that tells none cannot be seen to stall: its deadline
 * ends the job.
 */
export const isStalled = ({ progress, progressMs, rules }: Job, now: number): boolean =>
  progress.percent !== undefined && now - progressMs >= rules.stallMs

/**
 * `transactionTime` that is safe as the next `_since`. One taken at the finish would lose what changed while the export ran, so
 * the earliest clock that we know wins [N-20].
 */
export const transactionTimeOf = (job: Job, vendorMs: number | undefined, now: number): number => {
  const startedMs = Math.min(job.submittedMs ?? now, job.vendorClockMs ?? Infinity)
  if (vendorMs === undefined) return startedMs
  return job.finishTimeManifest ? Math.min(vendorMs, startedMs) : vendorMs
}

/**
 * Files that rest with us last as we say. Streamed ones last no longer than the vendor's: what it says, else its usual time [N-34].
 */
export const expiryOf = (job: Job, vendorExpiresMs: number | undefined, now: number): number => {
  const ours = now + job.rules.retentionMs
  return job.retention === 'r2' ? ours : Math.min(ours, vendorExpiresMs ?? now + job.rules.vendorRetentionMs)
}
