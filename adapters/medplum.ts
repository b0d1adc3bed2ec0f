import { defineAdapter } from '../src/vendor/adapter.ts'

/**
 * Medplum: names no wait and no progress; presigned URLs of an hour that each status request signs anew; a failed job stays 202, so
 * the deadline ends it. Recorded from 5.0.10: `test/fixtures/medplum/`.
 */
export default defineAdapter({
  id: 'medplum',
  title: 'Medplum',
  docs: ['https://www.medplum.com/docs/api/fhir/operations/bulk-fhir'],
  supports: {
    // A POST at the group level is 404, and POST parameters are never read.
    levels: { system: 'GET', patient: 'GET', group: 'GET' },
    // All others are accepted and ignored.
    params: ['_type', '_since'],
    cancel: true,
    groups: 'search',
    prefers: 'patient',
    notes: [
      'A Group export may hold no more than 1000 resources per patient and type, and does not say so. A Patient export holds all.',
    ],
  },
  // An export and its files are created as the caller, so read-only scopes are refused with 403.
  auth: { kinds: ['client-secret-basic', 'client-secret-post', 'private-key-jwt'], scopes: ['system/*.*'] },
  send: { join: 'comma' },
  read: { transactionTime: 'finish' },
  limits: { pollSeconds: 15 },
  // Hosted files are presigned by CloudFront or S3; a server of one's own serves them itself.
  trust: { fileOrigins: ['https://*.cloudfront.net', 'https://*.s3.amazonaws.com', 'https://*.s3.*.amazonaws.com'] },
})
