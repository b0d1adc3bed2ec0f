import { randomUUID } from 'node:crypto'
import type { Hono } from 'hono'
import { capabilityStatement } from '../capability-statement.ts'
import { GROUP_UUID, type Dataset } from '../dataset.ts'
import { exportFile, exportFiles, type ExportFile } from '../export-files.ts'
import { readGroup, searchGroups } from '../groups.ts'
import type { ExportFilter } from '../row-filter.ts'
import { oauthError } from '../token-endpoint.ts'
import { requireToken, type Vendor, type VendorContext, type VendorEnv, type VendorSpec } from '../vendor-server.ts'
import { exportedGroup, MEDPLUM_GROUPS, withGroup } from './medplum-groups.ts'
import {
  accepted,
  forbidden,
  jsonNotFound,
  medplumSmartConfiguration,
  notFound,
  rateLimit,
  unauthorized,
} from './medplum-answers.ts'
import { medplumStorage, storageError, type MedplumStorage } from './medplum-storage.ts'

// Numbers in brackets are those of `docs/vendors.md`, Medplum; "recorded" is `test/fixtures/medplum/5.0.10.http`.
const TOKEN_PATH = '/oauth2/token'
const FHIR_PATH = '/fhir/R4'
const JOBS_PATH = `${FHIR_PATH}/bulkdata/export`
const TOKEN_SECONDS = 3600
/** [1] */
const MAX_PER_PATIENT_AND_TYPE = 1000

type Level = 'system' | 'patient' | 'group'

