import type { Context } from 'hono'
import { readableTypes, readsEverything, mayRead } from '../auth/scopes.ts'
import { ledgerOf } from '../client/client-ledger.ts'
import { configOf } from '../config.ts'
import { ExportError } from '../errors.ts'
import { accepts, FHIR_JSON } from '../fhir/accept.ts'
import { auditQuery } from '../fhir/audit-event.ts'
import {
  parseKickoffParameters,
  parseKickoffQuery,
  type KickoffParams,
  type Level,
  type ParsedKickoff,
} from '../fhir/kickoff-params.ts'
import { operationOutcome, type Issue } from '../fhir/operation-outcome.ts'
import { parsePrefer } from '../fhir/prefer.ts'
import { jobUrl } from '../job/answers.ts'
import type { JobRequest } from '../job/model.ts'
import { withoutParameter } from '../vendor/kickoff-parameter.ts'
import { kickoffRequest, usedParameters } from '../vendor/requests.ts'
import type { Source } from '../vendor/source.ts'
import { noteForAudit } from './audit-trail.ts'
import { groupIdOf, groupNotFound, jobOf, sourceOf, targetOf, type App } from './context.ts'

/** A `Parameters` body may list the patients of a large group. */
export const MAX_KICKOFF_BYTES = 1024 * 1024

const parametersIn = async (c: Context<App>, options: Parameters<typeof parseKickoffQuery>[1]): Promise<ParsedKickoff> => {
  const { search } = targetOf(c)
  if (c.req.method === 'GET') return parseKickoffQuery(search, options)
  const text = await c.req.text()
  // Some clients POST without a body and put everything into the query.
  if (text.trim() === '') return parseKickoffQuery(search, options)
  if (search.length > 1)
    throw new ExportError('parameter_invalid', 'Send the parameters in the body or in the query, not in both.')
  const mediaType = c.req.header('Content-Type')?.split(';')[0]?.trim().toLowerCase()
  if (mediaType === undefined || !FHIR_JSON.includes(mediaType)) {
    throw new ExportError('media_type_unsupported', 'Send the Parameters resource as application/fhir+json.')
  }
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (cause) {
    throw new ExportError('body_invalid', 'The body is not JSON. Send a FHIR Parameters resource, or no body.', { cause })
  }
  return parseKickoffParameters(body, options)
}

/** What the client may ask of this source at this level, decided before anything goes upstream [AU-19]. */
const authorize = (c: Context<App>, source: Source, level: Level, groupId: string | undefined): void => {
  const { client, scopes } = c.var.caller
  const access = client.access[source.id]
  if (!access?.levels.includes(level)) {
    throw new ExportError('scope_insufficient', `This client may not export at the ${level} level of this source.`)
  }
  if (groupId === undefined) return
  if (!access.groups.includes('*') && !access.groups.includes(groupId)) {
    throw groupNotFound()
  }
  if (!mayRead(scopes, 'Group')) {
    throw new ExportError(
      'scope_insufficient',
      'Exporting a group needs the right to read it: ask for the scope system/Group.rs.',
    )
  }
}

/** Parameters that this source cannot honour: refused, or left out and reported when the client is lenient [KO-09], [N-04]. */
const supported = (source: Source, level: Level, parsed: KickoffParams, lenient: boolean, notes: Issue[]): KickoffParams => {
  const { params: known, levels } = source.dialect.supports
  let params = parsed
  for (const name of usedParameters(params)) {
    // A list of patients travels in a body only [PA-09].
    if (known.includes(name) && (name !== 'patient' || levels[level] === 'POST')) continue
    const diagnostics = `This source does not support ${name} at this level. Leave it out; /metadata lists what is supported.`
    // Ignoring a list of patients would deliver everybody else.
    if (!lenient || name === 'patient') throw new ExportError('parameter_unsupported', diagnostics, { parameter: name })
    notes.push({
      severity: 'warning',
      code: 'not-supported',
      diagnostics: `${name} was ignored: this source does not support it.`,
      expression: name,
    })
    params = withoutParameter(params, name)
  }
  return params
}

/** What is reported one by one; the rest is counted, so that no request can grow the answer without end. */
const MAX_NOTES = 100

const capped = (notes: readonly Issue[]): readonly Issue[] =>
  notes.length <= MAX_NOTES
    ? notes
    : [
        ...notes.slice(0, MAX_NOTES),
        { severity: 'warning', code: 'not-supported', diagnostics: `${notes.length - MAX_NOTES} more values were ignored.` },
      ]

