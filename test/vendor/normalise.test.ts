import { expect, it } from 'vitest'
import type { Adapter, Read, VendorResponse } from '../../src/vendor/adapter.ts'
import { isCancelled, normaliseKickoff, normaliseStatus } from '../../src/vendor/normalise.ts'
import { answer, BASE, dialectWith, NOW_MS, outcome } from './support.ts'

const KICKOFF_URL = `${BASE}/Group/g1/$export`
const STATUS_URL = `${BASE}/jobs/42`
const MANIFEST = {
  transactionTime: '2026-11-21T10:00:00Z',
  request: KICKOFF_URL,
  requiresAccessToken: true,
  output: [],
  error: [],
}

const kickoff = (response: VendorResponse, read: Read = {}): ReturnType<typeof normaliseKickoff> =>
  normaliseKickoff(dialectWith({ read }), response, KICKOFF_URL, NOW_MS)
const status = (response: VendorResponse, differences: Partial<Adapter> = {}): ReturnType<typeof normaliseStatus> =>
  normaliseStatus(dialectWith(differences), response, STATUS_URL, NOW_MS)

it.each<[string, VendorResponse, string]>([
  ['absolute', answer(202, { 'content-location': STATUS_URL }), STATUS_URL],
  ['with 200', answer(200, { 'content-location': STATUS_URL }), STATUS_URL],
  ['with 201', answer(201, { 'content-location': STATUS_URL }), STATUS_URL],
  ['as Location', answer(202, { location: STATUS_URL }), STATUS_URL],
  ['as Location beside an empty header', answer(202, { 'content-location': '', location: STATUS_URL }), STATUS_URL],
  ['in both headers', answer(202, { 'content-location': STATUS_URL, location: `${BASE}/other` }), STATUS_URL],
  ['rooted', answer(202, { 'content-location': '/jobs/42' }), 'https://fhir.example/jobs/42'],
  ['relative to the request', answer(202, { 'content-location': '../../jobs/42' }), STATUS_URL],
  ['with an encrypted id', answer(202, { 'content-location': `${BASE}/s?job=a%2Fb%3D%3D` }), `${BASE}/s?job=a%2Fb%3D%3D`],
  ['that a parser would rewrite', answer(202, { 'content-location': `${BASE}/a/../s?job=a|b%7e` }), `${BASE}/a/../s?job=a|b%7e`],
  ['with a query that holds a comma', answer(202, { 'content-location': `${BASE}/s?a=1,2` }), `${BASE}/s?a=1,2`],
  ['on another origin', answer(202, { 'content-location': 'https://jobs.example/1' }), 'https://jobs.example/1'],
])('takes a status URL %s byte for byte [N-02, N-03]', (_, response, statusUrl) => {
  expect(kickoff(response)).toEqual({ kind: 'accepted', statusUrl, trace: {} })
})

it.each<[Read['statusUrl'], VendorResponse, string]>([
  [{ body: '/job/url' }, answer(200, { 'content-location': `${BASE}/wrong` }, { job: { url: STATUS_URL } }), STATUS_URL],
  [{ header: 'X-Job' }, answer(202, { 'x-job': '/jobs/42' }), 'https://fhir.example/jobs/42'],
  [{ body: '/job/url' }, answer(202, { 'content-location': STATUS_URL }), STATUS_URL],
])('takes a status URL from %j, else from the headers [N-02]', (statusUrl, response, expected) => {
  expect(kickoff(response, statusUrl ? { statusUrl } : {})).toMatchObject({ kind: 'accepted', statusUrl: expected })
})

it.each<[string, number, string | undefined]>([
  ['nothing', 202, undefined],
  ['no URL', 202, 'https://'],
  ['several', 202, `${BASE}/1, ${BASE}/2`],
  ['several without a blank', 202, `${BASE}/1,${BASE}/2`],
])('a job accepted with %s as its location is ambiguous, never asked again [N-02, N-05, N-06]', (_, code, location) => {
  expect(kickoff(answer(code, location === undefined ? {} : { 'content-location': location }))).toEqual({ kind: 'ambiguous' })
})

