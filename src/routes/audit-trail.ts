import type { Context, MiddlewareHandler } from 'hono'
import { TokenError } from '../auth/token-error.ts'
import { ledgerOf } from '../client/client-ledger.ts'
import type { Env } from '../env.ts'
import { ExportError, wireOf } from '../errors.ts'
import type { AuditedEvent, AuditRecord } from '../fhir/audit-event.ts'
import type { Level } from '../fhir/kickoff-params.ts'
import { log, nameOf } from '../log.ts'
import type { App } from './context.ts'

/** What only the route itself knows. */
type Details = Pick<AuditRecord, 'jobId' | 'types' | 'scopes' | 'query'> & { readonly clientId?: string }

const noted = new WeakMap<object, Details>()

/** Adds to the record of this request, which is written when it has been answered. */
export const noteForAudit = (c: object, details: Details): void => void noted.set(c, { ...noted.get(c), ...details })

const SOURCE_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const GROUP_ID = /^[A-Za-z0-9._~-]{1,256}$/
const JOB_ID = /^[0-9a-f-]{36}$/
const FILE_NAME = /^[A-Za-z]{1,64}\.\d{1,9}\.ndjson$/

/** What a path names, as far as it looks like an id of ours: what else a client wrote there may be anything. */
const named = (c: Context, parameter: string, shape: RegExp): string | undefined => {
  const value = c.req.param(parameter)
  return value !== undefined && shape.test(value) ? value : undefined
}

/** Leaves out what is not known. */
const known = <T extends object>(parts: { readonly [K in keyof T]: T[K] | undefined }): T =>
  Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as T

/**
 * Writes a record to its client's ledger; a second time when the object was away for a moment.
 *
 * @throws what the ledger could not be reached with; that much is logged here.
 */
const write = async (env: Env, record: AuditRecord): Promise<void> => {
  const attempt = (): Promise<void> => ledgerOf(env, record.clientId).audit(record)
  try {
    await attempt().catch(attempt)
  } catch (error) {
    const { event: code, sourceId, jobId } = record
    log('error', { event: 'audit.failed', code, ...known({ sourceId, jobId }), error: nameOf(error) })
    throw error
  }
}

/** Events whose record is written before the answer; the others' are written beside it, and no byte waits for them. */
const FIRST: ReadonlySet<AuditedEvent> = new Set(['kickoff', 'delete'])

/** What is worth a record of how a request ended; `undefined` for what gave nothing away and asked for nothing that is barred. */
const endOf = (c: Context<App>, event: AuditedEvent): Pick<AuditRecord, 'outcome' | 'code'> | undefined => {
  const { error } = c
  if (error === undefined) {
    // A poll may be answered 200 without a manifest, and 202 with one.
    const gave =
      event === 'manifest'
        ? c.res.body !== null && c.res.headers.get('Content-Type') === 'application/json'
        : [200, 206].includes(c.res.status)
    const isDone = FIRST.has(event) ? c.res.ok : gave
    return isDone && c.req.method !== 'HEAD' ? { outcome: 'success' } : undefined
  }
  const code = error instanceof ExportError ? error.code : 'internal'
  const { status } = wireOf(code)
  if (status === 403 || status === 404) return { outcome: 'refused', code }
  // An export that has failed is polled like any other; what it never gave is not recorded each time.
  if (!FIRST.has(event)) return undefined
  if (code === 'vendor_rejected') return { outcome: 'refused', code }
  return status >= 500 ? { outcome: 'failed', code } : undefined
}

/** Records what a client did with one route, or was refused. Stands behind `authenticate` and before the route. */
export const audited =
  (event: AuditedEvent, level?: Level): MiddlewareHandler<App> =>
  async (c, next) => {
    const answered = next().then(async () => {
      const end = endOf(c, event)
      if (!end) return
      const record: AuditRecord = {
        id: crypto.randomUUID(),
        event,
        clientId: c.var.caller.clientId,
        ...end,
        ...known({
          sourceId: named(c, 'source', SOURCE_ID),
          level,
          groupId: named(c, 'groupId', GROUP_ID),
          jobId: named(c, 'job', JOB_ID),
          fileName: named(c, 'file', FILE_NAME),
        }),
        ...noted.get(c),
      }
      // What was done cannot be taken back for want of a record, so a failure is logged and not answered.
      const written = write(c.env, record).catch(() => undefined)
      if (end.outcome === 'success' && FIRST.has(event)) await written
      else c.executionCtx.waitUntil(written)
    })
    // Nobody gets out of being recorded by hanging up.
    if (FIRST.has(event)) c.executionCtx.waitUntil(answered.catch(() => undefined))
    await answered
  }

/**
 * Records each answer of the token endpoint: with the client once it has proven who it is, and before that in the log only, so
 * that a stranger costs no storage. A token that could not be recorded is not given out.
 */
export const auditedToken: MiddlewareHandler<{ Bindings: Env }> = async (c, next) => {
  await next()
  const { error } = c
  const code = error === undefined ? undefined : error instanceof TokenError ? error.code : 'server_error'
  const { clientId, scopes } = noted.get(c) ?? {}
  if (clientId === undefined) {
    // Refusals for asking too often are as many as somebody likes.
    if (code !== undefined && c.res.status !== 429) log('warn', { event: 'audit.token_refused', code })
    return
  }
  const outcome = code === undefined ? 'success' : code === 'server_error' ? 'failed' : 'refused'
  const record: AuditRecord = { id: crypto.randomUUID(), event: 'token', clientId, outcome, ...known({ code, scopes }) }
  const written = write(c.env, record)
  await (code === undefined ? written : written.catch(() => undefined))
}
