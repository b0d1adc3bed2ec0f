import { operationOutcome, type Issue } from '../fhir/operation-outcome.ts'
import { isIdle } from '../rows/row-work.ts'
import type { FileReason, FileRow, FileRows } from './file-rows.ts'
import type { Job } from './model.ts'
import { sha256OfText } from './sha256.ts'

/** Files that are reported one by one; the rest is counted, so that the outcomes fit a row. */
const MAX_REPORTED_FILES = 1000

/** Why a file is not among the output; what an operator would look for next. */
const REASONS: Record<Exclude<FileReason, 'miscounted'>, string> = {
  unavailable: 'the source did not give it',
  missing: 'the source listed it and does not have it',
  'cut-off': 'the source broke it off each time',
  malformed: 'what the source gave is not NDJSON of its type',
  untrusted: "it lies at a place that the source's trust settings do not list",
  'no-url': 'the source listed it without a URL',
  untyped: 'its resource type could not be found out',
  'too-late': "it could not be read within the source's deadline",
}

const failedIssue = ({ type, n, reason }: FileRow): Issue => {
  const what = type === null ? 'An output file' : `A ${type} file`
  const why = reason === null || reason === 'miscounted' ? 'it could not be read' : REASONS[reason]
  return {
    severity: 'error',
    code: 'incomplete',
    diagnostics: `${what} of this export (number ${n}) is missing: ${why}. The other files are complete; export again for the rest.`,
  }
}

const miscountedIssue = ({ type, n, lines, announced, doubt }: FileRow): Issue => ({
  severity: 'warning',
  code: 'incomplete',
  // As it was read: what is delivered of it may be less.
  diagnostics: `The ${type ?? 'output'} file number ${n} holds ${doubt?.split('/')[1] ?? lines} resources as the source gives it, and the source announced ${announced}. It was read more than once and delivered as it is.`,
})

const manyMore = (count: number, what: string): Issue[] =>
  count > 0 ? [{ severity: 'error', code: 'incomplete', diagnostics: `${count} more files ${what}.` }] : []

/**
 * Patients that were asked for and are not there. Told where nothing but the list of patients can have left them out, and all files came.
 *
 * @see Bulk Data Kick-off, `patient` [PA-10]
 */
const unknownPatients = (files: FileRows, { rows = {}, params, types, retention }: Job): Issue[] => {
  const { patients, elements: _, ...otherWork } = rows
  const hasThem = retention === 'r2' && (types?.includes('Patient') ?? true) && files.progress().failed === 0
  const isFiltered = params.since !== undefined || params.until !== undefined || params.typeFilter.length > 0
  if (!patients || !hasThem || isFiltered || !isIdle(otherWork)) return []
  const missing = new Set(patients).size - files.linesOf('Patient')
  if (missing <= 0) return []
  const diagnostics = `${missing} of the patients that were asked for are not in this export: they do not exist at the source, or are not in the group. Check the ids.`
  return [{ severity: 'warning', code: 'not-found', diagnostics, expression: 'patient' }]
}

/**
 * Writes the file of outcomes that ends up in `error`: one for each parameter that a lenient kick-off left out, and one for each
 * file that the vendor listed and did not give, or gave otherwise than announced [MF-15], [MF-22], [ST-09].
 *
 * @param more What else is to be told of the files.
 */
export const addNotes = async (files: FileRows, job: Job, more: readonly Issue[] = []): Promise<void> => {
  const issues: Issue[] = [
    ...job.notes,
    ...more,
    ...unknownPatients(files, job),
    ...files.failed(MAX_REPORTED_FILES).map(failedIssue),
    ...manyMore(files.progress().failed - MAX_REPORTED_FILES, 'could not be read'),
    ...files.miscounted(MAX_REPORTED_FILES).map(miscountedIssue),
  ]
  if (issues.length === 0 || files.hasNotes()) return
  const lines = issues.map((issue) => `${JSON.stringify(operationOutcome([issue]))}\n`)
  const text = lines.join('')
  const sha256 = await sha256OfText(text)
  // A turn that was broken off and its successor may both come to this point.
  if (!files.hasNotes()) files.addText('error', 'OperationOutcome', text, lines.length, sha256)
}
