import { defineAdapter } from '../src/vendor/adapter.ts'

const DAY_SECONDS = 86_400

/**
 * Oracle Health: Millennium and the Health AI suite share this shape. Files answer 307 to a presigned store; one export in flight
 * per client and tenant. The AI suite does without `_typeFilter` and `includeAssociatedData`: set `supports.params` on its source.
 */
export default defineAdapter({
  id: 'oracle-health',
  title: 'Oracle Health',
  docs: [
    'https://docs.oracle.com/en/industries/health/millennium-platform-apis/mfbda/',
    'https://docs.oracle.com/en/industries/health/health-ai-application-suite/aibda/',
  ],
  supports: {
    // Patient export is a POST that needs a list of patients.
    levels: { group: 'GET', patient: 'POST' },
    params: ['_type', '_since', '_typeFilter', 'includeAssociatedData', 'patient'],
    cancel: true,
    groups: 'search',
    patientList: 'required',
    typeFilter: { perType: 1, needsType: true },
  },
  // Wildcards are refused.
  auth: { kinds: ['private-key-jwt', 'client-secret-basic'], scopes: ['system/{type}.read'] },
  send: {
    // Repeated `_type` is not accepted.
    join: 'comma',
    headers: { status: { Accept: 'application/fhir+json' } },
  },
  read: { trace: [{ header: 'opc-request-id' }, { header: 'x-request-id' }] },
  limits: {
    pollSeconds: 600,
    // Real servers have asked for five hours.
    maxPollSeconds: 6 * 3_600,
    deadlineSeconds: 7 * DAY_SECONDS,
    retentionSeconds: 30 * DAY_SECONDS,
    inFlight: 1,
  },
  // The presigned store is S3, of any region.
  trust: { fileOrigins: ['https://*.s3.amazonaws.com', 'https://*.s3.*.amazonaws.com'] },
})
