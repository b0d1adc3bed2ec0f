import { defineAdapter } from '../src/vendor/adapter.ts'

/** A vendor that is known by its help page alone: group exports only, `Retry-After` in milliseconds, finish-time manifests. */
export default defineAdapter({
  id: 'vendor-x',
  title: 'Vendor X',
  // A page of a help manual, "Bulk Data", whose publisher is not named.
  docs: [],
  supports: {
    levels: { group: 'GET' },
    params: ['_type'],
    cancel: true,
    // Groups are kept outside its FHIR server.
    groups: 'none',
  },
  // An OAuth 2 token is needed; how it is had is not said. A job is bound to the token's subject.
  auth: { kinds: ['client-secret-post', 'client-secret-basic', 'private-key-jwt', 'bearer'] },
  read: { retryAfter: 'ms', transactionTime: 'finish' },
  limits: { retentionSeconds: 7 * 86_400 },
})
