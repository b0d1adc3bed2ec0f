import { defineAdapter } from '../src/vendor/adapter.ts'

/**
 * Redox: answers come in an envelope whose `status` is an HTTP status as a string. Undocumented, and read as `adapters/README.md`
 * lists: how a status is asked for, how a job is cancelled, how files are had.
 */
export default defineAdapter({
  id: 'redox',
  title: 'Redox',
  docs: ['https://docs.redoxengine.com/api-reference/redox-data-model-api/datamodels/fhir-bulk-data-access/'],
  supports: {
    levels: { group: 'GET' },
    params: ['_since', '_until', '_type', '_elements', '_typeFilter', 'includeAssociatedData'],
    cancel: true,
    groups: 'search',
  },
  auth: {
    kinds: ['private-key-jwt', 'key-exchange'],
    scopes: [],
    exchange: { key: 'apiKey', secret: 'secret', token: '/accessToken', expires: '/expires' },
  },
  send: {
    base: '{fhirBase}/{destinationSlug}/{environmentFlag}',
    // Needed when several keys exist in one environment.
    headers: {
      kickoff: { 'redox-source-id': '{sourceId}' },
      status: { 'redox-source-id': '{sourceId}' },
      cancel: { 'redox-source-id': '{sourceId}' },
      file: { 'redox-source-id': '{sourceId}' },
      group: { 'redox-source-id': '{sourceId}' },
    },
    join: 'comma',
  },
  read: {
    expect: { status: { body: '/Meta/EventType', equals: 'status-check-response' } },
    state: { from: { body: '/status' }, map: { '202': 'in-progress', '200': 'complete', '404': 'failed', '410': 'failed' } },
    progress: { body: '/progress' },
    trace: [
      { body: '/Meta/Source/ID' },
      { body: '/Meta/Destinations/0/ID' },
      { body: '/Meta/Logs/0/ID' },
      { body: '/Meta/Logs/0/AttemptID' },
    ],
  },
})
