import type { Hono } from 'hono'
import { capabilityStatement, smartConfiguration } from '../capability-statement.ts'
import { GROUP_ID } from '../dataset.ts'
import { rangedFile } from '../file-response.ts'
import { allPatientsGroup, readGroup, searchGroups } from '../groups.ts'
import { outcomeResponse } from '../outcome.ts'
import { requireToken, type Vendor, type VendorEnv, type VendorSpec } from '../vendor-server.ts'
import { kickoff, type Forms } from './generic-kickoff.ts'
import { status } from './generic-status.ts'

const TOKEN_PATH = '/auth/token'
const FHIR_PATH = '/fhir'
const ALGS = ['RS384', 'ES384']
const GROUPS = [allPatientsGroup(GROUP_ID)]

const mount = (app: Hono<VendorEnv>, vendor: Vendor): undefined => {
  const forms: Forms = new Map()
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
  app.on(['GET', 'POST'], `${FHIR_PATH}/$export`, (c) => kickoff(vendor, forms, c, 'system'))
  app.on(['GET', 'POST'], `${FHIR_PATH}/Patient/$export`, (c) => kickoff(vendor, forms, c, 'patient'))
  app.on(['GET', 'POST'], `${FHIR_PATH}/Group/:id/$export`, (c) => kickoff(vendor, forms, c, 'group'))
  app.get(`${FHIR_PATH}/Group/:id`, (c) => {
    vendor.traffic.count('groupReads')
    return readGroup(GROUPS, c.req.param('id'), vendor.dataset)
  })
  app.get(`${FHIR_PATH}/Group`, (c) => {
    vendor.traffic.count('groupReads')
    return searchGroups(GROUPS, vendor.fhirBase, new URL(c.req.url).searchParams, vendor.dataset)
  })
  app.get(`${FHIR_PATH}/jobs/:job`, (c) => status(vendor, forms, c))
  app.delete(`${FHIR_PATH}/jobs/:job`, (c) => {
    const job = vendor.jobs.find(c.req.param('job'), c.var.session.subject)
    if (job === undefined || vendor.jobs.state(job).kind === 'cancelled')
      return outcomeResponse(404, 'not-found', 'No such export')
    vendor.jobs.cancel(job)
    forms.delete(job.id)
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
