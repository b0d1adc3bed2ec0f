import { mergeProgress, type Progress } from '../fhir/progress.ts'
import { afterCancel, ended, gone } from './aftermath.ts'
import { cancel, complete, fail } from './endings.ts'
import { AMBIGUOUS, LATE, LOST, NEVER_STARTED, NO_FILES, STALLED, UNREACHABLE, UNREADABLE } from './failures.ts'
import type { Effect, Job, JobEvent, JobState, StateEvent, Transition } from './model.ts'
import { busyUntil, deadlineOf, firstPollAt, isStalled, pollAt, retryAt, transactionTimeOf } from './times.ts'

/** A kick-off that has no stored answer by then has none [N-06]. */
export const SUBMIT_DEADLINE_MS = 120_000
/** Unreadable answers in a row before the vendor's job is given up: more than an hour apart from first to last as deployed [N-11]. */
export const MAX_UNREADABLE = 12
/** A job that was accepted a moment ago may not be known everywhere yet [N-11]. */
const FRESH_MS = 30_000
const unchanged = (job: Job): Transition => ({ job, effects: [] })

/** Until when a job waits, and for how long it was asked to. */
const waiting = (nextMs: number, now: number): Pick<Job, 'nextMs' | 'waitMs'> => ({ nextMs, waitMs: nextMs - now })

/** The vendor's progress, and since when it has been so. */
const progressed = (job: Job, next: Progress, now: number): Pick<Job, 'progress' | 'progressMs'> => {
  const progress = mergeProgress(job.progress, next)
  const same = progress.percent === job.progress.percent && progress.phase === job.progress.phase
  return { progress, progressMs: same ? job.progressMs : now }
}

const queued = (job: Job, event: StateEvent, now: number): Transition => {
  switch (event.kind) {
    case 'alarm':
      if (now >= deadlineOf(job)) return fail(omitPlace(job), NEVER_STARTED, now, 'never-started')
      return now >= job.nextMs ? { job, effects: ['acquire-slot'] } : unchanged(job)
    case 'slot-granted':
      return {
        job: { ...omitPlace(job), state: 'submitting', submittedMs: now, nextMs: now + SUBMIT_DEADLINE_MS },
        effects: ['send-kickoff'],
      }
    case 'slot-refused':
      return unchanged({ ...job, place: event.place, nextMs: now + event.retryMs })
    case 'deleted':
      return cancel(job, now)
    case 'kickoff-accepted':
    case 'kickoff-busy':
    case 'kickoff-refused':
    case 'kickoff-ambiguous':
    case 'still-running':
    case 'finished':
    case 'unclear':
    case 'held':
    case 'lost':
    case 'vendor-failed':
    case 'given-up':
    case 'collecting-paused':
    case 'collected':
      return unchanged(job)
  }
}

const submitting = (job: Job, event: StateEvent, now: number): Transition => {
  switch (event.kind) {
    case 'kickoff-accepted': {
      const { statusUrl, retryAfterMs, vendorClockMs, trace } = event
      const accepted: Job = {
        ...job,
        state: 'running',
        unclear: 0,
        unreadable: 0,
        progressMs: now,
        statusUrl,
        ...(vendorClockMs === undefined ? {} : { vendorClockMs }),
        trace: { ...job.trace, ...trace },
        ...waiting(firstPollAt(job, retryAfterMs, now), now),
      }
      return { job: accepted, effects: ['report-state'] }
    }
    case 'kickoff-busy': {
      // The vendor refused for now: the request is known not to run, so it may be sent again [N-05], [N-06].
      const unclear = job.unclear + 1
      const nextMs = busyUntil(job, unclear, event.retryAfterMs, now)
      return { job: { ...job, state: 'queued', place: 1, unclear, busy: event.about, nextMs }, effects: ['requeue'] }
    }
    case 'kickoff-refused':
      return fail({ ...job, trace: { ...job.trace, ...event.trace } }, event.failure, now, 'never-started')
    case 'kickoff-ambiguous':
      return fail(job, AMBIGUOUS, now, 'vendor-unknown')
    case 'alarm':
      return now >= job.nextMs ? fail(job, AMBIGUOUS, now, 'vendor-unknown') : unchanged(job)
    case 'deleted':
      return cancel(job, now)
    case 'slot-granted':
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
      return unchanged(job)
  }
}

