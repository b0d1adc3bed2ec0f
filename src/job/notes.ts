import { operationOutcome, type Issue } from '../fhir/operation-outcome.ts'
import type { Job } from './model.ts'
import type { JobStorage } from './storage.ts'
import { sha256OfText } from './store-file.ts'

/** Files that are reported one by one; the rest is counted, so that the outcomes fit a row. */
const MAX_FAILED_FILES = 1000

/**
 * Writes the file of outcomes that ends up in `error`: one for each parameter that a lenient kick-off left out, and one for each
 * file that the vendor listed and did not give [MF-15], [MF-22], [ST-09].
 */
export const addNotes = async (storage: JobStorage, job: Job): Promise<void> => {
  const issues: Issue[] = [...job.notes]
  for (const { type, n } of storage.failed(MAX_FAILED_FILES)) {
    const what = type === null ? 'An output file' : `A ${type} file`
    issues.push({
      severity: 'error',
      code: 'incomplete',
      diagnostics: `${what} of this export (number ${n}) could not be read from the source. The other files are complete; export again for the rest.`,
    })
  }
  const unnamed = storage.progress().failed - MAX_FAILED_FILES
  if (unnamed > 0) issues.push({ severity: 'error', code: 'incomplete', diagnostics: `${unnamed} more files could not be read.` })
  if (issues.length === 0 || storage.hasNotes()) return
  const lines = issues.map((issue) => `${JSON.stringify(operationOutcome([issue]))}\n`)
  const text = lines.join('')
  storage.addText('error', 'OperationOutcome', text, lines.length, await sha256OfText(text))
}
