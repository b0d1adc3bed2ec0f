import { randomUUID } from 'node:crypto'
import type { Hono } from 'hono'
import { readableTypes } from '../access-tokens.ts'
import { capabilityStatement, smartConfiguration } from '../capability-statement.ts'
import { GROUP_UUID } from '../dataset.ts'
import { exportFiles } from '../export-files.ts'
import { allPatientsGroup, readGroup, searchGroups } from '../groups.ts'
import { fromParameters, fromQuery, KNOWN_TYPES, NDJSON_FORMATS, prefers, readKickoff } from '../kickoff-request.ts'
import { FHIR_JSON, outcomeResponse } from '../outcome.ts'
import { presignedStore, storeError, URL_LIFETIME_SECONDS, type PresignedStore } from '../presigned-store.ts'
import {
  requestUrl,
  requireToken,
  type Mounted,
  type Vendor,
  type VendorContext,
  type VendorEnv,
  type VendorSpec,
} from '../vendor-server.ts'

const TENANT = 'ec2458f2-1e24-41c8-b71b-0e701af7583d'
const FHIR_PATH = `/r4/${TENANT}`
// Source: `docs/vendors.md`, Oracle Health, Token. Really on a host of its own; here beside the API (assumed).
const TOKEN_PATH = `/tenants/${TENANT}/hosts/fhir-ehr.sandbox.example/protocols/oauth2/profiles/smart-v1/token`
const ALGS = ['RS384']
/** Source: `docs/vendors.md`, Oracle Health, Status. How many patients a file holds is assumed. */
const NUMBERS = {
  retryAfterSeconds: { fast: 1, real: 600 },
  mostPatientsPerFile: 1000,
  fewestFiles: 3,
  resourcesPerFile: 400,
} as const
// Source: `docs/vendors.md`, Oracle Health: these alone in `_type` are refused.
const REFERENCE_ONLY = ['Location', 'Organization', 'Practitioner', 'Provenance']
const PARAMS = ['_type', '_since', '_typeFilter', 'includeAssociatedData', '_outputFormat']
const GROUPS = [allPatientsGroup(GROUP_UUID)]

const refuseKickoff = (vendor: Vendor, status: number, code: string, text: string): Response => {
  vendor.traffic.kickoff(false, vendor.jobs.running())
  return outcomeResponse(status, code, text)
}

/** Source: `docs/vendors.md`, Oracle Health: `Accept` is required, 406 comes without a body. */
const notAcceptable = (c: VendorContext): Response | undefined =>
  c.req.header('Accept') === FHIR_JSON ? undefined : new Response(null, { status: 406 })

/** Several files for a type, even of little data. A directory's files are cut by resources, generated ones by patients. */
const perFileOf = ({ dataset }: Vendor): number =>
  dataset.maxPerPatient === undefined
    ? NUMBERS.resourcesPerFile
    : Math.min(NUMBERS.mostPatientsPerFile, Math.max(1, Math.ceil(dataset.patients / NUMBERS.fewestFiles)))

