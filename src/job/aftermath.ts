import { cancel } from './endings.ts'
import type { Job, StateEvent, Transition } from './model.ts'
import { retryAt } from './times.ts'

/* What still happens to a job after its export is over. */

/** Times that a vendor is told to drop a job that we have ended. It ends by itself otherwise. */
const MAX_CANCELS = 5
const unchanged = (job: Job): Transition => ({ job, effects: [] })

/** The vendor was told to drop its job, or could not be told. */
export const afterCancel = (job: Job, isDone: boolean, now: number): Transition => {
  const { cancel: before, ...rest } = job
  const tries = (before?.tries ?? 0) + 1
  if (isDone || tries >= MAX_CANCELS) return unchanged(rest)
  return unchanged({ ...rest, cancel: { tries, nextMs: retryAt(job, tries, undefined, now) } })
}

/** Whether the vendor's files may still be under way to a client after a DELETE: they are streamed, and were there to be had [DL-04]. */
const streams = ({ state, retention, finishedMs }: Job): boolean =>
  state === 'cancelled' && retention === 'none' && finishedMs !== undefined

/** A job whose export is over: it waits for its end, and for nothing else. */
export const ended = (job: Job, event: StateEvent, now: number): Transition => {
  if (event.kind === 'deleted') return cancel(job, now)
  if (event.kind !== 'alarm' || now < job.nextMs) return unchanged(job)
  return { job: { ...job, state: 'expired', nextMs: now + job.rules.graceMs }, effects: ['report-state'] }
}

/**
 * A job that nobody can see any more. What is left of it goes after the grace for downloads that had begun [DL-04]; the answer to a
 * kick-off that was on its way when the client gave up is still heard, so that no vendor job is orphaned.
 */
export const gone = (job: Job, event: StateEvent, now: number): Transition => {
  switch (event.kind) {
    case 'alarm':
      if (now < job.nextMs) return unchanged(job)
      // Nobody will know of it afterwards: a vendor that could not be told is told once more.
      return { job, effects: streams(job) || job.cancel ? ['cancel-vendor-job', 'purge'] : ['purge'] }
    case 'kickoff-accepted':
      return { job: { ...job, statusUrl: event.statusUrl }, effects: ['cancel-vendor-job', 'release-slot'] }
    case 'slot-granted':
    case 'kickoff-busy':
    case 'kickoff-refused':
      return { job, effects: ['return-slot'] }
    case 'kickoff-ambiguous':
      return { job, effects: ['hold-slot'] }
    case 'slot-refused':
    case 'still-running':
    case 'finished':
    case 'unclear':
    case 'held':
    case 'lost':
    case 'vendor-failed':
    case 'given-up':
    case 'collecting-paused':
    case 'collected':
    case 'deleted':
      return unchanged(job)
  }
}
