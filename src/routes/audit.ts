import type { Context, MiddlewareHandler } from 'hono'
import { isOperator } from '../auth/operator.ts'
import { MAX_AUDIT_PAGE } from '../client/audit-log.ts'
import { ledgerOf } from '../client/client-ledger.ts'
import { configOf } from '../config.ts'
import { ExportError } from '../errors.ts'
import { auditEvent } from '../fhir/audit-event.ts'
import { log } from '../log.ts'
import type { App } from './context.ts'

const DEFAULT_PAGE = 50
/** As long as a client's id may be where it proves who it is. */
const MAX_CLIENT_ID_LENGTH = 512

/** Lets operators through; without one configured there is nothing here. */
export const operatorOnly: MiddlewareHandler<App> = async (c, next) => {
  if (!(await isOperator(c.env, c.req.header('Authorization')))) return c.notFound()
  return next()
}

const wholeNumber = (c: Context<App>, name: string): number | undefined => {
  const value = c.req.query(name)
  if (value === undefined) return undefined
  if (!/^[1-9]\d{0,14}$/.test(value))
    throw new ExportError('parameter_invalid', `${name} must be a whole number above 0.`, { parameter: name })
  return Number(value)
}

/**
 * What a client did and was refused, newest first, as a Bundle of AuditEvents. A client that was taken out of the configuration keeps
 * its records; one that never was has none.
 */
export const listAudit = async (c: Context<App>): Promise<Response> => {
  const clientId = c.req.param('client') ?? ''
  if (clientId.length > MAX_CLIENT_ID_LENGTH) {
    throw new ExportError('parameter_invalid', `A client id has at most ${MAX_CLIENT_ID_LENGTH} characters.`)
  }
  const limit = Math.min(MAX_AUDIT_PAGE, wholeNumber(c, 'limit') ?? DEFAULT_PAGE)
  const before = wholeNumber(c, 'before')
  const { records, next } = await ledgerOf(c.env, clientId).auditPage({ limit, ...(before === undefined ? {} : { before }) })
  // Who reads an audit log is itself of interest.
  log('info', { event: 'audit.listed', count: records.length })
  const { publicBase } = configOf(c.env).settings
  const here = `${publicBase}/operator/clients/${encodeURIComponent(clientId)}/audit?limit=${limit}`
  const bundle = {
    resourceType: 'Bundle',
    type: 'searchset',
    link: [
      { relation: 'self', url: before === undefined ? here : `${here}&before=${before}` },
      ...(next === undefined ? [] : [{ relation: 'next', url: `${here}&before=${next}` }]),
    ],
    // FHIR has no empty arrays.
    ...(records.length === 0
      ? {}
      : {
          entry: records.map((record) => ({
            fullUrl: `urn:uuid:${record.id}`,
            resource: auditEvent(record, publicBase),
            search: { mode: 'match' },
          })),
        }),
  }
  return c.json(bundle, 200, { 'Content-Type': 'application/fhir+json' })
}
