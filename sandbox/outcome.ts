/** One issue of an OperationOutcome. */
export interface Issue {
  readonly code: string
  readonly text: string
  readonly severity?: 'information' | 'warning' | 'error'
}

export const FHIR_JSON = 'application/fhir+json'

export const operationOutcome = (...issues: readonly Issue[]) => ({
  resourceType: 'OperationOutcome',
  issue: issues.map(({ code, text, severity = 'error' }) => ({ severity, code, details: { text }, diagnostics: text })),
})

export const fhirResponse = (status: number, resource: unknown, headers: Readonly<Record<string, string>> = {}): Response =>
  new Response(JSON.stringify(resource), { status, headers: { 'Content-Type': FHIR_JSON, ...headers } })

export const outcomeResponse = (
  status: number,
  code: string,
  text: string,
  headers?: Readonly<Record<string, string>>,
): Response => fhirResponse(status, operationOutcome({ code, text }), headers)
