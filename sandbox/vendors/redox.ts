import { randomUUID } from 'node:crypto'
import type { Hono } from 'hono'
import { capabilityStatement } from '../capability-statement.ts'
import { GROUP_ID } from '../dataset.ts'
import { exportFiles } from '../export-files.ts'
import { plainFile } from '../file-response.ts'
import { allPatientsGroup, readGroup, searchGroups } from '../groups.ts'
import { fromQuery, KNOWN_TYPES, NDJSON_FORMATS, readKickoff } from '../kickoff-request.ts'
import { FHIR_JSON, outcomeResponse } from '../outcome.ts'
import { requestUrl, requireToken, type Vendor, type VendorContext, type VendorEnv, type VendorSpec } from '../vendor-server.ts'

export const REDOX_OPTIONS = {
  destinationSlug: 'sandbox-hospital',
  environmentFlag: 'Development',
  sourceId: '7ce6f387-c33c-417d-8682-81e83628cbd9',
} as const
const SOURCE_NAME = 'Bulkhead sandbox'
const DESTINATION_ID = 'af394f14-b34a-464f-8d24-895f370af4c9'
const DATA_MODEL = 'FHIR Bulk Data Access'
const TOKEN_PATH = '/v2/auth/token'
const FHIR_PATH = '/fhir/R4'
const SLUG_PATH = `${FHIR_PATH}/${REDOX_OPTIONS.destinationSlug}/${REDOX_OPTIONS.environmentFlag}`
const TOKEN_SECONDS = 300
/** How the EHR behind Redox cuts its files is not documented (assumed). */
const PATIENTS_PER_FILE = 2500
// Source: `docs/vendors.md`, Redox, Group export. `patient` only in POST, and no POST is documented.
const PARAMS = [
  'includeAssociatedData',
  'organizeOutputBy',
  'allowPartialManifests',
  '_outputFormat',
  '_since',
  '_until',
  '_type',
  '_elements',
  '_typeFilter',
]
const GROUPS = [allPatientsGroup(GROUP_ID)]

/** Source: `docs/vendors.md`, Redox, Status. */
const meta = (vendor: Vendor, eventType: string) => ({
  DataModel: DATA_MODEL,
  EventType: eventType,
  EventDateTime: new Date(vendor.now()).toISOString(),
  Test: true,
  Source: { ID: REDOX_OPTIONS.sourceId, Name: SOURCE_NAME },
  Destinations: [{ ID: DESTINATION_ID, Name: REDOX_OPTIONS.destinationSlug }],
  Logs: [{ ID: randomUUID(), AttemptID: randomUUID() }],
  FacilityCode: null,
})

const kickoff = (vendor: Vendor, c: VendorContext): Response => {
  const refuse = (status: number, code: string, text: string): Response => {
    vendor.traffic.kickoff(false, vendor.jobs.running())
    return outcomeResponse(status, code, text)
  }
  const groupId = c.req.param('id')
  if (groupId !== GROUP_ID) return refuse(404, 'not-found', `Group/${groupId} was not found at the destination`)
  const types = [...new Set([...KNOWN_TYPES, ...vendor.dataset.types])]
  const rules = { params: PARAMS, types, formats: NDJSON_FORMATS, repeats: false }
  // Redox passes parameters on; how the destination refuses them is assumed.
  const read = readKickoff(fromQuery(new URL(c.req.url).searchParams), rules, false)
  if ('refusal' in read) return refuse(400, read.refusal.code, read.refusal.text)
  const job = vendor.jobs.start({
    owner: c.var.session.subject,
    request: requestUrl(vendor, c),
    files: () => exportFiles(vendor.dataset, read.filter, PATIENTS_PER_FILE),
  })
  // Where the status URL stands is not documented; Content-Location, as the specification says (assumed).
  return c.json({ Meta: meta(vendor, 'group-export'), id: groupId }, 202, {
    'Content-Location': `${vendor.origin}${SLUG_PATH}/bulk-data-status/${job.id}`,
  })
}

const status = (vendor: Vendor, c: VendorContext): Response => {
  const job = vendor.jobs.find(c.req.param('job') ?? '', c.var.session.subject)
  const state = job === undefined ? undefined : vendor.jobs.told(job)
  if (job === undefined || state === undefined || state.kind === 'cancelled')
    return outcomeResponse(404, 'not-found', 'No such export')
  vendor.jobs.polled(job)
  if (state.kind === 'failed') return outcomeResponse(500, 'exception', state.reason)
  // The documented model carries the HTTP status as a string in the body and names no status of the answer itself: always 200, the
  // hardest reading (assumed). Members that have no value yet are null, as the model allows.
  const isRunning = state.kind === 'running'
  const envelope = {
    Meta: meta(vendor, 'status-check-response'),
    status: isRunning ? '202' : '200',
    progress: isRunning ? `${Math.floor(state.fraction * 100)}%` : null,
    transactionTime: isRunning ? null : new Date(job.startedAtMs).toISOString(),
    request: isRunning ? null : job.request,
    requiresAccessToken: isRunning ? null : true,
    output: isRunning
      ? []
      : state.files.map(({ type, id }) => ({ type, url: `${vendor.origin}${SLUG_PATH}/bulk-data-file/${id}` })),
  }
  return c.json(envelope)
}