const kickoff = async (vendor: Vendor, c: VendorContext, level: 'group' | 'patient'): Promise<Response> => {
  const refuse = (status: number, code: string, text: string) => refuseKickoff(vendor, status, code, text)
  const unacceptable = notAcceptable(c)
  if (unacceptable !== undefined) {
    vendor.traffic.kickoff(false, vendor.jobs.running())
    return unacceptable
  }
  const prefer = c.req.header('Prefer')
  if (!prefers(prefer, 'respond-async')) return refuse(400, 'invalid', 'The header Prefer: respond-async is required')
  if (level === 'group' && c.req.param('id') !== GROUP_UUID) return refuse(404, 'not-found', 'The group was not found')
  const values = level === 'patient' ? fromParameters(await c.req.text()) : fromQuery(new URL(c.req.url).searchParams)
  if (values === undefined) return refuse(400, 'structure', 'The body must be a Parameters resource')

  const types = [...new Set([...KNOWN_TYPES, ...vendor.dataset.types])]
  const params = level === 'patient' ? [...PARAMS, 'patient'] : PARAMS
  const read = readKickoff(
    values,
    { params, types, formats: NDJSON_FORMATS, repeats: false },
    prefers(prefer, 'handling=lenient'),
  )
  if ('refusal' in read) {
    const { parameter, code, text } = read.refusal
    // Source: `docs/vendors.md`, Oracle Health, Errors: 422 for a value that is not supported; bad filters too.
    return refuse(parameter === '_outputFormat' || parameter === '_typeFilter' ? 422 : 400, code, text)
  }
  const { filter } = read
  if (filter.types?.every((type) => REFERENCE_ONLY.includes(type)) === true) {
    return refuse(400, 'invalid', `_type may not hold only ${REFERENCE_ONLY.join(', ')}`)
  }
  if (filter.typeFilters !== undefined && filter.types === undefined) return refuse(400, 'invalid', '_typeFilter needs _type')
  if ([...(filter.typeFilters?.values() ?? [])].some((filters) => filters.length > 1)) {
    return refuse(422, 'not-supported', 'Only one _typeFilter for each type')
  }
  if (level === 'patient' && filter.patientIds === undefined) return refuse(400, 'required', 'At least one patient is required')
  const readable = readableTypes(c.var.session.scopes)
  const forbidden = filter.types?.find((type) => readable !== '*' && !readable.includes(type))
  if (forbidden !== undefined) return refuse(403, 'forbidden', `The token has no scope for ${forbidden}`)
  // Source: `docs/vendors.md`, Oracle Health, Limits: one in-flight export for each client and tenant.
  const { exportsAtOnce = 1 } = vendor.settings
  if (vendor.jobs.running(c.var.session.subject) >= exportsAtOnce) return refuse(429, 'throttled', 'Too Many Requests')

  const allowed = filter.types === undefined && readable !== '*' ? { ...filter, types: readable } : filter
  const job = vendor.jobs.start({
    owner: c.var.session.subject,
    request: requestUrl(vendor, c),
    files: () => exportFiles(vendor.dataset, allowed, perFileOf(vendor)),
  })
  return new Response(null, { status: 202, headers: { 'Content-Location': `${vendor.fhirBase}/bulk-export/jobs/${job.id}` } })
}

const status = (vendor: Vendor, c: VendorContext): Response => {
  const unacceptable = notAcceptable(c)
  if (unacceptable !== undefined) return unacceptable
  const job = vendor.jobs.find(c.req.param('job') ?? '', c.var.session.subject)
  const state = job === undefined ? undefined : vendor.jobs.told(job)
  if (job === undefined || state === undefined || state.kind === 'cancelled')
    return outcomeResponse(404, 'not-found', 'Job not found')
  vendor.jobs.polled(job)
  if (state.kind === 'failed') return outcomeResponse(500, 'exception', state.reason)
  if (state.kind === 'running') {
    const retryAfterSeconds = vendor.paced(NUMBERS.retryAfterSeconds)
    vendor.jobs.askedToWait(job, retryAfterSeconds * 1000)
    return new Response(null, { status: 202, headers: { 'X-Progress': 'in-progress', 'Retry-After': String(retryAfterSeconds) } })
  }
  return c.json(
    {
      transactionTime: new Date(job.startedAtMs).toISOString(),
      request: job.request,
      requiresAccessToken: true,
      output: state.files.map(({ type, id }) => ({ type, url: `${vendor.fhirBase}/bulk-export/files/${id}` })),
      error: [],
    },
    200,
    { Expires: new Date(state.expiresAtMs).toUTCString() },
  )
}

const readFile = (vendor: Vendor, store: PresignedStore, c: VendorContext): Response => {
  vendor.traffic.count('fileRequests')
  const file = vendor.jobs.file(c.req.param('file') ?? '', c.var.session.subject)
  if (file === undefined) return outcomeResponse(404, 'not-found', 'File not found')
  const readable = readableTypes(c.var.session.scopes)
  // Source: `docs/vendors.md`, Oracle Health: a file needs the read scope of its type; status and DELETE do not.
  if (readable !== '*' && !readable.includes(file.type)) return outcomeResponse(403, 'forbidden', `No scope for ${file.type}`)
  return new Response(null, { status: 307, headers: { Location: store.presign(file) } })
}

