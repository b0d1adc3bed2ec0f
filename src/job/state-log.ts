import { log } from '../log.ts'
import type { Job, JobState } from './model.ts'

/** One line for each change of state, with how a job ended and what its vendor's support will ask for. */
export const logState = (from: JobState, { jobId, sourceId, state, failure, trace }: Job): void =>
  log('info', {
    event: 'job.state',
    jobId,
    sourceId,
    from,
    to: state,
    ...(failure ? { code: failure.code } : {}),
    ...(Object.keys(trace).length > 0 ? { trace } : {}),
  })