/** The legacy exchange of key and secret. Source: `docs/vendors.md`, Redox; the refusal's body is assumed. */
const exchangeKey = async (vendor: Vendor, c: VendorContext): Promise<Response> => {
  vendor.traffic.count('tokenRequests')
  const body = await c.req.json<{ apiKey?: unknown; secret?: unknown }>().catch(() => ({ apiKey: undefined, secret: undefined }))
  const { primary, second } = vendor.clients
  const client = [primary, second].find(({ clientId, secret }) => clientId === body.apiKey && secret === body.secret)
  if (client === undefined) return c.text('Invalid API key or secret', 401)
  const seconds = vendor.settings.tokenSeconds ?? TOKEN_SECONDS
  vendor.traffic.count('tokensIssued')
  return c.json({
    accessToken: vendor.tokens.issue({ subject: client.clientId, scopes: [] }, seconds),
    expires: new Date(vendor.now() + seconds * 1000).toISOString(),
    refreshToken: randomUUID(),
  })
}

const mount = (app: Hono<VendorEnv>, vendor: Vendor): undefined => {
  app.post('/auth/authenticate', (c) => exchangeKey(vendor, c))
  app.use(`${FHIR_PATH}/*`, async (c, next) => {
    const sourceId = c.req.header('redox-source-id')
    if (sourceId !== undefined) vendor.traffic.see('redox-source-id', sourceId)
    return next()
  })
  app.use(
    `${FHIR_PATH}/*`,
    requireToken(vendor, (reason) => outcomeResponse(401, 'login', `The access token is ${reason}`)),
  )
  app.get(`${SLUG_PATH}/metadata`, (c) => {
    const { origin, dataset } = vendor
    const tokenUrl = `${origin}${TOKEN_PATH}`
    const statement = capabilityStatement({
      title: redox.title,
      fhirBase: `${origin}${SLUG_PATH}`,
      tokenUrl,
      types: dataset.types,
      levels: ['group'],
    })
    return c.json(statement, 200, { 'Content-Type': FHIR_JSON })
  })
  app.get(`${SLUG_PATH}/Group/:id/$export`, (c) => kickoff(vendor, c))
  // The FHIR API relays FHIR, so Group can be read and searched (assumed: no page shows it).
  app.get(`${SLUG_PATH}/Group/:id`, (c) => {
    vendor.traffic.count('groupReads')
    return readGroup(GROUPS, c.req.param('id'), vendor.dataset)
  })
  app.get(`${SLUG_PATH}/Group`, (c) => {
    vendor.traffic.count('groupReads')
    return searchGroups(GROUPS, `${vendor.origin}${SLUG_PATH}`, new URL(c.req.url).searchParams, vendor.dataset)
  })
  app.get(`${SLUG_PATH}/bulk-data-status/:job`, (c) => status(vendor, c))
  // No page documents a cancel (assumed).
  app.delete(`${SLUG_PATH}/bulk-data-status/:job`, (c) => {
    const job = vendor.jobs.find(c.req.param('job'), c.var.session.subject)
    if (job === undefined || vendor.jobs.state(job).kind === 'cancelled')
      return outcomeResponse(404, 'not-found', 'No such export')
    vendor.jobs.cancel(job)
    return new Response(null, { status: 202 })
  })
  // Files under Redox's own origin, with the same token (assumed).
  app.get(`${SLUG_PATH}/bulk-data-file/:file`, (c) => {
    vendor.traffic.count('fileRequests')
    const file = vendor.jobs.file(c.req.param('file'), c.var.session.subject)
    return file === undefined ? outcomeResponse(404, 'not-found', 'No such file') : plainFile(c.req.raw, file, false)
  })
  app.notFound(() => outcomeResponse(404, 'not-found', 'No such destination or endpoint'))
  return undefined
}

/** Redox's envelope. Sources: `docs/vendors.md`, Redox. */
export const redox: VendorSpec = {
  id: 'redox',
  title: 'Redox',
  groupId: GROUP_ID,
  fhirPath: FHIR_PATH,
  resourcePath: SLUG_PATH,
  // Neither run time nor retention is documented (assumed).
  jobSeconds: { fast: 2, real: 300 },
  retentionSeconds: 24 * 3600,
  token: { path: TOKEN_PATH, methods: ['private_key_jwt'], algs: ['RS384'], seconds: TOKEN_SECONDS },
  routes: {
    kickoff: /\/Group\/[^/]+\/\$export$/,
    job: /\/bulk-data-status\/[^/]+$/,
    file: /\/bulk-data-file\/[^/]+$/,
    token: /^\/auth\/authenticate$/,
  },
  mount,
  source: (vendor, tokenUrl) => ({
    credential: {
      kind: 'private-key-jwt',
      clientId: vendor.clients.primary.clientId,
      tokenUrl,
      keySecret: 'REDOX_KEY',
      alg: 'RS384',
    },
    options: REDOX_OPTIONS,
  }),
}