const running = (job: Job, event: StateEvent, now: number): Transition => {
  switch (event.kind) {
    case 'alarm':
      if (now >= deadlineOf(job)) return fail(job, job.unclear > 0 ? UNREACHABLE : LATE, now, 'vendor-running')
      return now >= job.nextMs ? { job, effects: ['request-status'] } : unchanged(job)
    case 'still-running': {
      const next: Job = {
        ...job,
        unclear: 0,
        unreadable: 0,
        ...progressed(job, event.progress, now),
        ...waiting(pollAt(job, event.retryAfterMs, now), now),
      }
      // Only the vendor's own word can tell that it stands still.
      return isStalled(next, now) ? fail(next, STALLED, now, 'vendor-running') : unchanged(next)
    }
    case 'unclear': {
      // What a vendor out of reach means for the job is not known, and the deadline bounds it; an answer that tells nothing may be all
      // that it will ever say.
      const unreadable = job.unreadable + (event.cause === 'unreadable' ? 1 : 0)
      if (unreadable >= MAX_UNREADABLE) return fail(job, UNREADABLE, now, 'vendor-running')
      const unclear = job.unclear + 1
      return unchanged({ ...job, unclear, unreadable, nextMs: retryAt(job, unclear, event.retryAfterMs, now) })
    }
    case 'held':
      // Nobody was asked, so nobody answered.
      return unchanged({ ...job, unclear: Math.max(1, job.unclear), nextMs: now + event.retryMs })
    case 'lost':
      if (now - (job.submittedMs ?? now) < FRESH_MS) return running(job, { kind: 'unclear', cause: 'unreadable' }, now)
      return fail(job, LOST, now, 'vendor-ended')
    case 'vendor-failed':
      return fail({ ...job, trace: { ...job.trace, ...event.trace } }, event.failure, now, 'vendor-ended')
    case 'given-up':
      return fail(job, event.failure, now, 'vendor-running')
    case 'finished': {
      const finished: Job = {
        ...job,
        unclear: 0,
        unreadable: 0,
        transactionTimeMs: transactionTimeOf(job, event.transactionTimeMs, now),
        finishedMs: now,
        // `Expires: 0` and its like forbid caching and say nothing of files.
        ...(event.expiresMs === undefined || event.expiresMs <= now ? {} : { vendorExpiresMs: event.expiresMs }),
        trace: { ...job.trace, ...event.trace },
      }
      if (job.retention === 'none') {
        const done = complete(finished, now)
        return { job: done.job, effects: ['release-slot', ...done.effects] }
      }
      return { job: { ...finished, state: 'collecting', nextMs: now }, effects: ['release-slot', 'collect'] }
    }
    case 'deleted':
      return cancel(job, now)
    case 'slot-granted':
    case 'slot-refused':
    case 'kickoff-accepted':
    case 'kickoff-busy':
    case 'kickoff-refused':
    case 'kickoff-ambiguous':
    case 'collecting-paused':
    case 'collected':
      return unchanged(job)
  }
}

const collecting = (job: Job, event: StateEvent, now: number): Transition => {
  switch (event.kind) {
    case 'alarm':
      if (now >= deadlineOf(job)) return { job, effects: ['give-up-files'] }
      return now >= job.nextMs ? { job, effects: ['collect'] } : unchanged(job)
    case 'collecting-paused':
      return unchanged({ ...job, unclear: 0, nextMs: now + event.retryMs })
    case 'held':
      return unchanged({ ...job, nextMs: now + event.retryMs })
    case 'unclear': {
      const unclear = job.unclear + 1
      return unchanged({ ...job, unclear, nextMs: retryAt(job, unclear, event.retryAfterMs, now) })
    }
    case 'collected':
      return event.delivered === 0 && event.failed > 0 ? fail(job, NO_FILES, now, 'vendor-ended') : complete(job, now)
    case 'deleted':
      return cancel(job, now)
    case 'vendor-failed':
    case 'given-up':
      return fail(job, event.failure, now, 'vendor-ended')
    case 'slot-granted':
    case 'slot-refused':
    case 'kickoff-accepted':
    case 'kickoff-busy':
    case 'kickoff-refused':
    case 'kickoff-ambiguous':
    case 'still-running':
    case 'finished':
    case 'lost':
      return unchanged(job)
  }
}

/**
 * The whole engine: what an event makes of a job, and what must then be done. Pure and total; an event that does not fit the state
 * (a late answer, a second alarm) changes nothing.
 *
 * @param now Epoch milliseconds.
 */
export const transition = (job: Job, event: JobEvent, now: number): Transition => {
  if (event.kind === 'vendor-job-cancelled') return afterCancel(job, event.isDone, now)
  if (event.kind === 'alarm' && job.cancel && now >= job.cancel.nextMs) return { job, effects: ['cancel-vendor-job'] }
  switch (job.state) {
    case 'queued':
      return queued(job, event, now)
    case 'submitting':
      return submitting(job, event, now)
    case 'running':
      return running(job, event, now)
    case 'collecting':
      return collecting(job, event, now)
    case 'complete':
    case 'failed':
      return ended(job, event, now)
    case 'cancelled':
    case 'expired':
      return gone(job, event, now)
  }
}

/**
 * When the job's one alarm must ring, epoch milliseconds: at once while something is left to do, else at its next act, or at its
 * deadline if that comes first.
 */
export const alarmAt = (job: Job, now: number): number => {
  if (job.todo.length > 0) return now
  return job.state === 'queued' || job.state === 'running' || job.state === 'collecting'
    ? Math.min(job.nextMs, deadlineOf(job))
    : Math.min(job.nextMs, job.cancel?.nextMs ?? Infinity)
}

/** What only helps a job in one state; it may have left that while the effect waited its turn. */
const ONLY_IN: Partial<Record<Effect, JobState>> = {
  'acquire-slot': 'queued',
  'request-status': 'running',
  collect: 'collecting',
  'give-up-files': 'collecting',
}

/** Whether an effect no longer makes sense, so that nobody need be asked for anything. */
export const isOverdue = (effect: Effect, { state }: Job): boolean => (ONLY_IN[effect] ?? state) !== state

const omitPlace = ({ place: _, ...job }: Job): Job => job
