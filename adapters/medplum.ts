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
    params: ['_type', '_since'],
    cancel: true,
    groups: 'search',
  },
  // An export and its files are created as the caller, so read-only scopes are refused with 403.
  auth: { kinds: ['client-secret-basic', 'client-secret-post', 'private-key-jwt'], scopes: ['system/*.*'] },
  send: { join: 'comma' },
  read: { transactionTime: 'finish' },
  limits: { pollSeconds: 15, deadlineSeconds: 24 * 3_600, retentionSeconds: 24 * 3_600 },
  trust: { fileOrigins: ['https://storage.medplum.com', 'https://*.cloudfront.net', 'https://*.s3.amazonaws.com'] },
})
