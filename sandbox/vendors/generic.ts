import type { Hono } from 'hono'
import { readableTypes } from '../access-tokens.ts'
import { capabilityStatement, smartConfiguration } from '../capability-statement.ts'
import { GROUP_ID } from '../dataset.ts'
import { exportFile, exportFiles } from '../export-files.ts'
import { rangedFile } from '../file-response.ts'
import { allPatientsGroup, readGroup, searchGroups } from '../groups.ts'
import {
  fromParameters,
  fromQuery,
  KNOWN_TYPES,
  NDJSON_FORMATS,
  prefers,
  readKickoff,
  type KickoffValues,
} from '../kickoff-request.ts'
import { operationOutcome, outcomeResponse, type Issue } from '../outcome.ts'
import { requestUrl, requireToken, type Vendor, type VendorContext, type VendorEnv, type VendorSpec } from '../vendor-server.ts'

const TOKEN_PATH = '/auth/token'
const FHIR_PATH = '/fhir'
const ALGS = ['RS384', 'ES384']
/** No vendor, so no documentation: plausible numbers. */
const WAITS = { retryAfterSeconds: { fast: 1, real: 30 }, patientsPerFile: 5000 } as const
const PARAMS = ['_outputFormat', '_since', '_until', '_type', '_elements', '_typeFilter', 'includeAssociatedData']
const GROUPS = [allPatientsGroup(GROUP_ID)]

type Level = 'system' | 'patient' | 'group'

const errorFile = (issues: readonly Issue[]) => {
  const bytes = Buffer.from(issues.map((issue) => `${JSON.stringify(operationOutcome(issue))}\n`).join(''))
  return exportFile({
    type: 'OperationOutcome',
    resources: issues.length,
    version: `outcomes-${bytes.length}`,
    open: async function* () {
      yield bytes
    },
  })
}

const unknownPatient = async (vendor: Vendor, wanted: ReadonlySet<string>): Promise<string | undefined> => {
  const missing = new Set(wanted)
  for await (const id of vendor.dataset.patientIds()) missing.delete(id)
  return [...missing][0]
}

const kickoff = async (vendor: Vendor, c: VendorContext, level: Level): Promise<Response> => {
  const refuse = (status: number, code: string, text: string): Response => {
    vendor.traffic.kickoff(false, vendor.jobs.running())
    return outcomeResponse(status, code, text)
  }
  const isPost = c.req.method === 'POST'
  if (level === 'group' && c.req.param('id') !== GROUP_ID)
    return refuse(404, 'not-found', `Group/${c.req.param('id')} is not known`)
  const values: KickoffValues | undefined = isPost
    ? fromParameters(await c.req.text())
    : fromQuery(new URL(c.req.url).searchParams)
  if (values === undefined) return refuse(400, 'structure', 'The body must be a Parameters resource')
  // Bulk Data export, `patient`: POST only, and not at system level [PA-09].
  const params = isPost && level !== 'system' ? [...PARAMS, 'patient'] : PARAMS
  const types = [...new Set([...KNOWN_TYPES, ...vendor.dataset.types])]
  const lenient = prefers(c.req.header('Prefer'), 'handling=lenient')
  const read = readKickoff(values, { params, types, formats: NDJSON_FORMATS, repeats: true }, lenient)
  if ('refusal' in read) return refuse(400, read.refusal.code, read.refusal.text)
  const { filter, ignored } = read

  const readable = readableTypes(c.var.session.scopes)
  const forbidden = readable === '*' ? undefined : filter.types?.find((type) => !readable.includes(type))
  if (forbidden !== undefined) return refuse(403, 'forbidden', `The token's scopes do not let ${forbidden} be read`)
  const missing = filter.patientIds === undefined ? undefined : await unknownPatient(vendor, filter.patientIds)
  if (missing !== undefined) return refuse(400, 'not-found', `Patient/${missing} is not known here`)

  const allowed = filter.types === undefined && readable !== '*' ? { ...filter, types: readable } : filter
  const job = vendor.jobs.start({
    owner: c.var.session.subject,
    request: requestUrl(vendor, c),
    files: () => exportFiles(vendor.dataset, allowed, WAITS.patientsPerFile),
    errors: ignored.length === 0 ? [] : [errorFile(ignored)],
  })
  return new Response(null, { status: 202, headers: { 'Content-Location': `${vendor.fhirBase}/jobs/${job.id}` } })
}