/** [4] The job and its files are created as the caller. Without a scope about resources, everything is allowed. */
const mayCreate = (scopes: readonly string[]): boolean => {
  const about = scopes.filter((scope) => /^(system|user|patient)\//.test(scope))
  return about.length === 0 || about.some((scope) => /^system\/\*\.(\*|c[ruds]*)$/.test(scope))
}

/** [6] Only the first `_type` counts, and nothing is checked. */
const filterOf = (query: URLSearchParams): ExportFilter => {
  const types = query.get('_type')
  const since = query.get('_since')
  return {
    ...(types === null ? {} : { types: types.split(',') }),
    ...(since === null ? {} : { sinceMs: Date.parse(since) }),
  }
}

/** Source: `docs/vendors.md`, Medplum: a system export includes Medplum's own types. */
const projectFile = (): ExportFile =>
  exportFile({
    type: 'Project',
    resources: 1,
    version: 'project',
    open: async function* () {
      yield Buffer.from(
        `${JSON.stringify({ resourceType: 'Project', id: '5d2f1c0e-3c59-4f6e-9d55-0c7b5b1f6a11', name: 'Sandbox' })}\n`,
      )
    },
  })

const filesOf = async (vendor: Vendor, filter: ExportFilter, level: Level, groupId: string): Promise<readonly ExportFile[]> => {
  const { dataset } = vendor
  if (level !== 'group') {
    const files = await exportFiles(level === 'patient' ? withoutGroup(dataset) : dataset, filter, Infinity)
    return level === 'system' && filter.types === undefined ? [...files, projectFile()] : files
  }
  const group = MEDPLUM_GROUPS(dataset).find(({ id }) => id === groupId)
  const held = group === undefined ? dataset : withGroup(withoutGroup(dataset), group)
  // [7] Members that are not there are passed over, inactive ones are not.
  const patientIds =
    group === undefined || group.members === 'all' ? undefined : new Set(group.members.map(({ patientId }) => patientId))
  const { maxPerPatient = Infinity } = dataset
  const limited = maxPerPatient > MAX_PER_PATIENT_AND_TYPE ? { perPatient: MAX_PER_PATIENT_AND_TYPE } : {}
  return exportFiles(held, { ...filter, ...limited, ...(patientIds === undefined ? {} : { patientIds }) }, Infinity)
}

const withoutGroup = (dataset: Dataset): Dataset => ({ ...dataset, types: dataset.types.filter((type) => type !== 'Group') })

/** [8] The base and a path without its first slash are joined, except for a Group (recorded), and the query is lost. */
const requestOf = ({ fhirBase }: Vendor, level: Level, groupId: string): string =>
  ({ group: `${fhirBase}/Group/${groupId}/$export`, patient: `${fhirBase}Patient/$export`, system: `${fhirBase}$export` })[level]

const kickoff = (vendor: Vendor, c: VendorContext, level: Level): Response => {
  const refuse = (response: Response): Response => {
    vendor.traffic.kickoff(false, vendor.jobs.running())
    return response
  }
  if (!mayCreate(c.var.session.scopes)) return refuse(forbidden())
  const groupId = c.req.param('id') ?? ''
  const group = MEDPLUM_GROUPS(vendor.dataset).find(({ id }) => id === groupId)
  if (level === 'group' && group === undefined) return refuse(notFound())
  // [5] [6] Only the query is read, for POST too; `Prefer` is not asked for.
  const filter = filterOf(new URL(c.req.url).searchParams)
  const job = vendor.jobs.start({
    owner: c.var.session.subject,
    request: requestOf(vendor, level, groupId),
    files: () => filesOf(vendor, filter, level, groupId),
    // [3]
    endless: group !== undefined && group.members !== 'all' && group.members.length === 0,
  })
  return accepted(`${vendor.origin}${JOBS_PATH}/${job.id}`)
}

const status = (vendor: Vendor, storage: MedplumStorage, c: VendorContext): Response => {
  const job = vendor.jobs.find(c.req.param('job') ?? '', c.var.session.subject)
  if (job === undefined) return notFound()
  const state = vendor.jobs.told(job)
  if (state.kind === 'cancelled') return jsonNotFound()
  vendor.jobs.polled(job)
  // [9] Nothing but the status; a failed job too stays 202 (`docs/vendors.md`, Medplum).
  if (state.kind !== 'complete') return new Response(null, { status: 202 })
  return c.json(
    {
      // [2]
      transactionTime: new Date(state.finishedAtMs).toISOString(),
      request: job.request,
      requiresAccessToken: false,
      // [10] Minted anew at each poll.
      output: state.files.map((file) => ({ type: file.type, url: storage.presign(file) })),
      error: [],
      deleted: [],
    },
    200,
    { 'Content-Type': 'application/json; charset=utf-8', Vary: 'Accept-Encoding' },
  )
}

const mount = (app: Hono<VendorEnv>, vendor: Vendor): undefined => {
  const storage = medplumStorage(vendor)
  app.get('/storage/:binary/:version', (c) => storage.serve(c.req.raw))
  const smart = (): Response => medplumSmartConfiguration(vendor.origin)
  // [13] At the FHIR base and at the origin.
  app.get('/.well-known/smart-configuration', smart)
  app.get(`${FHIR_PATH}/.well-known/smart-configuration`, smart)
  app.get(`${FHIR_PATH}/metadata`, (c) => {
    const { fhirBase, origin, dataset } = vendor
    const tokenUrl = `${origin}${TOKEN_PATH}`
    return c.json(
      capabilityStatement({ title: 'medplum', fhirBase, tokenUrl, types: dataset.types, levels: ['system', 'patient', 'group'] }),
    )
  })
  app.use(`${FHIR_PATH}/*`, requireToken(vendor, unauthorized))
  app.use(`${FHIR_PATH}/*`, rateLimit(vendor))
  app.on(['GET', 'POST'], `${FHIR_PATH}/$export`, (c) => kickoff(vendor, c, 'system'))
  app.on(['GET', 'POST'], `${FHIR_PATH}/Patient/$export`, (c) => kickoff(vendor, c, 'patient'))
  app.get(`${FHIR_PATH}/Group/:id/$export`, (c) => kickoff(vendor, c, 'group'))
  // [5]
  app.post(`${FHIR_PATH}/Group/:id/$export`, () => {
    vendor.traffic.kickoff(false, vendor.jobs.running())
    return notFound()
  })
  app.get(`${FHIR_PATH}/Group/:id`, async (c) => {
    vendor.traffic.count('groupReads')
    const read = await readGroup(MEDPLUM_GROUPS(vendor.dataset), c.req.param('id'), vendor.dataset)
    return read.status === 404 ? notFound() : read
  })
  app.get(`${FHIR_PATH}/Group`, (c) => {
    vendor.traffic.count('groupReads')
    return searchGroups(MEDPLUM_GROUPS(vendor.dataset), vendor.fhirBase, new URL(c.req.url).searchParams, vendor.dataset)
  })
  app.get(`${JOBS_PATH}/:job`, (c) => status(vendor, storage, c))
  app.delete(`${JOBS_PATH}/:job`, (c) => {
    const job = vendor.jobs.find(c.req.param('job'), c.var.session.subject)
    if (job === undefined) return notFound()
    vendor.jobs.cancel(job)
    // [11] Also the second time.
    return new Response('Accepted', {
      status: 202,
      headers: { 'Content-Type': 'text/plain; charset=utf-8', Vary: 'Accept-Encoding' },
    })
  })
  app.notFound(() => notFound())
  return undefined
}

/** Medplum 5.0.10, as seen on the wire. Sources: `docs/vendors.md`, Medplum, and `test/fixtures/medplum/5.0.10.http`. */
export const medplum: VendorSpec = {
  id: 'medplum',
  title: 'Medplum',
  groupId: GROUP_UUID,
  fhirPath: FHIR_PATH,
  // How long an export runs in earnest, and for how long its job can be read, is assumed.
  jobSeconds: { fast: 1.8, real: 60 },
  retentionSeconds: 7 * 86_400,
  token: {
    path: TOKEN_PATH,
    methods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    algs: ['RS384', 'ES384'],
    seconds: TOKEN_SECONDS,
    // [4] Echoed, not validated.
    grant: (asked) => (asked.length === 0 ? ['openid'] : asked),
    extra: ({ clientId }) => ({
      token_type: 'Bearer',
      project: { reference: `Project/${randomUUID()}`, display: 'Sandbox' },
      profile: { reference: `ClientApplication/${randomUUID()}`, display: clientId },
      need_patient_banner: false,
    }),
    // [13]
    refuse: ({ refused, reason }) => oauthError(400, 'invalid_request', refused === 'secret' ? 'Invalid secret' : reason),
  },
  routes: {
    kickoff: /^\/fhir\/R4\/(?:(?:Patient|Group\/[^/]+)\/)?\$export$/,
    job: /^\/fhir\/R4\/bulkdata\/export\/[^/]+$/,
    file: /^\/storage\//,
  },
  presigns: true,
  faultAnswer: (phase, code) => (phase === 'file' ? storageError(code, 'Error') : undefined),
  holds: (dataset) => withGroup(dataset, exportedGroup),
  mount,
  source: (vendor, tokenUrl) => ({
    credential: { kind: 'client-secret-basic', clientId: vendor.clients.primary.clientId, tokenUrl, secret: 'MEDPLUM_SECRET' },
  }),
}
