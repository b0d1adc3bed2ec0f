import type { Context } from 'hono'
import type { AuthVariables } from '../auth/authenticate.ts'
import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { ExportError } from '../errors.ts'
import type { ExportJob } from '../job/export-job.ts'
import type { JobCaller } from '../job/model.ts'
import { GROUP_ID, type Source } from '../vendor/source.ts'

/** Bindings and variables of every route. */
export interface App {
  Bindings: Env
  Variables: AuthVariables
}

/** The source in the path, whoever asks: for what is public. @throws ExportError `source_not_found` */
export const publicSourceOf = async (c: Context<App>): Promise<Source> => {
  const source = await configOf(c.env).source(c.req.param('source') ?? '')
  if (!source) throw new ExportError('source_not_found', 'There is no such source. Check the path: /fhir/{source}/…')
  return source
}

/** The source in the path, if the caller has any right to it; another's is as if it were not there. */
export const sourceOf = async (c: Context<App>): Promise<Source> => {
  const id = c.req.param('source') ?? ''
  if (!Object.hasOwn(c.var.caller.client.access, id)) {
    throw new ExportError('source_not_found', 'There is no such source. Check the path: /fhir/{source}/…')
  }
  return publicSourceOf(c)
}

/** The object of a job, whether or not there is one. */
export const jobOf = (env: Env, jobId: string): DurableObjectStub<ExportJob> => env.JOBS.get(env.JOBS.idFromName(jobId))

/** Who asks, as a job needs to know it. */
export const jobCallerOf = (c: Context<App>, source: Source): JobCaller => ({
  clientId: c.var.caller.clientId,
  sourceId: source.id,
  scopes: c.var.caller.scopes,
})

/** The group in the path. @throws ExportError `group_not_found` for what can be no group's id. */
export const groupIdOf = (c: Context<App>): string => {
  const id = c.req.param('groupId') ?? ''
  if (!GROUP_ID.test(id)) throw groupNotFound()
  return id
}

export const groupNotFound = (): ExportError =>
  new ExportError('group_not_found', 'This source has no such group for this client.')

/** Path and query as the client sent them: what `Host` makes of a parsed URL is not to be trusted. */
export const targetOf = (c: Context<App>): { readonly target: string; readonly search: string } => {
  const { url } = c.req
  const target = url.slice(url.indexOf('/', url.indexOf('://') + 3))
  const query = target.indexOf('?')
  return { target, search: query === -1 ? '' : target.slice(query) }
}

/** A token that is too narrow for an export as a whole [AU-17]. */
export const tooNarrow = (): ExportError =>
  new ExportError(
    'scope_insufficient',
    'The token does not cover all types of this export. Use one with the scopes of its kick-off.',
  )

/** One body for a job that never was, is somebody else's, is deleted or expired [AU-17], [DL-02], [N-33]. */
export const jobNotFound = (): ExportError =>
  new ExportError('job_not_found', 'There is no such export for this client: it never was, was deleted, or has expired.')

/** Answers a method that a path does not have. */
export const only =
  (allow: string) =>
  (c: Context<App>): never => {
    throw new ExportError('method_not_allowed', `${c.req.method} is not possible here; use ${allow}.`, { allow })
  }
