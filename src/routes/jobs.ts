import type { Context } from 'hono'
import { ledgerOf, MAX_PAGE } from '../client/client-ledger.ts'
import { configOf } from '../config.ts'
import { ExportError } from '../errors.ts'
import { formatInstant } from '../fhir/instant.ts'
import { jobUrl } from '../job/answers.ts'
import type { App } from './context.ts'

const DEFAULT_PAGE = 50

const whole = (c: Context<App>, name: string, fallback: number | undefined): number | undefined => {
  const value = c.req.query(name)
  if (value === undefined) return fallback
  if (!/^[1-9]\d{0,14}$/.test(value))
    throw new ExportError('parameter_invalid', `${name} must be a whole number above 0.`, { parameter: name })
  return Number(value)
}

/** The caller's own exports, newest first, so that a client that lost a status URL finds it again. */
export const listJobs = async (c: Context<App>): Promise<Response> => {
  const limit = Math.min(MAX_PAGE, whole(c, 'limit', DEFAULT_PAGE) ?? DEFAULT_PAGE)
  const before = whole(c, 'before', undefined)
  const page = await ledgerOf(c.env, c.var.caller.clientId).jobs({ limit, ...(before === undefined ? {} : { before }) })
  const { publicBase } = configOf(c.env).settings
  const jobs = page.jobs.map(({ jobId, sourceId, level, groupId, request, createdMs, state }) => ({
    id: jobId,
    source: sourceId,
    level,
    ...(groupId === undefined ? {} : { group: groupId }),
    state,
    created: formatInstant(createdMs),
    request,
    status: jobUrl(publicBase, sourceId, jobId),
  }))
  return c.json({ jobs, ...(page.next === undefined ? {} : { next: `${publicBase}/jobs?limit=${limit}&before=${page.next}` }) })
}
