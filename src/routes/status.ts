import type { Context } from 'hono'
import { ExportError, wireOf } from '../errors.ts'
import { formatHttpDate } from '../fhir/instant.ts'
import { issueOf, operationOutcome } from '../fhir/operation-outcome.ts'
import { restored } from '../job/answers.ts'
import { jobCallerOf, jobNotFound, jobOf, sourceOf, tooNarrow, type App } from './context.ts'
import { safeResponse } from './edge.ts'

/** An id that we may have made; anything else is not worth an object. */
const JOB_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

const MANIFEST = { 'Content-Type': 'application/json' }

/** The id in the path. @throws ExportError `job_not_found` for what no job of ours is called. */
export const jobIdOf = (c: Context<App>): string => {
  const id = c.req.param('job') ?? ''
  if (!JOB_ID.test(id)) throw jobNotFound()
  return id
}

/** What a status says in words, for `X-Export-Status`. */
const PHRASES: Readonly<Record<200 | 202 | ReturnType<typeof wireOf>['status'], string>> = {
  200: 'OK',
  202: 'Accepted',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

/** How the export stands, where the client wants to be told apart from how the poll went [ST-10]. */
const exportStatus = (status: keyof typeof PHRASES): { readonly 'X-Export-Status': string } => ({
  'X-Export-Status': `${status} ${PHRASES[status]}`,
})

const noPage = (): ExportError =>
  new ExportError(
    'route_not_found',
    'The manifest of this export has no such page, or has none yet. Ask for a page once the page before it links to it.',
  )

/** The page of the manifest that is asked for. @throws ExportError where no page is called so. */
const pageOf = (c: Context<App>): number => {
  const page = c.req.query('page') ?? '1'
  if (!/^[1-9]\d{0,8}$/.test(page)) throw noPage()
  return Number(page)
}

/**
 * Status of an export, and its manifest: once it is complete, or page by page while it runs for a client that takes partial manifests.
 * One call to the job's object, and nothing upstream.
 *
 * @see Bulk Data Status Request, ST-01 to ST-15; [N-13], [N-16]
 */
export const status = async (c: Context<App>): Promise<Response> => {
  const source = await sourceOf(c)
  const { clientId, scopes } = c.var.caller
  const answer = restored(await jobOf(c.env, jobIdOf(c)).poll(clientId, source.id, scopes.join(' '), pageOf(c)))
  switch (answer.kind) {
    case 'absent':
      throw jobNotFound()
    case 'forbidden':
      throw tooNarrow()
    case 'no-page':
      throw noPage()
    case 'too-often':
      throw new ExportError('polled_too_often', 'This export is polled too often. Wait as long as Retry-After says.', {
        retryAfterSeconds: answer.retryAfterSeconds,
      })
    case 'in-progress':
      return safeResponse(answer.manifest ?? null, answer.isSeparate ? 200 : 202, {
        'X-Progress': answer.progress,
        'Retry-After': `${answer.retryAfterSeconds}`,
        ...(answer.manifest ? MANIFEST : {}),
        ...(answer.isSeparate ? exportStatus(202) : {}),
      })
    case 'complete':
      return safeResponse(answer.manifest, 200, {
        ...MANIFEST,
        Expires: formatHttpDate(answer.expiresMs),
        ...(answer.isSeparate ? exportStatus(200) : {}),
      })
    case 'failed': {
      const error = new ExportError(answer.code, answer.diagnostics)
      if (!answer.isSeparate) throw error
      return c.json(operationOutcome([issueOf(error)]), 200, {
        'Content-Type': 'application/fhir+json',
        ...exportStatus(wireOf(error.code).status),
      })
    }
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
