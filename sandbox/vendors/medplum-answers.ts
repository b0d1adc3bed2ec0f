import { randomUUID } from 'node:crypto'
import type { Vendor, VendorContext } from '../vendor-server.ts'

// Bodies and headers as `recorded/medplum.txt` has them.
const FHIR = { 'Content-Type': 'application/fhir+json; charset=utf-8', Vary: 'Accept-Encoding' }
const JSON_TYPE = { 'Content-Type': 'application/json; charset=utf-8', Vary: 'Accept-Encoding' }
const WINDOW_SECONDS = 60

const tracing = () => [
  {
    url: 'https://medplum.com/fhir/StructureDefinition/tracing',
    extension: [
      { url: 'requestId', valueId: randomUUID() },
      { url: 'traceId', valueId: randomUUID() },
    ],
  },
]

const outcome = (id: string, severity: string, code: string, text: string, diagnostics?: string) => ({
  resourceType: 'OperationOutcome',
  id,
  issue: [{ severity, code, details: { text }, ...(diagnostics === undefined ? {} : { diagnostics }) }],
})

const traced = (status: number, body: object, headers: Readonly<Record<string, string>> = {}): Response =>
  new Response(JSON.stringify({ ...body, extension: tracing() }), { status, headers: { ...FHIR, ...headers } })

export const accepted = (statusUrl: string): Response =>
  traced(202, outcome('accepted', 'information', 'informational', 'Accepted', statusUrl), { 'Content-Location': statusUrl })

/** Without `WWW-Authenticate` (`docs/vendors.md`, Medplum 13). */
export const unauthorized = (): Response => traced(401, outcome('unauthorized', 'error', 'login', 'Unauthorized'))

export const forbidden = (): Response => traced(403, outcome('forbidden', 'error', 'forbidden', 'Forbidden'))

export const notFound = (): Response => traced(404, outcome('not-found', 'error', 'not-found', 'Not found'))

/** The status of a cancelled job: another content type, and no tracing (recorded, "status after DELETE"). */
export const jsonNotFound = (): Response =>
  new Response(JSON.stringify(outcome('not-found', 'error', 'not-found', 'Not found')), { status: 404, headers: JSON_TYPE })

/** Refuses what comes beyond `requestsPerMinute`. Source: `docs/vendors.md`, Medplum 12; the policy's name is assumed. */
export const rateLimit = (vendor: Vendor) => {
  let windowEndsAtMs = 0
  let left = Infinity
  return async (_c: VendorContext, next: () => Promise<void>): Promise<Response | undefined> => {
    if (vendor.elapsed() >= windowEndsAtMs) {
      windowEndsAtMs = vendor.elapsed() + WINDOW_SECONDS * 1000
      left = vendor.settings.requestsPerMinute ?? Infinity
    }
    left -= 1
    if (left >= 0) {
      await next()
      return undefined
    }
    const waitMs = windowEndsAtMs - vendor.elapsed()
    const diagnostics = JSON.stringify({ _remainingPoints: 0, _msBeforeNext: waitMs })
    return traced(429, outcome('too-many-requests', 'error', 'throttled', 'Too Many Requests', diagnostics), {
      RateLimit: `"fhirInteractions";r=0;t=${Math.ceil(waitMs / 1000)}`,
    })
  }
}

export const medplumSmartConfiguration = (origin: string): Response =>
  new Response(
    JSON.stringify({
      issuer: `${origin}/`,
      jwks_uri: `${origin}/.well-known/jwks.json`,
      authorization_endpoint: `${origin}/oauth2/authorize`,
      grant_types_supported: [
        'client_credentials',
        'authorization_code',
        'refresh_token',
        'urn:ietf:params:oauth:grant-type:token-exchange',
      ],
      token_endpoint: `${origin}/oauth2/token`,
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
      token_endpoint_auth_signing_alg_values_supported: ['RS256', 'RS384', 'ES384'],
      scopes_supported: [
        'patient/*.rs',
        'user/*.cruds',
        'openid',
        'fhirUser',
        'launch',
        'launch/patient',
        'offline_access',
        'online_access',
      ],
      response_types_supported: ['code'],
      introspection_endpoint: `${origin}/oauth2/introspect`,
      capabilities: [
        'permission-v1',
        'permission-v2',
        'client-confidential-asymmetric',
        'client-confidential-symmetric',
        'permission-offline',
      ],
      code_challenge_methods_supported: ['S256'],
    }),
    { headers: JSON_TYPE },
  )
