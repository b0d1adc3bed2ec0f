import { Config } from '../../src/config.ts'
import { ExportError } from '../../src/errors.ts'

export const SOURCE = {
  adapter: 'generic',
  fhirBase: 'https://fhir.example/r4/',
  credential: { kind: 'client-secret-basic', clientId: 'app', tokenUrl: 'https://auth.example/token', secret: 'ACME_SECRET' },
}

export const VARIABLES = {
  PUBLIC_BASE: 'https://bulkhead.example',
  ACME_SECRET: 's',
  TOKEN_SIGNING_KEYS: 'k',
  SOURCE_ACME: SOURCE,
}

/** A value that must never come back out. */
export const PRIVATE = 'hunter2'

export const configWith = (differences: Readonly<Record<string, unknown>> = {}): Config =>
  new Config({ ...VARIABLES, ...differences })
export const messageOf = async (work: () => Promise<unknown>): Promise<string> => {
  try {
    await work()
  } catch (error) {
    if (error instanceof ExportError && error.code === 'config_invalid') return error.diagnostics
    throw error
  }
  return ''
}