it.each<[string, VendorResponse, object]>([
  ['429', answer(429), { kind: 'busy', about: 'source' }],
  ['429 with a wait', answer(429, { 'retry-after': '60' }), { kind: 'busy', about: 'source', retryAfterMs: 60_000 }],
  ['503', answer(503, { 'retry-after': '1' }), { kind: 'busy', about: 'source', retryAfterMs: 1_000 }],
  ['409 duplicate', answer(409, {}, outcome('duplicate')), { kind: 'busy', about: 'target' }],
  ['409 Duplicate', answer(409, {}, outcome('Duplicate')), { kind: 'busy', about: 'target' }],
  ['409 otherwise', answer(409, {}, outcome('conflict')), { kind: 'rejected', status: 409, trace: {} }],
  [
    'too recently, in an outcome',
    answer(403, {}, { text: 'The Client requested this Group too recently' }),
    { kind: 'busy', about: 'target' },
  ],
  ['too recently, as text', answer(400, {}, 'Requested TOO RECENTLY'), { kind: 'busy', about: 'target' }],
  ['401', answer(401), { kind: 'unauthorized' }],
  ['400', answer(400, {}, outcome('invalid')), { kind: 'rejected', status: 400, trace: {} }],
  ['403', answer(403), { kind: 'rejected', status: 403, trace: {} }],
  ['404', answer(404), { kind: 'rejected', status: 404, trace: {} }],
  ['500', answer(500), { kind: 'rejected', status: 500, trace: {} }],
  ['408', answer(408), { kind: 'ambiguous' }],
  ['502', answer(502), { kind: 'ambiguous' }],
  ['504', answer(504), { kind: 'ambiguous' }],
  ['a redirect to nowhere', answer(302), { kind: 'ambiguous' }],
])('a kick-off answered %s becomes %j [N-05, N-06]', (_, response, expected) => {
  expect(kickoff(response)).toEqual(expected)
})

it('keeps the wait and the clock of an accepted kick-off [N-15, N-20]', () => {
  const headers = { 'content-location': STATUS_URL, 'retry-after': '120', date: 'Sat, 21 Nov 2026 10:09:30 GMT' }
  expect(kickoff(answer(202, headers))).toEqual({
    kind: 'accepted',
    statusUrl: STATUS_URL,
    retryAfterMs: 120_000,
    vendorClockMs: NOW_MS - 30_000,
    trace: {},
  })
})

it.each<[Record<string, string>, 's' | 'ms', number | undefined]>([
  [{ 'retry-after': '18000' }, 's', 18_000_000],
  [{ 'retry-after': '18000' }, 'ms', 18_000],
  [{ 'retry-after': '"120"' }, 's', 120_000],
  [{ 'retry-after': 'Sat, 21 Nov 2026 10:11:00 GMT' }, 'ms', 60_000],
  [{ 'retry-after': String(NOW_MS + 300_000) }, 's', 300_000],
  [{ 'retry-after': String(NOW_MS / 1000 + 300) }, 's', 300_000],
  [{ 'retry-after': '1', 'x-ms-retry-after-ms': '1500' }, 's', 1_500],
  [{ 'retry-after': '7', 'x-ms-retry-after-ms': 'soon' }, 's', 7_000],
  [{ 'retry-after': '0' }, 's', undefined],
  [{ 'retry-after': '-1' }, 's', undefined],
  [{ 'retry-after': 'soon' }, 's', undefined],
  [{}, 's', undefined],
])('waits after %j in %s for %j ms, whatever was asked [N-14, N-15]', (headers, retryAfter, waitMs) => {
  const wait = waitMs === undefined ? {} : { retryAfterMs: waitMs }
  const read = { retryAfter }
  expect(kickoff(answer(429, headers), read)).toEqual({ kind: 'busy', about: 'source', ...wait })
  expect(status(answer(202, headers), { read })).toEqual({ kind: 'running', ...wait, progress: {} })
  expect(status(answer(500, headers), { read })).toEqual({ kind: 'unclear', cause: 'unreadable', ...wait })
})

