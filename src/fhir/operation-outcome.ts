import { wireOf, type ExportError } from '../errors.ts'

/** One thing to tell the client. `code` is a FHIR `IssueType`; `expression` names the parameter it is about. */
export interface Issue {
  readonly severity: 'fatal' | 'error' | 'warning' | 'information'
  readonly code: string
  readonly diagnostics: string
  readonly expression?: string
}

/** A FHIR R4 OperationOutcome, as far as this project writes it. */
export interface OperationOutcome {
  readonly resourceType: 'OperationOutcome'
  readonly issue: readonly {
    readonly severity: Issue['severity']
    readonly code: string
    readonly diagnostics: string
    readonly expression?: readonly string[]
  }[]
}

/** What a vendor's OperationOutcome says. Its text may hold patient data and is not kept. */
export interface VendorOutcome {
  /** Issue codes in lower case, in the vendor's order. */
  readonly codes: readonly string[]
  /** True when an issue belongs to the *transient* family: the request failed, the job may live. */
  readonly transient: boolean
}

/**
 * Issue codes that say: try again, the job may be alive.
 *
 * @see Bulk Data Status Request, Error Status [ST-08]
 */
export const TRANSIENT_CODES: ReadonlySet<string> = new Set([
  'transient',
  'timeout',
  'throttled',
  'exception',
  'lock-error',
  'no-store',
  'incomplete',
])

/**
 * Builds the body of an answer, or one line of an `error` file.
 *
 * @param issues At least one by FHIR; for none the outcome says that there is nothing to report.
 * @see Bulk Data Kick-off, Error [KO-12]; Manifest, `error` [MF-14]
 */
export const operationOutcome = (issues: readonly Issue[]): OperationOutcome => ({
  resourceType: 'OperationOutcome',
  issue: (issues.length > 0 ? issues : [NOTHING_TO_REPORT]).map(({ severity, code, diagnostics, expression }) => ({
    severity,
    code,
    diagnostics,
    ...(expression === undefined ? {} : { expression: [expression] }),
  })),
})

const NOTHING_TO_REPORT: Issue = { severity: 'information', code: 'informational', diagnostics: 'Nothing to report.' }

/**
 * The issue that a client sees of an error of ours.
 *
 * @see Bulk Data Kick-off, Error [KO-12]
 */
export const issueOf = (error: ExportError): Issue => ({
  severity: 'error',
  code: wireOf(error.code).issue,
  diagnostics: error.diagnostics,
  ...(error.options.parameter === undefined ? {} : { expression: error.options.parameter }),
})

/**
 * Reads a vendor's OperationOutcome: odd case, numeric codes, one issue outside an array, no issue at all.
 *
 * @param body Parsed JSON, or anything else.
 * @returns `undefined` when it is not an OperationOutcome (text, HTML, JSON errors of a gateway).
 * @see Bulk Data Status Request, Error Status [ST-07, ST-08]
 */
export const parseOutcome = (body: unknown): VendorOutcome | undefined => {
  if (!isObject(body) || body['resourceType'] !== 'OperationOutcome') return undefined
  const { issue } = body
  const codes = (Array.isArray(issue) ? issue : [issue]).flatMap((entry: unknown) => {
    const code = isObject(entry) ? entry['code'] : undefined
    return typeof code === 'string' || typeof code === 'number' ? [String(code).trim().toLowerCase()] : []
  })
  return { codes, transient: codes.some((code) => TRANSIENT_CODES.has(code)) }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
