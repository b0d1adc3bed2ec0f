import type { Context } from 'hono'
import type { AuthVariables } from '../auth/authenticate.ts'
import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { ExportError } from '../errors.ts'
import type { ExportJob } from '../job/export-job.ts'
import type { Source } from '../vendor/source.ts'

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

/** One body for a job that never was, is somebody else's, is deleted or expired [AU-17], [DL-02], [N-33]. */
export const jobNotFound = (): ExportError =>
  new ExportError('job_not_found', 'There is no such export for this client: it never was, was deleted, or has expired.')

/** Answers a method that a path does not have. */
export const only =
  (allow: string) =>
  (c: Context<App>): never => {
    throw new ExportError('method_not_allowed', `${c.req.method} is not possible here; use ${allow}.`, { allow })
  }
