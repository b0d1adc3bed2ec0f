/** How one error code looks on the wire: HTTP status, FHIR `IssueType`, and whether it is about the caller's token. */
interface Wire {
  readonly status: 400 | 401 | 403 | 404 | 405 | 406 | 413 | 415 | 422 | 429 | 500 | 502 | 503 | 504
  readonly issue: string
}

/**
 * Every way an export can go wrong, and what a client sees of it.
 *
 * A status poll that failed while the job lives uses an issue code of FHIR's *transient* family [ST-08]; the end of a
 * job does not, save `job_deadline_passed` and `job_stalled`, which say `timeout` because that is what happened.
 */
const WIRE = {
  // The caller's request
  parameter_invalid: { status: 400, issue: 'value' },
  parameter_unknown: { status: 400, issue: 'not-supported' },
  parameter_unsupported: { status: 400, issue: 'not-supported' },
  body_invalid: { status: 400, issue: 'structure' },
  body_too_large: { status: 413, issue: 'too-long' },
  media_type_unsupported: { status: 415, issue: 'not-supported' },
  not_acceptable: { status: 406, issue: 'not-supported' },
  method_not_allowed: { status: 405, issue: 'not-supported' },
  level_unsupported: { status: 400, issue: 'not-supported' },
  too_costly: { status: 422, issue: 'too-costly' },
  // The caller's right to make it
  token_missing: { status: 401, issue: 'login' },
  token_invalid: { status: 401, issue: 'login' },
  token_expired: { status: 401, issue: 'expired' },
  scope_insufficient: { status: 403, issue: 'forbidden' },
  // What it names
  route_not_found: { status: 404, issue: 'not-found' },
  source_not_found: { status: 404, issue: 'not-found' },
  group_not_found: { status: 404, issue: 'not-found' },
  job_not_found: { status: 404, issue: 'not-found' },
  // How often
  polled_too_often: { status: 429, issue: 'throttled' },
  exports_too_many: { status: 429, issue: 'throttled' },
  // The vendor, while the job lives or before there is one
  vendor_rejected: { status: 400, issue: 'processing' },
  vendor_failed: { status: 502, issue: 'processing' },
  vendor_unreachable: { status: 502, issue: 'transient' },
  vendor_refused_credential: { status: 502, issue: 'security' },
  vendor_answer_invalid: { status: 502, issue: 'processing' },
  vendor_url_untrusted: { status: 502, issue: 'security' },
  vendor_file_unavailable: { status: 502, issue: 'transient' },
  // The end of a job
  kickoff_ambiguous: { status: 502, issue: 'processing' },
  vendor_job_failed: { status: 500, issue: 'processing' },
  vendor_job_lost: { status: 500, issue: 'processing' },
  vendor_manifest_too_large: { status: 500, issue: 'too-costly' },
  job_deadline_passed: { status: 500, issue: 'timeout' },
  job_stalled: { status: 500, issue: 'timeout' },
  files_unavailable: { status: 500, issue: 'processing' },
  credential_changed: { status: 500, issue: 'security' },
  // Ours
  config_invalid: { status: 500, issue: 'processing' },
  internal: { status: 500, issue: 'exception' },
} as const satisfies Record<string, Wire>

export type ExportErrorCode = keyof typeof WIRE

export interface ExportErrorOptions {
  readonly cause?: unknown
  /** What the issue is about: a parameter name, goes to `issue.expression`. */
  readonly parameter?: string
  /** Sent as `Retry-After`, whole seconds. */
  readonly retryAfterSeconds?: number
  /** Sent as `Allow`, with 405. */
  readonly allow?: string
}

/** The one error that may leave a route: `diagnostics` is for the client and tells it what to do; no upstream text in it. */
export class ExportError extends Error {
  override readonly name = 'ExportError'
  readonly code: ExportErrorCode
  readonly diagnostics: string
  readonly options: ExportErrorOptions

  constructor(code: ExportErrorCode, diagnostics: string, options: ExportErrorOptions = {}) {
    super(`${code}: ${diagnostics}`, { cause: options.cause })
    this.code = code
    this.diagnostics = diagnostics
    this.options = options
  }
}

/** The HTTP status and FHIR issue type of a code. */
export const wireOf = (code: ExportErrorCode): Wire => WIRE[code]
