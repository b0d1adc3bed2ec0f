import { mergeProgress } from '../fhir/progress.ts'
import { AMBIGUOUS, LATE, LOST, NEVER_STARTED, NO_FILES, UNREADABLE } from './failures.ts'
import type { Failure, Job, JobEvent, JobState, Transition } from './model.ts'

/** A kick-off that has no stored answer by then has none [N-06]. */
export const SUBMIT_DEADLINE_MS = 120_000
/** Answers that tell nothing, in a row, before the vendor's job is given up: spread out, about four hours at the longest wait. */
export const MAX_UNCLEAR = 12
const MAX_BACKOFF_MS = 20 * 60_000
/** A job that was accepted a moment ago may not be known everywhere yet [N-11]. */
const FRESH_MS = 30_000
/** The first status request, when the kick-off named no wait. */
const FIRST_POLL_MS = 10_000
/** A vendor that is busy and does not say for how long is asked again after this. */
const BUSY_MS = 60_000

/** A job that has waited this long for a slot will not be missed. */
export const QUEUE_DEADLINE_MS = 7 * 24 * 3_600_000

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value))

/** When the vendor may be asked again: its wish within our bounds, else the source's usual wait [N-16]. */
const pollAt = (job: Job, retryAfterMs: number | undefined, now: number): number =>
  now + clamp(retryAfterMs ?? job.rules.pollMs, job.rules.minPollMs, Math.max(job.rules.minPollMs, job.rules.maxPollMs))

const deadlineOf = (job: Job): number =>
  job.state === 'queued' ? job.createdMs + QUEUE_DEADLINE_MS : (job.submittedMs ?? job.createdMs) + job.rules.deadlineMs

const unchanged = (job: Job): Transition => ({ job, effects: [] })

/** The end of a job without files. A vendor job that may still run is cancelled; one that nobody can name keeps its slot. */
const fail = (
  job: Job,
  failure: Failure,
  now: number,
  ending: 'vendor-ended' | 'vendor-running' | 'vendor-unknown',
): Transition => ({
  job: {
    ...job,
    state: 'failed',
    failure,
    endedMs: now,
    expiresMs: now + job.rules.retentionMs,
    nextMs: now + job.rules.retentionMs,
  },
  effects: [
    ...(ending === 'vendor-running' ? (['cancel-vendor-job'] as const) : []),
    ...(ending === 'vendor-unknown' ? [] : (['release-slot'] as const)),
    'report-state',
  ],
})

/** What a DELETE must undo, by state. A kick-off in flight is undone when its answer comes. */
const UNDO: Record<JobState, Transition['effects']> = {
  queued: ['release-slot', 'report-state'],
  submitting: ['report-state'],
  running: ['cancel-vendor-job', 'release-slot', 'report-state'],
  collecting: ['cancel-vendor-job', 'report-state'],
  complete: ['cancel-vendor-job', 'report-state'],
  failed: ['report-state'],
  cancelled: [],
  expired: [],
}

/** DELETE: from this moment on nothing but 404, whatever the vendor does [DL-02]. */
const cancel = (job: Job, now: number): Transition => ({
  job: { ...job, state: 'cancelled', endedMs: now, nextMs: now + job.rules.graceMs },
  effects: UNDO[job.state],
})

/**
 * `transactionTime` that is safe as the next `_since`. One taken at the finish would lose what changed while the export ran, so
 * the earliest clock that we know wins [N-20].
 */
const transactionTimeOf = (job: Job, vendorMs: number | undefined, now: number): number => {
  const startedMs = Math.min(job.submittedMs ?? now, job.vendorClockMs ?? Infinity)
  if (vendorMs === undefined) return startedMs
  return job.finishTimeManifest ? Math.min(vendorMs, startedMs) : vendorMs
}

/**
 * Files that rest with us last as we say. Streamed ones last no longer than the vendor's: what it says, else its usual time [N-34].
 */
const expiryOf = (job: Job, vendorExpiresMs: number | undefined, now: number): number => {
  const ours = now + job.rules.retentionMs
  return job.retention === 'r2' ? ours : Math.min(ours, vendorExpiresMs ?? now + job.rules.vendorRetentionMs)
}

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
      if (now >= deadlineOf(job)) return fail(job, NEVER_STARTED, now, 'vendor-ended')
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
        statusUrl,
        ...(vendorClockMs === undefined ? {} : { vendorClockMs }),
        trace: { ...job.trace, ...trace },
        // A small export is done soon; a vendor that minds being asked early says so here or at the first status.
        nextMs: pollAt(job, retryAfterMs ?? Math.min(FIRST_POLL_MS, job.rules.pollMs), now),
      }
      return { job: accepted, effects: ['report-state'] }
    }
    case 'kickoff-busy':
      // The vendor refused for now: the request is known not to run, so it may be sent again [N-05], [N-06].
      return {
        job: {
          ...job,
          state: 'queued',
          nextMs: now + clamp(event.retryAfterMs ?? BUSY_MS, job.rules.minPollMs, job.rules.maxPollMs),
        },
        effects: ['release-slot'],
      }
    case 'kickoff-refused':
      return fail({ ...job, trace: { ...job.trace, ...event.trace } }, event.failure, now, 'vendor-ended')
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
      const backoffMs = Math.min(MAX_BACKOFF_MS, job.rules.minPollMs * 2 ** (unclear - 1))
      const askedMs = event.retryAfterMs ?? 0
      return unchanged({ ...job, unclear, nextMs: now + Math.max(backoffMs, Math.min(askedMs, job.rules.maxPollMs)) })
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
        ...(event.expiresMs === undefined ? {} : { vendorExpiresMs: event.expiresMs }),
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
      return now >= job.nextMs ? { job, effects: ['collect'] } : unchanged(job)
    case 'collecting-paused':
      return unchanged({ ...job, nextMs: now + event.retryMs })
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
    case 'unclear':
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
      return now >= job.nextMs ? { job, effects: ['purge'] } : unchanged(job)
    case 'kickoff-accepted':
      return { job: { ...job, statusUrl: event.statusUrl }, effects: ['cancel-vendor-job', 'release-slot'] }
    case 'kickoff-busy':
    case 'kickoff-refused':
      return { job, effects: ['release-slot'] }
    case 'slot-granted':
      return { job, effects: ['release-slot'] }
    case 'slot-refused':
    case 'kickoff-ambiguous':
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
  return job.state === 'queued' || job.state === 'running' ? Math.min(job.nextMs, deadlineOf(job)) : job.nextMs
}

const omitPlace = ({ place: _, ...job }: Job): Job => job
