import type { Context } from 'hono'
import { mayRead } from '../auth/scopes.ts'
import { ledgerOf } from '../client/client-ledger.ts'
import { configOf } from '../config.ts'
import { ExportError } from '../errors.ts'
import { accepts, FHIR_JSON, mediaTypeIn } from '../fhir/accept.ts'
import { auditQuery } from '../fhir/audit-event.ts'
import type { KickoffOptions, Level, ParsedKickoff } from '../fhir/kickoff-params.ts'
import { operationOutcome, type Issue } from '../fhir/operation-outcome.ts'
import { parsePrefer } from '../fhir/prefer.ts'
import { WIRE_FORMATS, type WireFormat } from '../fhir/wire-formats.ts'
import { jobUrl } from '../job/answers.ts'
import type { JobRequest } from '../job/model.ts'
import { levelsOf } from '../vendor/levels.ts'
import { planExport } from '../vendor/plan.ts'
import { kickoffRequest } from '../vendor/requests.ts'
import type { Source } from '../vendor/source.ts'
import { noteForAudit } from './audit-trail.ts'
import { groupIdOf, groupNotFound, jobOf, sourceOf, targetOf, type App } from './context.ts'
import { typesOf } from './kickoff-types.ts'

/** A `Parameters` body may list the patients of a large group. */
export const MAX_KICKOFF_BYTES = 1024 * 1024

const parametersIn = async (c: Context<App>, format: WireFormat, options: KickoffOptions): Promise<ParsedKickoff> => {
  const { search } = targetOf(c)
  if (c.req.method === 'GET') return format.parseQuery(search, options)
  const coding = c.req.header('Content-Encoding')?.trim().toLowerCase() ?? 'identity'
  if (coding !== 'identity')
    throw new ExportError('media_type_unsupported', 'Send the body as it is, without a Content-Encoding.')
  const text = await c.req.text()
  // Some clients POST without a body and put everything into the query.
  if (text.trim() === '') return format.parseQuery(search, options)
  if (search.length > 1)
    throw new ExportError('parameter_invalid', 'Send the parameters in the body or in the query, not in both.')
  if (!FHIR_JSON.includes(mediaTypeIn(c.req.header('Content-Type')))) {
    throw new ExportError('media_type_unsupported', 'Send the Parameters resource as application/fhir+json.')
  }
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (cause) {
    throw new ExportError('body_invalid', 'The body is not JSON. Send a FHIR Parameters resource, or no body.', { cause })
  }
  return format.parseParameters(body, options)
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

/** What is reported one by one; the rest is counted, so that no request can grow the answer without end. */
const MAX_NOTES = 100

const capped = (notes: readonly Issue[]): readonly Issue[] =>
  notes.length <= MAX_NOTES
    ? notes
    : [
        ...notes.slice(0, MAX_NOTES),
        { severity: 'warning', code: 'not-supported', diagnostics: `${notes.length - MAX_NOTES} more values were ignored.` },
      ]

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
    if (!levelsOf(source).includes(level)) {
      throw new ExportError('level_unsupported', `This source has no ${level}-level export; its /metadata lists what it has.`)
    }
    authorize(c, source, level, groupId)
    const { publicBase } = configOf(c.env).settings
    const { handling, separateExportStatus } = parsePrefer(c.req.header('Prefer') ?? null)
    const lenient = handling === 'lenient'
    const base = `${publicBase}/fhir/${source.id}`
    const { params, ignored } = await parametersIn(c, WIRE_FORMATS['3.0'], { level, lenient, base })
    const notes: Issue[] = ignored.map(({ parameter, diagnostics }) => ({
      severity: 'warning',
      code: 'not-supported',
      diagnostics,
      expression: parameter,
    }))
    const { scopes, clientId } = c.var.caller
    const { type, types } = typesOf(source, params.type, scopes, lenient, notes)
    const target = { level, ...(groupId === undefined ? {} : { groupId }) }
    const plan = planExport(source, {
      ...target,
      params: { ...params, type },
      ...(types === undefined ? {} : { types }),
      lenient,
      mayRead: (name) => mayRead(scopes, name),
    })

    // What the source could never be asked is refused now, and not when its turn in a queue has come.
    kickoffRequest(source, { ...(plan.asked ?? target), params: plan.params })
    await demandRoom(c)
    const jobId = crypto.randomUUID()
    // Types that nobody narrowed are all there are: not worth a word.
    const narrowed = types === undefined || plan.types === undefined ? {} : { types: plan.types }
    noteForAudit(c, { jobId, query: auditQuery(level, params), ...narrowed })
    const request: JobRequest = {
      jobId,
      clientId,
      sourceId: source.id,
      ...target,
      ...plan,
      ...(params.allowPartialManifests === true ? { partialManifests: true } : {}),
      ...(separateExportStatus ? { separateStatus: true } : {}),
      request: publicBase + targetOf(c).target,
      notes: capped([...notes, ...plan.notes]),
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
      ...(separateExportStatus ? { 'Preference-Applied': 'respond-async, separate-export-status' } : {}),
      'Retry-After': `${answer.retryAfterSeconds}`,
    })
  }
