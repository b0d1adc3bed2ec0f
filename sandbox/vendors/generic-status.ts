import type { ExportFile } from '../export-files.ts'
import type { Job, JobState } from '../jobs.ts'
import { FHIR_JSON, operationOutcome, outcomeResponse } from '../outcome.ts'
import type { Vendor, VendorContext } from '../vendor-server.ts'
import type { Form, Forms } from './generic-kickoff.ts'

/** No vendor, so no documentation: plausible numbers. */
const RETRY_AFTER_SECONDS = { fast: 1, real: 30 } as const
const FILES_PER_PAGE = 4

type Complete = Extract<JobState, { kind: 'complete' }>

/** One page of the manifest; without partial manifests there is one [MF-16], [MF-17]. */
const manifest = (vendor: Vendor, job: Job, state: Complete, form: Form | undefined, page: number): object | undefined => {
  const urlOf = (id: string): string => `${vendor.fhirBase}/files/${id}`
  const item = ({ type, id, resources }: ExportFile) => ({ type, url: urlOf(id), count: resources })
  const isOrganized = form?.isOrganized === true
  const output = ({ type, id, resources }: ExportFile) => {
    const continuesIn = form?.continuesIn.get(id)
    return {
      ...(isOrganized ? {} : { type }),
      url: urlOf(id),
      count: resources,
      ...(continuesIn === undefined ? {} : { continuesInFile: urlOf(continuesIn) }),
    }
  }
  const pages = form?.hasPages === true ? Math.max(1, Math.ceil(state.files.length / FILES_PER_PAGE)) : 1
  if (page < 1 || page > pages) return undefined
  const files = pages === 1 ? state.files : state.files.slice((page - 1) * FILES_PER_PAGE, page * FILES_PER_PAGE)
  const next = `${vendor.fhirBase}/jobs/${job.id}?page=${page + 1}`
  return {
    transactionTime: new Date(job.startedAtMs).toISOString(),
    request: job.request,
    requiresAccessToken: true,
    ...(isOrganized ? { outputOrganizedBy: 'Patient' } : {}),
    output: files.map(output),
    deleted: page === 1 ? state.deleted.map(item) : [],
    error: state.errors.map(item),
    ...(page < pages ? { link: [{ relation: 'next', url: next }] } : {}),
  }
}

/** A status request. With `separate-export-status` every answer about the export is 200, and a header tells how it is [ST-10]. */
export const status = (vendor: Vendor, forms: Forms, c: VendorContext): Response => {
  const job = vendor.jobs.find(c.req.param('job') ?? '', c.var.session.subject)
  const state = job === undefined ? undefined : vendor.jobs.told(job)
  if (job === undefined || state === undefined || state.kind === 'cancelled')
    return outcomeResponse(404, 'not-found', 'No such export')
  vendor.jobs.polled(job)
  const form = forms.get(job.id)
  const answer = (code: number, phrase: string, body: object | null, headers: Readonly<Record<string, string>>): Response =>
    new Response(body === null ? null : JSON.stringify(body), {
      status: form?.separateStatus === true ? 200 : code,
      headers: form?.separateStatus === true ? { ...headers, 'X-Export-Status': `${code} ${phrase}` } : headers,
    })
  if (state.kind === 'failed') {
    const outcome = operationOutcome({ code: 'exception', text: state.reason })
    return answer(500, 'Internal Server Error', outcome, { 'Content-Type': FHIR_JSON })
  }
  if (state.kind === 'running') {
    const retryAfterSeconds = vendor.paced(RETRY_AFTER_SECONDS)
    vendor.jobs.askedToWait(job, retryAfterSeconds * 1000)
    const progress = `${Math.floor(state.fraction * 100)}% complete`
    return answer(202, 'Accepted', null, { 'Retry-After': String(retryAfterSeconds), 'X-Progress': progress })
  }
  const page = manifest(vendor, job, state, form, Number(c.req.query('page') ?? '1'))
  if (page === undefined) return outcomeResponse(404, 'not-found', 'The manifest has no such page')
  const expires = new Date(state.expiresAtMs).toUTCString()
  return answer(200, 'OK', page, { 'Content-Type': 'application/json', Expires: expires })
}
