import { operationOutcome, type Issue } from '../fhir/operation-outcome.ts'
import { valuesAt } from './compartment.ts'
import type { RowContext } from './row-program.ts'
import { isObject, parseJson } from './row.ts'
import type { Rewrite } from './single-rows.ts'

const SEVERITIES: readonly Issue['severity'][] = ['fatal', 'error', 'warning', 'information']

/** https://hl7.org/fhir/R4/valueset-issue-type.html */
const CODES = new Set(
  (
    'invalid structure required value invariant security login unknown expired forbidden suppressed processing not-supported duplicate ' +
    'multiple-matches not-found deleted too-long code-invalid extension too-costly business-rule conflict transient lock-error no-store ' +
    'exception timeout incomplete throttled informational'
  ).split(' '),
)

const MAX_CHARS = 1_000
const WITHOUT_TEXT = 'The source reports a problem with this export and does not say which.'
const UNREADABLE: Issue = {
  severity: 'warning',
  code: 'processing',
  diagnostics: 'The source reports a problem in a form that cannot be read.',
}

/**
 * What a vendor reports, in the form that the specification asks for: one OperationOutcome a row, in plain text, without addresses that
 * say what is upstream. A row that is something else becomes one that says so.
 *
 * @see Bulk Data Manifest, `error` [MF-14]
 */
export const rewriteOutcomes = ({ vendorBases }: RowContext): Rewrite => {
  const hosts = vendorBases.flatMap((base) => URL.parse(base)?.hostname ?? []).map((host) => host.replaceAll(/[.[\]]/g, '\\$&'))
  const addresses = new RegExp(
    [
      String.raw`[a-z][a-z0-9+.-]{0,15}:\/\/[^\s"'<>]*`,
      ...hosts.map((host) => String.raw`(?:[\w-]{1,63}\.){0,8}${host}(?::\d+)?(?:\/[^\s"'<>]*)?`),
    ].join('|'),
    'gi',
  )
  const plain = (text: unknown): string => {
    if (typeof text !== 'string') return ''
    const shown = text.slice(0, LONGEST_READ).toWellFormed().replaceAll(addresses, '(address)')
    return shown.replaceAll(CONTROL, ' ').trim().slice(0, MAX_CHARS).toWellFormed()
  }
  const issueOf = (issue: unknown): Issue => {
    const { severity, code, diagnostics, details } = isObject(issue) ? issue : {}
    const named = nameOf(code)
    const said = nameOf(severity)
    return {
      severity: SEVERITIES.find((known) => known === said) ?? 'warning',
      code: CODES.has(named) ? named : 'processing',
      diagnostics: plain(diagnostics) || plain(isObject(details) ? details['text'] : undefined) || WITHOUT_TEXT,
    }
  }
  return (bytes) => {
    const issues = bytes ? issuesOf(bytes) : []
    return JSON.stringify(operationOutcome(issues.length === 0 ? [UNREADABLE] : issues.map(issueOf)))
  }
}

const nameOf = (value: unknown): string => (typeof value === 'string' ? value.trim().toLowerCase() : '')

/** Text beyond is not looked at. */
const LONGEST_READ = 16 * MAX_CHARS

// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g

/** The issues of an OperationOutcome; none for anything else. */
const issuesOf = (bytes: Uint8Array): readonly unknown[] => {
  try {
    const outcome = parseJson(bytes)
    return isObject(outcome) && outcome['resourceType'] === 'OperationOutcome'
      ? valuesAt(outcome, ['issue']).filter(isObject)
      : []
  } catch {
    return []
  }
}
