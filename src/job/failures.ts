import type { Level } from '../fhir/kickoff-params.ts'
import { CREDENTIAL_REFUSED } from '../vendor/credentials.ts'
import type { Failure } from './model.ts'

/* Why a job can end without files. Each says what its client should do; none holds a word of the vendor's. */

export const AMBIGUOUS: Failure = {
  code: 'kickoff_ambiguous',
  diagnostics:
    'The kick-off was sent to the source and its answer was lost, so an export may be running there. It was not sent twice. Start a new export.',
}
export const LOST: Failure = {
  code: 'vendor_job_lost',
  diagnostics: 'The source no longer knows this export. Start a new export.',
}
export const UNREADABLE: Failure = {
  code: 'vendor_answer_invalid',
  diagnostics: 'The source gave no readable status of this export many times in a row. Start a new export.',
}
export const LATE: Failure = {
  code: 'job_deadline_passed',
  diagnostics: "The source did not finish this export within the source's deadline. Export fewer types or a smaller group.",
}
export const UNREACHABLE: Failure = {
  code: 'job_deadline_passed',
  diagnostics:
    "The source could not be asked about this export up to the source's deadline. Start a new export once it can be reached.",
}
export const STALLED: Failure = {
  code: 'job_stalled',
  diagnostics:
    'The source made no progress with this export for too long, so it was cancelled there. Export fewer types or a smaller group.',
}
export const NEVER_STARTED: Failure = {
  code: 'job_deadline_passed',
  diagnostics: 'The source had no room for this export for a week, so it was never started. Start a new export.',
}
export const NO_FILES: Failure = {
  code: 'files_unavailable',
  diagnostics: 'The source finished this export, but none of its files could be read. Start a new export.',
}

export const CREDENTIAL_CHANGED: Failure = {
  code: 'credential_changed',
  diagnostics: "The source's credential now belongs to another client, which cannot see this export. Start a new export.",
}

/** What a refused kick-off tells the client: a code of ours and the vendor's HTTP status. */
export const refusalOf = (status: number, level: Level): Failure => {
  if (status === 404 && level === 'group') {
    return {
      code: 'group_not_found',
      diagnostics: 'The source has no such group. Read its Group resources, or ask its operator for the id.',
    }
  }
  if (status === 403) {
    return {
      code: 'vendor_refused_credential',
      diagnostics: 'The source does not let Bulkhead make this export; its operator must allow it.',
    }
  }
  if (status === 404 || status === 405 || status === 501) {
    return { code: 'level_unsupported', diagnostics: 'The source has no export at this level; its /metadata lists what it has.' }
  }
  if (status < 500) {
    return {
      code: 'vendor_rejected',
      diagnostics: `The source refused this combination of parameters (HTTP ${status}). Ask for less, or for other types.`,
    }
  }
  return { code: 'vendor_failed', diagnostics: `The source failed while starting the export (HTTP ${status}). Try again later.` }
}

/**
 * A failure as a status request tells it. What a kick-off is answered with 404 would there say that the export is not known, and clients
 * would take it for deleted.
 */
export const endOf = (failure: Failure): Failure =>
  failure.code === 'group_not_found' ? { ...failure, code: 'vendor_rejected' } : failure

export const REFUSED_CREDENTIAL: Failure = {
  code: 'vendor_refused_credential',
  diagnostics: CREDENTIAL_REFUSED,
}

export const VENDOR_FAILED: Failure = {
  code: 'vendor_job_failed',
  diagnostics: 'The source reports that this export failed. Start a new export; if it fails again, ask for fewer types.',
}
