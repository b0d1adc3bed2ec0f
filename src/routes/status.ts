import type { Context } from 'hono'
import { ExportError } from '../errors.ts'
import { formatHttpDate } from '../fhir/instant.ts'
import { operationOutcome } from '../fhir/operation-outcome.ts'
import { jobCallerOf, jobNotFound, jobOf, sourceOf, tooNarrow, type App } from './context.ts'

/** An id that we may have made; anything else is not worth an object. */
const JOB_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** The id in the path. @throws ExportError `job_not_found` for what no job of ours is called. */
export const jobIdOf = (c: Context<App>): string => {
  const id = c.req.param('job') ?? ''
  if (!JOB_ID.test(id)) throw jobNotFound()
  return id
}

/**
 * Status of an export, and its manifest once it is complete. One call to the job's object, no row written, nothing upstream.
 *
 * @see Bulk Data Status Request, ST-01 to ST-12; [N-13], [N-16]
 */
export const status = async (c: Context<App>): Promise<Response> => {
  const source = await sourceOf(c)
  const answer = await jobOf(c.env, jobIdOf(c)).view(jobCallerOf(c, source))
  switch (answer.kind) {
    case 'absent':
      throw jobNotFound()
    case 'forbidden':
      throw tooNarrow()
    case 'too-often':
      throw new ExportError('polled_too_often', 'This export is polled too often. Wait as long as Retry-After says.', {
        retryAfterSeconds: answer.retryAfterSeconds,
      })
    case 'in-progress':
      return c.body(null, 202, { 'X-Progress': answer.progress, 'Retry-After': `${answer.retryAfterSeconds}` })
    case 'complete':
      return c.body(answer.manifest, 200, { 'Content-Type': 'application/json', Expires: formatHttpDate(answer.expiresMs) })
    case 'failed':
      throw new ExportError(answer.code, answer.diagnostics)
  }
}

/**
 * Cancels an export or deletes its files.
 *
 * @see Bulk Data Delete Request, DL-01 to DL-03; [N-31]
 */
export const remove = async (c: Context<App>): Promise<Response> => {
  const source = await sourceOf(c)
  const answer = await jobOf(c.env, jobIdOf(c)).delete(jobCallerOf(c, source))
  if (answer.kind === 'absent') throw jobNotFound()
  if (answer.kind === 'forbidden') throw tooNarrow()
  const outcome = operationOutcome([{ severity: 'information', code: 'informational', diagnostics: 'The export was deleted.' }])
  return c.json(outcome, 202, { 'Content-Type': 'application/fhir+json' })
}