it.each<[string, VendorResponse, string]>([
  ['202', answer(202), 'running'],
  ['202 with an incomplete manifest', answer(202, {}, MANIFEST), 'running'],
  ['200 with a manifest', answer(200, {}, MANIFEST), 'complete'],
  ['200 with a manifest of no lists but output', answer(200, {}, { output: [] }), 'complete'],
  ['200 with an outcome', answer(200, {}, outcome('processing')), 'failed'],
  ['200 with a transient outcome', answer(200, {}, outcome('throttled')), 'unclear'],
  ['200 with a web page', answer(200, {}, '<!doctype html>'), 'unclear'],
  ['200 with a sentence', answer(200, {}, 'Export job has been canceled.'), 'unclear'],
  ['200 with nothing', answer(200), 'unclear'],
  ['200 with a list', answer(200, {}, []), 'unclear'],
  ['200 with a job state and no output', answer(200, {}, { jobStatus: 'IN_PROGRESS' }), 'unclear'],
  ['200 with output that is no list', answer(200, {}, { output: {} }), 'unclear'],
  ['200 with a resource that has an output', answer(200, {}, { resourceType: 'Task', output: [] }), 'unclear'],
  ['204', answer(204), 'unclear'],
  ['304', answer(304), 'unclear'],
  ['400', answer(400, {}, outcome('invalid')), 'failed'],
  ['400 with a transient outcome', answer(400, {}, outcome('transient')), 'unclear'],
  ['404 with a transient outcome', answer(404, {}, outcome('Timeout')), 'unclear'],
  ['401', answer(401, {}, outcome('login')), 'unauthorized'],
  ['403', answer(403), 'lost'],
  ['404', answer(404), 'lost'],
  ['410', answer(410), 'lost'],
  ['422', answer(422), 'failed'],
  ['501', answer(501), 'failed'],
  ...[408, 425, 429, 500, 502, 503, 504].map((code): [string, VendorResponse, string] => [`${code}`, answer(code), 'unclear']),
])('a status of %s is %s [N-08, N-09, N-11, N-33]', (_, response, kind) => {
  expect(status(response).kind).toBe(kind)
})

const STATE: Read = {
  state: {
    from: { body: '/job/state' },
    map: { RUN: 'in-progress', DONE: 'complete', BAD: 'failed', '202': 'in-progress', true: 'complete' },
  },
}

it.each<[string, VendorResponse, string]>([
  ['200 that says RUN', answer(200, {}, { job: { state: 'RUN' }, output: [] }), 'running'],
  ['202 that says DONE', answer(202, {}, { job: { state: 'DONE' }, ...MANIFEST }), 'complete'],
  ['200 that says BAD', answer(200, {}, { job: { state: 'BAD' }, output: [] }), 'failed'],
  ['200 that says DONE without a manifest', answer(200, {}, { job: { state: 'DONE' } }), 'unclear'],
  ['200 that says the number 202', answer(200, {}, { job: { state: 202 }, output: [] }), 'running'],
  ['200 that says true', answer(200, {}, { job: { state: true }, output: [] }), 'complete'],
  ['200 that says nothing', answer(200, {}, MANIFEST), 'complete'],
  ['202 that says nothing', answer(202), 'running'],
  ['500 that says DONE', answer(500, {}, { job: { state: 'DONE' }, output: [] }), 'unclear'],
  ['404 that says RUN', answer(404, {}, { job: { state: 'RUN' } }), 'lost'],
])('where the dialect declares a state, a %s is %s [N-08, N-19]', (_, response, kind) => {
  expect(status(response, { read: STATE }).kind).toBe(kind)
})

it.each<[Read['progress'], VendorResponse, object]>([
  [undefined, answer(202, { 'x-progress': '42% complete, going on' }), { percent: 42, phase: 'running' }],
  [undefined, answer(202, { 'x-progress': 'Searched 0 of 0 patients' }), { phase: 'running' }],
  [undefined, answer(202, { 'x-progress': 'QUEUED: 0.00%' }), { percent: 0, phase: 'running' }],
  [undefined, answer(202, { 'x-progress': 'Exporting John Doe' }), {}],
  [undefined, answer(202, {}, { progress: '50%' }), {}],
  [{ body: '/progress' }, answer(202, { 'x-progress': '10%' }, { progress: '50%' }), { percent: 50, phase: 'running' }],
  [{ body: '/progress' }, answer(202, {}, { progress: null }), {}],
  [{ body: '/progress' }, answer(202, {}, { progress: 100 }), { percent: 99, phase: 'finishing' }],
])('reads progress from %j, and a text of the vendor never passes [N-17]', (progress, response, expected) => {
  expect(status(response, { read: progress ? { progress } : {} })).toEqual({ kind: 'running', progress: expected })
})