const status = (vendor: Vendor, c: VendorContext): Response => {
  const job = vendor.jobs.find(c.req.param('job') ?? '', c.var.session.subject)
  const state = job === undefined ? undefined : vendor.jobs.told(job)
  if (job === undefined || state === undefined || state.kind === 'cancelled')
    return outcomeResponse(404, 'not-found', 'No such export')
  vendor.jobs.polled(job)
  if (state.kind === 'failed') return outcomeResponse(500, 'exception', state.reason)
  if (state.kind === 'running') {
    const retryAfterSeconds = vendor.paced(WAITS.retryAfterSeconds)
    vendor.jobs.askedToWait(job, retryAfterSeconds * 1000)
    const progress = `${Math.floor(state.fraction * 100)}% complete`
    return new Response(null, { status: 202, headers: { 'Retry-After': String(retryAfterSeconds), 'X-Progress': progress } })
  }
  const item = ({ type, id, resources }: { type: string; id: string; resources: number }) => ({
    type,
    url: `${vendor.fhirBase}/files/${id}`,
    count: resources,
  })
  return c.json(
    {
      transactionTime: new Date(job.startedAtMs).toISOString(),
      request: job.request,
      requiresAccessToken: true,
      output: state.files.map(item),
      deleted: [],
      error: state.errors.map(item),
    },
    200,
    { Expires: new Date(state.expiresAtMs).toUTCString() },
  )
}

const mount = (app: Hono<VendorEnv>, vendor: Vendor): undefined => {
  const tokenUrl = () => `${vendor.origin}${TOKEN_PATH}`
  const metadata = () =>
    capabilityStatement({
      title: generic.title,
      fhirBase: vendor.fhirBase,
      tokenUrl: tokenUrl(),
      types: vendor.dataset.types,
      levels: ['system', 'patient', 'group'],
    })
  app.get(`${FHIR_PATH}/metadata`, (c) => c.json(metadata(), 200, { 'Content-Type': 'application/fhir+json' }))
  app.get(`${FHIR_PATH}/.well-known/smart-configuration`, (c) =>
    c.json(smartConfiguration(tokenUrl(), ['private_key_jwt'], ALGS)),
  )
  app.use(
    `${FHIR_PATH}/*`,
    requireToken(vendor, (reason) =>
      outcomeResponse(401, 'login', `The access token is ${reason}`, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }),
    ),
  )
  app.on(['GET', 'POST'], `${FHIR_PATH}/$export`, (c) => kickoff(vendor, c, 'system'))
  app.on(['GET', 'POST'], `${FHIR_PATH}/Patient/$export`, (c) => kickoff(vendor, c, 'patient'))
  app.on(['GET', 'POST'], `${FHIR_PATH}/Group/:id/$export`, (c) => kickoff(vendor, c, 'group'))
  app.get(`${FHIR_PATH}/Group/:id`, (c) => {
    vendor.traffic.count('groupReads')
    return readGroup(GROUPS, c.req.param('id'), vendor.dataset)
  })
  app.get(`${FHIR_PATH}/Group`, (c) => {
    vendor.traffic.count('groupReads')
    return searchGroups(GROUPS, vendor.fhirBase, new URL(c.req.url).searchParams, vendor.dataset)
  })
  app.get(`${FHIR_PATH}/jobs/:job`, (c) => status(vendor, c))
  app.delete(`${FHIR_PATH}/jobs/:job`, (c) => {
    const job = vendor.jobs.find(c.req.param('job'), c.var.session.subject)
    if (job === undefined || vendor.jobs.state(job).kind === 'cancelled')
      return outcomeResponse(404, 'not-found', 'No such export')
    vendor.jobs.cancel(job)
    return outcomeResponse(202, 'informational', 'The export was deleted')
  })
  app.get(`${FHIR_PATH}/files/:file`, (c) => {
    vendor.traffic.count('fileRequests')
    const file = vendor.jobs.file(c.req.param('file'), c.var.session.subject)
    return file === undefined ? outcomeResponse(404, 'not-found', 'No such file') : rangedFile(c.req.raw, file)
  })
  app.notFound(() => outcomeResponse(404, 'not-found', 'No such endpoint'))
  return undefined
}

/** A server that follows Bulk Data 3.0.0 to the letter. Source: https://hl7.org/fhir/uv/bulkdata/STU3/export.html. */
export const generic: VendorSpec = {
  id: 'generic',
  title: 'Conformant FHIR server',
  groupId: GROUP_ID,
  fhirPath: FHIR_PATH,
  jobSeconds: { fast: 1.5, real: 120 },
  retentionSeconds: 24 * 3600,
  token: { path: TOKEN_PATH, methods: ['private_key_jwt'], algs: ALGS, seconds: 300 },
  routes: {
    kickoff: /^\/fhir\/(?:(?:Patient|Group\/[^/]+)\/)?\$export$/,
    job: /^\/fhir\/jobs\/[^/]+$/,
    file: /^\/fhir\/files\/[^/]+$/,
  },
  mount,
  source: (vendor, tokenUrl) => ({
    credential: {
      kind: 'private-key-jwt',
      clientId: vendor.clients.primary.clientId,
      tokenUrl,
      keySecret: 'GENERIC_KEY',
      alg: 'ES384',
    },
  }),
}