const mount = async (app: Hono<VendorEnv>, vendor: Vendor): Promise<Mounted> => {
  const store = await presignedStore({
    host: vendor.settings.host,
    now: vendor.now,
    traffic: vendor.traffic,
    urlLifetimeSeconds: () => vendor.urlLifetimeSeconds(URL_LIFETIME_SECONDS),
    around: (serve) =>
      vendor.misbehavingStore(serve, (code) =>
        storeError(code, code === 503 ? 'SlowDown' : 'InternalError', 'Please try again.'),
      ),
  })
  app.use(async (c, next) => {
    await next()
    c.res.headers.set('opc-request-id', randomUUID().replaceAll('-', '').toUpperCase())
    c.res.headers.set('X-Request-Id', randomUUID())
  })
  const tokenUrl = () => `${vendor.origin}${TOKEN_PATH}`
  app.get(`${FHIR_PATH}/metadata`, (c) => {
    const { fhirBase, dataset } = vendor
    const statement = capabilityStatement({
      title: 'Oracle Health',
      fhirBase,
      tokenUrl: tokenUrl(),
      types: dataset.types,
      levels: ['group', 'patient'],
    })
    return c.json(statement, 200, { 'Content-Type': FHIR_JSON })
  })
  app.get(`${FHIR_PATH}/.well-known/smart-configuration`, (c) =>
    c.json(smartConfiguration(tokenUrl(), ['private_key_jwt'], ALGS)),
  )
  app.use(
    `${FHIR_PATH}/*`,
    requireToken(vendor, (reason) =>
      // Source: `docs/vendors.md`, Oracle Health, Errors: 401 `login` or `expired`.
      outcomeResponse(401, reason === 'expired' ? 'expired' : 'login', 'Unauthorized', { 'WWW-Authenticate': 'Bearer' }),
    ),
  )
  app.get(`${FHIR_PATH}/Group/:id/$export`, (c) => kickoff(vendor, c, 'group'))
  app.post(`${FHIR_PATH}/Patient/$export`, (c) => kickoff(vendor, c, 'patient'))
  app.get(`${FHIR_PATH}/Group/:id`, (c) => {
    vendor.traffic.count('groupReads')
    return readGroup(GROUPS, c.req.param('id'), vendor.dataset)
  })
  app.get(`${FHIR_PATH}/Group`, (c) => {
    vendor.traffic.count('groupReads')
    return searchGroups(GROUPS, vendor.fhirBase, new URL(c.req.url).searchParams, vendor.dataset)
  })
  app.get(`${FHIR_PATH}/bulk-export/jobs/:job`, (c) => status(vendor, c))
  app.delete(`${FHIR_PATH}/bulk-export/jobs/:job`, (c) => {
    const job = vendor.jobs.find(c.req.param('job'), c.var.session.subject)
    if (job === undefined || vendor.jobs.state(job).kind === 'cancelled')
      return outcomeResponse(404, 'not-found', 'Job not found')
    vendor.jobs.cancel(job)
    return new Response(null, { status: 202 })
  })
  app.get(`${FHIR_PATH}/bulk-export/files/:file`, (c) => readFile(vendor, store, c))
  app.notFound(() => outcomeResponse(404, 'not-found', 'Not found'))
  return { fileOrigins: [store.origin], close: () => store.close() }
}

/** Source: `docs/vendors.md`, Oracle Health, Token: explicit scopes only, wildcards are refused. */
const grant = (asked: readonly string[]): readonly string[] | string => {
  if (asked.length === 0) return 'scope is required'
  return asked.some((scope) => scope.includes('*')) ? 'Wildcard scopes are not supported' : asked
}

/** Oracle Health, Millennium and Health AI suite. Sources: `docs/vendors.md`, Oracle Health. */
export const oracleHealth: VendorSpec = {
  id: 'oracle-health',
  title: 'Oracle Health',
  groupId: GROUP_UUID,
  fhirPath: FHIR_PATH,
  // How long an export really runs is assumed.
  jobSeconds: { fast: 2.5, real: 1500 },
  retentionSeconds: 30 * 86_400,
  token: { path: TOKEN_PATH, methods: ['private_key_jwt'], algs: ALGS, seconds: 570, grant },
  // Its files are on the store; what only redirects there is no phase of its own.
  routes: { kickoff: /\/(?:Patient|Group\/[^/]+)\/\$export$/, job: /\/bulk-export\/jobs\/[^/]+$/ },
  presigns: true,
  // Assumed, and so is that the bulk token opens them.
  oddities: ['absolute-attachments'],
  mount,
  source: (vendor, tokenUrl) => ({
    credential: {
      kind: 'private-key-jwt',
      clientId: vendor.clients.primary.clientId,
      tokenUrl,
      keySecret: 'ORACLE_HEALTH_KEY',
      alg: 'RS384',
    },
  }),
}
