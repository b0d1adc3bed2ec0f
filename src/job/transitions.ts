import { mergeProgress } from '../fhir/progress.ts'
import { AMBIGUOUS, LATE, LOST, NEVER_STARTED, NO_FILES, UNREADABLE } from './failures.ts'
import type { Failure, Job, JobEvent, JobState, Transition } from './model.ts'
import { busyUntil, deadlineOf, expiryOf, firstPollAt, pollAt, retryAt, transactionTimeOf } from './times.ts'

/** A kick-off that has no stored answer by then has none [N-06]. */
export const SUBMIT_DEADLINE_MS = 120_000
/** Answers that tell nothing, in a row, before the vendor's job is given up: more than an hour apart from first to last as deployed. */
export const MAX_UNCLEAR = 12
/** A job that was accepted a moment ago may not be known everywhere yet [N-11]. */
const FRESH_MS = 30_000
/** When collecting cannot go on for a reason that an operator can mend. */
const UNCLEAR_COLLECTING_MS = 30_000
const unchanged = (job: Job): Transition => ({ job, effects: [] })

/** What a job that fails leaves at the vendor. A job that nobody can name keeps its slot for as long as it could run. */
const LEFT_BEHIND = {
  'never-started': ['return-slot'],
  'vendor-ended': ['release-slot'],
  'vendor-running': ['cancel-vendor-job', 'release-slot'],
  'vendor-unknown': ['hold-slot'],
} as const satisfies Record<string, Transition['effects']>

/** The end of a job without files. */
const fail = (job: Job, failure: Failure, now: number, left: keyof typeof LEFT_BEHIND): Transition => ({
  job: {
    ...job,
    state: 'failed',
    failure,
    endedMs: now,
    expiresMs: now + job.rules.retentionMs,
    nextMs: now + job.rules.retentionMs,
  },
  effects: [...LEFT_BEHIND[left], 'report-state'],
})

/** What a DELETE must undo, by state. A kick-off in flight is undone when its answer comes. */
const UNDO: Record<JobState, Transition['effects']> = {
  queued: ['return-slot', 'report-state'],
  submitting: ['report-state'],
  running: ['cancel-vendor-job', 'release-slot', 'report-state'],
  collecting: ['cancel-vendor-job', 'report-state'],
  complete: ['cancel-vendor-job', 'report-state'],
  failed: ['report-state'],
  cancelled: [],
  expired: [],
}

/** Whether the vendor's files may still be under way to a client after a DELETE: they are streamed, and were there to be had [DL-04]. */
const streams = ({ state, retention, finishedMs }: Job): boolean =>
  state === 'cancelled' && retention === 'none' && finishedMs !== undefined

/** DELETE: from this moment on nothing but 404, whatever the vendor does [DL-02]. */
const cancel = (job: Job, now: number): Transition => ({
  job: { ...job, state: 'cancelled', endedMs: now, nextMs: now + job.rules.graceMs },
  effects: job.state === 'complete' && job.retention === 'none' ? ['report-state'] : UNDO[job.state],
})

const complete = (job: Job, now: number): Transition => {
  const expiresMs = expiryOf(job, job.vendorExpiresMs, now)
  return {
    job: { ...job, state: 'complete', endedMs: now, expiresMs, nextMs: expiresMs },
    effects: job.retention === 'r2' && job.deleteAfterCollecting ? ['cancel-vendor-job', 'report-state'] : ['report-state'],
  }
}

const queued = (job: Job, event: JobEvent, now: number): Transition => {
  switch (event.kind) {
    case 'alarm':
      if (now >= deadlineOf(job)) return fail(job, NEVER_STARTED, now, 'never-started')
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
    case 'lost':
    case 'vendor-failed':
    case 'collecting-paused':
    case 'collected':
      return unchanged(job)
  }
}

