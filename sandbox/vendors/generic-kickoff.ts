import { readableTypes } from '../access-tokens.ts'
import { GROUP_ID } from '../dataset.ts'
import { deletedFiles } from '../deletions.ts'
import { exportFile, exportFiles } from '../export-files.ts'
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
import { organizedFiles } from '../organized-files.ts'
import { requestUrl, type Vendor, type VendorContext } from '../vendor-server.ts'

export type Level = 'system' | 'patient' | 'group'

/** What of a kick-off decides how its status and manifest look. */
export interface Form {
  readonly isOrganized: boolean
  readonly hasPages: boolean
  /** `Prefer: separate-export-status` was honoured [KO-10]. */
  readonly separateStatus: boolean
  /** File → the file in which its last block goes on; known when the files are. */
  continuesIn: ReadonlyMap<string, string>
}

export type Forms = Map<string, Form>

/** No vendor, so no documentation: a plausible number. */
const PATIENTS_PER_FILE = 5000
const PARAMS = [
  '_outputFormat',
  '_since',
  '_until',
  '_type',
  '_elements',
  '_typeFilter',
  'includeAssociatedData',
  'organizeOutputBy',
  'allowPartialManifests',
]

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

/** `organizeOutputBy` and `allowPartialManifests`, checked. */
const layoutOf = (
  values: KickoffValues,
  lenient: boolean,
): { isOrganized: boolean; hasPages: boolean; ignored: Issue[] } | Issue => {
  const [by, pages] = [values.get('organizeOutputBy')?.[0], values.get('allowPartialManifests')?.[0]]
  if (pages !== undefined && pages !== 'true' && pages !== 'false')
    return { code: 'invalid', text: 'allowPartialManifests must be true or false' }
  const isUnable = by !== undefined && by !== 'Patient'
  const text = `organizeOutputBy ${by} is not supported`
  if (isUnable && !lenient) return { code: 'not-supported', text }
  const ignored: Issue[] = isUnable ? [{ severity: 'warning', code: 'not-supported', text }] : []
  return { isOrganized: by === 'Patient', hasPages: pages === 'true', ignored }
}

/** A kick-off at any level, by GET or POST. https://hl7.org/fhir/uv/bulkdata/STU3/export.html */
export const kickoff = async (vendor: Vendor, forms: Forms, c: VendorContext, level: Level): Promise<Response> => {
  const refuse = (status: number, code: string, text: string): Response => {
    vendor.traffic.kickoff(false, vendor.jobs.running())
    return outcomeResponse(status, code, text)
  }
  const isPost = c.req.method === 'POST'
  if (level === 'group' && c.req.param('id') !== GROUP_ID)
    return refuse(404, 'not-found', `Group/${c.req.param('id')} is not known`)
  const values = isPost ? fromParameters(await c.req.text()) : fromQuery(new URL(c.req.url).searchParams)
  if (values === undefined) return refuse(400, 'structure', 'The body must be a Parameters resource')
  // Bulk Data export, `patient`: POST only, and not at system level [PA-09].
  const params = isPost && level !== 'system' ? [...PARAMS, 'patient'] : PARAMS
  const types = [...new Set([...KNOWN_TYPES, ...vendor.dataset.types])]
  const prefer = c.req.header('Prefer')
  const lenient = prefers(prefer, 'handling=lenient')
  const read = readKickoff(values, { params, types, formats: NDJSON_FORMATS, repeats: true }, lenient)
  if ('refusal' in read) return refuse(400, read.refusal.code, read.refusal.text)
  const layout = layoutOf(values, lenient)
  if ('code' in layout) return refuse(400, layout.code, layout.text)
  const { filter } = read
  const ignored = [...read.ignored, ...layout.ignored]

  const readable = readableTypes(c.var.session.scopes)
  const forbidden = readable === '*' ? undefined : filter.types?.find((type) => !readable.includes(type))
  if (forbidden !== undefined) return refuse(403, 'forbidden', `The token's scopes do not let ${forbidden} be read`)
  const missing = filter.patientIds === undefined ? undefined : await unknownPatient(vendor, filter.patientIds)
  if (missing !== undefined) return refuse(400, 'not-found', `Patient/${missing} is not known here`)

  const allowed = filter.types === undefined && readable !== '*' ? { ...filter, types: readable } : filter
  const separateStatus = prefers(prefer, 'separate-export-status')
  const form: Form = { isOrganized: layout.isOrganized, hasPages: layout.hasPages, separateStatus, continuesIn: new Map() }
  const organized = async () => {
    const { files, continuesIn } = await organizedFiles(vendor.dataset, allowed)
    form.continuesIn = continuesIn
    return files
  }
  const job = vendor.jobs.start({
    owner: c.var.session.subject,
    request: requestUrl(vendor, c),
    files: () => (layout.isOrganized ? organized() : exportFiles(vendor.dataset, allowed, PATIENTS_PER_FILE)),
    errors: ignored.length === 0 ? [] : [errorFile(ignored)],
    deleted: deletedFiles(vendor.dataset, allowed),
  })
  forms.set(job.id, form)
  const headers = { 'Content-Location': `${vendor.fhirBase}/jobs/${job.id}` }
  const applied = { 'Preference-Applied': 'respond-async, separate-export-status' }
  return new Response(null, { status: 202, headers: separateStatus ? { ...headers, ...applied } : headers })
}
