import { defineAdapter } from '../src/vendor/adapter.ts'

/**
 * Any server that follows the specification, and, through tolerance alone, most that nearly do. What an undescribed vendor does
 * otherwise is set on its source: every `send`, `read`, `limits` and `trust` value may stand there.
 */
export default defineAdapter({
  id: 'generic',
  title: 'FHIR Bulk Data server',
  docs: ['https://hl7.org/fhir/uv/bulkdata/STU3/export.html'],
  supports: {
    levels: { system: 'GET', patient: 'GET', group: 'GET' },
    params: ['_since', '_until', '_type', '_elements', '_typeFilter', 'includeAssociatedData'],
    cancel: true,
    groups: 'search',
  },
  auth: { kinds: ['private-key-jwt', 'client-secret-basic', 'client-secret-post', 'bearer'] },
})