it('reads the manifest out of its envelope, after the envelope was checked [N-24]', () => {
  const read: Read = {
    expect: { status: { body: '/Meta/EventType', equals: 'status' } },
    unwrap: { status: '/data/manifest' },
  }
  const envelope = (event?: string): VendorResponse =>
    answer(200, {}, { Meta: { EventType: event }, data: { manifest: MANIFEST } })
  expect(status(envelope('status'), { read }).kind).toBe('complete')
  expect(status(envelope(), { read }).kind).toBe('complete')
  expect(status(envelope('another'), { read })).toEqual({ kind: 'unclear', cause: 'unreadable' })
  // What is not in the envelope is read as it is: an error may come bare.
  expect(status(answer(200, {}, MANIFEST), { read }).kind).toBe('complete')
  const kickoffRead: Read = { expect: { kickoff: { body: '/kind', equals: 'export' } } }
  expect(kickoff(answer(202, { 'content-location': STATUS_URL }, { kind: 'other' }), kickoffRead)).toEqual({ kind: 'ambiguous' })
})

it('lets the adapter conform what is left after unwrapping, and reads that [N-24]', () => {
  const seen: unknown[] = []
  const conform: Adapter['conform'] = {
    status: (response) => {
      seen.push(response.body)
      return { ...response, status: 200, body: MANIFEST }
    },
  }
  expect(status(answer(202, {}, { inner: 1 }), { read: { unwrap: { status: '/inner' } }, conform }).kind).toBe('complete')
  expect(seen).toEqual([1])
})

it('keeps identifiers for the support of the vendor, and nothing that could be more [N-35]', () => {
  const read: Read = {
    trace: [{ header: 'opc-request-id' }, { body: '/id' }, { body: '/patient' }, { body: '/long' }, { body: '/n' }],
  }
  const body = { ...MANIFEST, id: 'a-1', patient: 'John Doe', long: 'x'.repeat(129), n: 5 }
  const trace = { 'opc-request-id': '/A/B', '/id': 'a-1' }
  expect(status(answer(200, { 'opc-request-id': '/A/B' }, body), { read })).toHaveProperty('trace', trace)
  expect(kickoff(answer(400, { 'opc-request-id': '/A/B' }), read)).toEqual({
    kind: 'rejected',
    status: 400,
    trace: { 'opc-request-id': '/A/B' },
  })
})

it.each([
  [200, true],
  [202, true],
  [204, true],
  [404, true],
  [409, true],
  [410, true],
  [400, false],
  [401, false],
  [403, false],
  [429, false],
  [500, false],
  [503, false],
])('a DELETE answered %i means gone: %j [N-31]', (code, gone) => {
  expect(isCancelled(code)).toBe(gone)
})

const ENVELOPED: Partial<Adapter> = {
  read: {
    expect: { status: { body: '/event', equals: 'status' } },
    state: { from: { body: '/status' }, map: { '200': 'complete', '202': 'in-progress' } },
  },
}

it.each(['503', '500', '429', '', 'new words'])(
  'a state of %j that the dialect does not know is asked again, with or without files [N-08]',
  (state) => {
    expect(status(answer(200, {}, { event: 'status', status: state, ...MANIFEST }), ENVELOPED)).toEqual({
      kind: 'unclear',
      cause: 'unreadable',
    })
  },
)

it.each([
  [401, 'unauthorized'],
  [404, 'lost'],
  [200, 'unclear'],
])('an answer %i of another event is %s: an error need not come in the envelope [N-24]', (code, kind) => {
  expect(status(answer(code, {}, { event: 'other', status: '202' }), ENVELOPED).kind).toBe(kind)
})