const submitting = (job: Job, event: JobEvent, now: number): Transition => {
  switch (event.kind) {
    case 'kickoff-accepted': {
      const { statusUrl, retryAfterMs, vendorClockMs, trace } = event
      const accepted: Job = {
        ...job,
        state: 'running',
        unclear: 0,
        statusUrl,
        ...(vendorClockMs === undefined ? {} : { vendorClockMs }),
        trace: { ...job.trace, ...trace },
        nextMs: firstPollAt(job, retryAfterMs, now),
      }
      return { job: accepted, effects: ['report-state'] }
    }
    case 'kickoff-busy': {
      // The vendor refused for now: the request is known not to run, so it may be sent again [N-05], [N-06].
      const unclear = job.unclear + 1
      return {
        job: { ...job, state: 'queued', unclear, nextMs: busyUntil(job, unclear, event.retryAfterMs, now) },
        effects: ['return-slot'],
      }
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
    case 'lost':
    case 'vendor-failed':
    case 'collecting-paused':
    case 'collected':
      return unchanged(job)
  }
}

const running = (job: Job, event: JobEvent, now: number): Transition => {
  switch (event.kind) {
    case 'alarm':
      if (now >= deadlineOf(job)) return fail(job, LATE, now, 'vendor-running')
      return now >= job.nextMs ? { job, effects: ['request-status'] } : unchanged(job)
    case 'still-running':
      return unchanged({
        ...job,
        unclear: 0,
        progress: mergeProgress(job.progress, event.progress),
        nextMs: pollAt(job, event.retryAfterMs, now),
      })
    case 'unclear': {
      const unclear = job.unclear + 1
      if (unclear >= MAX_UNCLEAR) return fail(job, UNREADABLE, now, 'vendor-running')
      return unchanged({ ...job, unclear, nextMs: retryAt(job, unclear, event.retryAfterMs, now) })
    }
    case 'lost':
      if (now - (job.submittedMs ?? now) < FRESH_MS) return running(job, { kind: 'unclear' }, now)
      return fail(job, LOST, now, 'vendor-ended')
    case 'vendor-failed':
      return fail({ ...job, trace: { ...job.trace, ...event.trace } }, event.failure, now, 'vendor-ended')
    case 'finished': {
      const finished: Job = {
        ...job,
        unclear: 0,
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

const collecting = (job: Job, event: JobEvent, now: number): Transition => {
  switch (event.kind) {
    case 'alarm':
      if (now >= deadlineOf(job)) return { job, effects: ['give-up-files'] }
      return now >= job.nextMs ? { job, effects: ['collect'] } : unchanged(job)
    case 'collecting-paused':
      return unchanged({ ...job, nextMs: now + event.retryMs })
    case 'unclear':
      return unchanged({ ...job, nextMs: now + (event.retryAfterMs ?? UNCLEAR_COLLECTING_MS) })
    case 'collected':
      return event.delivered === 0 && event.failed > 0 ? fail(job, NO_FILES, now, 'vendor-ended') : complete(job, now)
    case 'deleted':
      return cancel(job, now)
    case 'vendor-failed':
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

/** A job whose export is over: it waits for its end, and for nothing else. */
const ended = (job: Job, event: JobEvent, now: number): Transition => {
  if (event.kind === 'deleted') return cancel(job, now)
  if (event.kind !== 'alarm' || now < job.nextMs) return unchanged(job)
  return { job: { ...job, state: 'expired', nextMs: now + job.rules.graceMs }, effects: ['report-state'] }
}

/**
 * A job that nobody can see any more. What is left of it goes after the grace for downloads that had begun [DL-04]; the answer to a
 * kick-off that was on its way when the client gave up is still heard, so that no vendor job is orphaned.
 */
const gone = (job: Job, event: JobEvent, now: number): Transition => {
  switch (event.kind) {
    case 'alarm':
      if (now < job.nextMs) return unchanged(job)
      return { job, effects: streams(job) ? ['cancel-vendor-job', 'purge'] : ['purge'] }
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
    case 'lost':
    case 'vendor-failed':
    case 'collecting-paused':
    case 'collected':
    case 'deleted':
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
    : job.nextMs
}

const omitPlace = ({ place: _, ...job }: Job): Job => job