/** `_type` as it goes upstream, and the types that may come back [AU-18], [KO-14]. */
const narrowed = (
  source: Source,
  params: KickoffParams,
  scopes: readonly string[],
  lenient: boolean,
  notes: Issue[],
): { params: KickoffParams; types?: readonly string[] } => {
  if (params.type.length === 0) {
    if (readsEverything(scopes)) return { params }
    const types = readableTypes(scopes, source.types).filter((type) => type !== 'Group')
    if (types.length === 0)
      throw new ExportError('scope_insufficient', 'The token covers none of the types that this source exports.')
    const askable = source.dialect.supports.params.includes('_type')
    return { params: askable ? { ...params, type: types } : params, types }
  }
  const types = params.type.filter((type) => {
    if (source.types.includes(type)) return true
    const diagnostics = `This source does not export ${type}; /metadata lists the types that it does.`
    if (!lenient) throw new ExportError('parameter_unsupported', diagnostics, { parameter: '_type' })
    notes.push({
      severity: 'warning',
      code: 'not-supported',
      diagnostics: `${type} was ignored: this source does not export it.`,
      expression: '_type',
    })
    return false
  })
  if (types.length === 0)
    throw new ExportError('parameter_unsupported', 'This source exports none of the types in _type.', { parameter: '_type' })
  const readable = new Set(readableTypes(scopes, types))
  const beyond = types.find((type) => !readable.has(type))
  if (beyond !== undefined) {
    throw new ExportError(
      'scope_insufficient',
      `The token does not cover ${beyond}. Ask for the scope system/${beyond}.rs, or leave it out.`,
      {
        parameter: '_type',
      },
    )
  }
  return { params: { ...params, type: types }, types }
}

/** One client's queue must not grow without end, nor fill the vendors' for everybody [AU-21]. */
const demandRoom = async (c: Context<App>): Promise<void> => {
  const { openExportsPerClient: most, retryAfterMaxSeconds } = configOf(c.env).settings.limits
  if ((await ledgerOf(c.env, c.var.caller.clientId).openJobs(most)) < most) return
  throw new ExportError(
    'exports_too_many',
    `This client has ${most} exports queued or running, which is as many as it may. Wait until one ends, or delete one that is not ` +
      'needed; GET /jobs lists them.',
    { retryAfterSeconds: retryAfterMaxSeconds },
  )
}

/**
 * Kick-off at one level, by GET or by POST.
 *
 * @see Bulk Data Kick-off Request, KO-01 to KO-14
 */
export const kickoff =
  (level: Level) =>
  async (c: Context<App>): Promise<Response> => {
    const source = await sourceOf(c)
    // Hono answers HEAD with the handler of GET, and this one is not safe.
    if (c.req.method === 'HEAD')
      throw new ExportError('method_not_allowed', 'A kick-off is a GET or a POST.', { allow: 'GET, POST' })
    const groupId = level === 'group' ? groupIdOf(c) : undefined
    if (!accepts(c.req.header('Accept') ?? null, FHIR_JSON)) {
      throw new ExportError('not_acceptable', 'The answer is application/fhir+json; accept it, or send no Accept header.')
    }
    if (source.dialect.supports.levels[level] === undefined) {
      throw new ExportError('level_unsupported', `This source has no ${level}-level export; its /metadata lists what it has.`)
    }
    authorize(c, source, level, groupId)
    const { publicBase } = configOf(c.env).settings
    const lenient = parsePrefer(c.req.header('Prefer') ?? null).handling === 'lenient'
    const { params, ignored } = await parametersIn(c, { level, lenient, base: `${publicBase}/fhir/${source.id}` })
    const notes: Issue[] = ignored.map(({ parameter, diagnostics }) => ({
      severity: 'warning',
      code: 'not-supported',
      diagnostics,
      expression: parameter,
    }))
    const { params: asked, types } = narrowed(
      source,
      supported(source, level, params, lenient, notes),
      c.var.caller.scopes,
      lenient,
      notes,
    )

    const asksFor = { level, ...(groupId === undefined ? {} : { groupId }), params: asked }
    // What the source could never be asked is refused now, and not when its turn in a queue has come.
    kickoffRequest(source, asksFor)
    await demandRoom(c)
    const jobId = crypto.randomUUID()
    noteForAudit(c, { jobId, query: auditQuery(level, params), ...(types === undefined ? {} : { types }) })
    const request: JobRequest = {
      jobId,
      clientId: c.var.caller.clientId,
      sourceId: source.id,
      ...asksFor,
      request: publicBase + targetOf(c).target,
      ...(types === undefined ? {} : { types }),
      notes: capped(notes),
    }
    const answer = await jobOf(c.env, jobId).start(request)
    if (answer.kind === 'refused') throw new ExportError(answer.code, answer.diagnostics)
    const accepted: Issue = {
      severity: 'information',
      code: 'informational',
      diagnostics: 'The export was accepted. Poll Content-Location.',
    }
    return c.json(operationOutcome([accepted]), 202, {
      'Content-Location': jobUrl(publicBase, source.id, jobId),
      'Content-Type': 'application/fhir+json',
      'Retry-After': `${answer.retryAfterSeconds}`,
    })
  }
