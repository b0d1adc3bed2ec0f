import type { Hono } from 'hono'
import { GROUP_ID, GROUP_NAME } from '../dataset.ts'
import { exportFiles } from '../export-files.ts'
import { plainFile } from '../file-response.ts'
import { KNOWN_TYPES } from '../kickoff-request.ts'
import { outcomeResponse } from '../outcome.ts'
import { requestUrl, requireToken, type Vendor, type VendorContext, type VendorEnv, type VendorSpec } from '../vendor-server.ts'

// Every fact here that is not marked assumed: `docs/vendors.md`, Vendor X.
const TOKEN_PATH = '/oauth2/token'
const FHIR_PATH = '/bulk/r4'
const PATIENTS_PER_FILE = 2500
/** Milliseconds. The unit is documented, the numbers are assumed. */
const RETRY_AFTER_MS = { fast: [1000, 1250, 1500], real: [18_000, 30_000, 60_000] } as const

/** "The text of the OperationOutcome will specify that the queried request is not available." */
const notAvailable = (): Response => outcomeResponse(404, 'forbidden', 'The requested export is not available.')

const kickoff = (vendor: Vendor, c: VendorContext): Response => {
  const refuse = (status: number, code: string, text: string): Response => {
    vendor.traffic.kickoff(false, vendor.jobs.running())
    return outcomeResponse(status, code, text)
  }
  // How an unknown group is refused is assumed.
  if (c.req.param('id') !== GROUP_ID) return refuse(404, 'not-found', 'The group is not available.')
  const permitted = new Set([...KNOWN_TYPES, ...vendor.dataset.types])
  // Only `_type` is documented; that other parameters are passed over is assumed. So is the code of the rejection.
  const types = new URL(c.req.url).searchParams
    .getAll('_type')
    .flatMap((value) => value.split(','))
    .filter((type) => type !== '')
  const rejected = types.find((type) => !permitted.has(type))
  if (rejected !== undefined) return refuse(403, 'forbidden', `No permission to access ${rejected}.`)
  const job = vendor.jobs.start({
    owner: c.var.session.subject,
    request: requestUrl(vendor, c),
    files: () => exportFiles(vendor.dataset, types.length === 0 ? {} : { types }, PATIENTS_PER_FILE),
  })
  return new Response(null, { status: 202, headers: { 'Content-Location': `${vendor.fhirBase}/export/${job.id}` } })
}

/** `completed` while still 202: the documented values of the header on a 202 include it. */
const progressOf = (fraction: number): string => {
  if (fraction < 0.2) return 'scheduled'
  return fraction < 0.9 ? 'started' : 'completed'
}

const secondsInstant = (atMs: number): string => new Date(atMs).toISOString().replace(/\.\d+Z$/, 'Z')

const status = (vendor: Vendor, c: VendorContext): Response => {
  const job = vendor.jobs.find(c.req.param('job') ?? '', c.var.session.subject)
  const state = job === undefined ? undefined : vendor.jobs.told(job)
  if (job === undefined || state === undefined || state.kind === 'cancelled') return notAvailable()
  vendor.jobs.polled(job)
  if (state.kind === 'failed') return outcomeResponse(500, 'exception', state.reason)
  if (state.kind === 'running') {
    const waits = vendor.settings.pace === 'fast' ? RETRY_AFTER_MS.fast : RETRY_AFTER_MS.real
    const waitMs = waits[Math.floor(state.fraction * waits.length)] ?? waits[0]
    vendor.jobs.askedToWait(job, waitMs)
    return new Response(null, {
      status: 202,
      headers: { 'Retry-After': String(waitMs), 'X-Progress': progressOf(state.fraction) },
    })
  }
  return c.json({
    transactionTime: secondsInstant(state.finishedAtMs),
    request: job.request,
    requiresAccessToken: true,
    output: state.files.map(({ type, id }) => ({ type, url: `${vendor.fhirBase}/file/${id}` })),
    error: [],
  })
}

const mount = (app: Hono<VendorEnv>, vendor: Vendor): undefined => {
  app.use(
    `${FHIR_PATH}/*`,
    // The style of a 401 is assumed.
    requireToken(vendor, () =>
      outcomeResponse(401, 'login', 'A valid OAuth2 token is required.', { 'WWW-Authenticate': 'Bearer' }),
    ),
  )
  app.get(`${FHIR_PATH}/Group/:id/$export`, (c) => kickoff(vendor, c))
  app.get(`${FHIR_PATH}/export/:job`, (c) => status(vendor, c))
  app.delete(`${FHIR_PATH}/export/:job`, (c) => {
    const job = vendor.jobs.find(c.req.param('job'), c.var.session.subject)
    if (job === undefined || vendor.jobs.state(job).kind === 'cancelled') return notAvailable()
    vendor.jobs.cancel(job)
    return new Response(null, { status: 202 })
  })
  app.get(`${FHIR_PATH}/file/:file`, (c) => {
    vendor.traffic.count('fileRequests')
    const file = vendor.jobs.file(c.req.param('file'), c.var.session.subject)
    return file === undefined ? notAvailable() : plainFile(c.req.raw, file, true)
  })
  app.notFound(() => outcomeResponse(404, 'not-found', 'Not available.'))
  return undefined
}

/** The vendor whose name is not known. Source: `docs/vendors.md`, Vendor X. */
export const vendorX: VendorSpec = {
  id: 'vendor-x',
  title: 'Vendor X',
  groupId: GROUP_ID,
  fhirPath: FHIR_PATH,
  // Run time assumed; seven days are documented.
  jobSeconds: { fast: 2.2, real: 240 },
  retentionSeconds: 7 * 86_400,
  // "A valid OAuth2 token": the kind of client authentication is assumed.
  token: { path: TOKEN_PATH, methods: ['client_secret_post'], algs: [], seconds: 300 },
  routes: {
    kickoff: /^\/bulk\/r4\/Group\/[^/]+\/\$export$/,
    job: /^\/bulk\/r4\/export\/[^/]+$/,
    file: /^\/bulk\/r4\/file\/[^/]+$/,
  },
  retryAfterUnit: 'ms',
  // Assumed: the page shows no row.
  oddities: ['absolute-references', 'relative-attachments'],
  mount,
  source: (vendor, tokenUrl) => ({
    credential: { kind: 'client-secret-post', clientId: vendor.clients.primary.clientId, tokenUrl, secret: 'VENDOR_X_SECRET' },
    groups: { [GROUP_ID]: GROUP_NAME },
  }),
}
