import type { Failure, Job, JobState, Transition } from './model.ts'
import { expiryOf } from './times.ts'

/* The three ways an export ends, and what each leaves to be done. */

/** What a job that fails leaves at the vendor. A job that nobody can name keeps its slot for as long as it could run. */
const LEFT_BEHIND = {
  'never-started': ['return-slot'],
  'vendor-ended': ['release-slot'],
  'vendor-running': ['cancel-vendor-job', 'release-slot'],
  'vendor-unknown': ['hold-slot'],
} as const satisfies Record<string, Transition['effects']>

/** The end of a job without files. */
export const fail = (job: Job, failure: Failure, now: number, left: keyof typeof LEFT_BEHIND): Transition => ({
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

/** DELETE: from this moment on nothing but 404, whatever the vendor does [DL-02]. */
export const cancel = (job: Job, now: number): Transition => ({
  job: { ...job, state: 'cancelled', endedMs: now, nextMs: now + job.rules.graceMs },
  effects: job.state === 'complete' && job.retention === 'none' ? ['report-state'] : UNDO[job.state],
})

export const complete = (job: Job, now: number): Transition => {
  const expiresMs = expiryOf(job, job.vendorExpiresMs, now)
  return {
    job: { ...job, state: 'complete', endedMs: now, expiresMs, nextMs: expiresMs },
    effects: job.retention === 'r2' && job.deleteAfterCollecting ? ['cancel-vendor-job', 'report-state'] : ['report-state'],
  }
}
