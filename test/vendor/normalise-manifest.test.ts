import { expect, it } from 'vitest'
import { normaliseStatus } from '../../src/vendor/normalise.ts'
import { answer, BASE, dialectWith, NOW_MS } from './support.ts'

const STATUS_URL = `${BASE}/jobs/42`
const MANIFEST = {
  transactionTime: '2026-11-21T10:00:00Z',
  request: `${BASE}/$export`,
  requiresAccessToken: true,
  output: [],
  error: [],
}

const status = (response: ReturnType<typeof answer>): ReturnType<typeof normaliseStatus> =>
  normaliseStatus(dialectWith(), response, STATUS_URL, NOW_MS)

it.each<[string, object, object]>([
  ['true as a string [N-19]', { requiresAccessToken: 'true' }, { requiresAccessToken: true }],
  ['False as a string [N-19]', { requiresAccessToken: 'False' }, { requiresAccessToken: false }],
  ['a slashed time [N-20]', { transactionTime: '2020/01/20 16:53:41.160 -0500' }, { transactionTimeMs: 1_579_557_221_160 }],
  [
    'a time of AWS [N-20]',
    { transactionTime: 'Apr 21, 2023 5:58:02 PM' },
    { transactionTimeMs: Date.UTC(2023, 3, 21, 17, 58, 2) },
  ],
  [
    'a time of PHP [N-20]',
    { transactionTime: { date: '2021-02-05 20:48:38.000000', timezone: 'UTC' } },
    { transactionTimeMs: Date.UTC(2021, 1, 5, 20, 48, 38) },
  ],
  ['a time without zone [N-20]', { transactionTime: '2026-11-21T10:00:00' }, { transactionTimeMs: Date.UTC(2026, 10, 21, 10) }],
  ['a link as an object [N-23]', { link: { relation: 'next', url: '?page=2' } }, { nextUrl: `${STATUS_URL}?page=2` }],
])('reads a manifest with %s', (_, differences, expected) => {
  expect(status(answer(200, {}, { ...MANIFEST, ...differences }))).toMatchObject({ kind: 'complete', manifest: expected })
})

it('rebuilds the manifest: known members only, lists always there [N-18, N-21]', () => {
  const body = {
    transactionTime: '2026-11-21T10:00:00Z',
    request: '/%24export',
    output: [],
    msg: 'x',
    JobID: 7,
    issues: [],
    status: 'completed',
  }
  expect(status(answer(200, {}, body))).toEqual({
    kind: 'complete',
    manifest: { transactionTimeMs: Date.UTC(2026, 10, 21, 10), output: [], deleted: [], error: [], rejected: 0 },
    trace: {},
  })
})

it.each<[string, object, object]>([
  [
    'a count as text [N-19]',
    { type: 'Patient', url: `${BASE}/a`, count: '12' },
    { output: [{ type: 'Patient', url: `${BASE}/a`, count: 12 }] },
  ],
  [
    'a negative count [N-19]',
    { type: 'Patient', url: `${BASE}/a`, count: -1 },
    { output: [{ type: 'Patient', url: `${BASE}/a` }] },
  ],
  [
    'no type, told by its name [N-22]',
    { url: `${BASE}/1_Patient.ndjson` },
    { output: [{ type: 'Patient', url: `${BASE}/1_Patient.ndjson` }] },
  ],
  ['no type at all [N-22]', { url: `${BASE}/a` }, { output: [{ url: `${BASE}/a` }] }],
  [
    'outcomes [N-22]',
    { type: 'OperationOutcome', url: `${BASE}/a` },
    { output: [], error: [{ type: 'OperationOutcome', url: `${BASE}/a` }] },
  ],
  [
    'a relative URL [N-22]',
    { type: 'Patient', url: 'a.ndjson' },
    { output: [{ type: 'Patient', url: `${BASE}/jobs/a.ndjson` }] },
  ],
  ['no URL [N-22]', { type: 'Patient' }, { output: [], rejected: 1 }],
])('reads an entry with %s', (_, entry, expected) => {
  const read = status(answer(200, {}, { ...MANIFEST, output: [entry] }))
  expect(read).toMatchObject({ kind: 'complete', manifest: expected })
  expect(read).toHaveProperty('manifest.output', 'output' in expected ? expected.output : undefined)
})

it.each([
  ['Sat, 22 Nov 2026 00:00:00 GMT', Date.UTC(2026, 10, 22)], // its weekday is wrong
  ['2026-11-22 10:00:00.1 +0000 UTC', Date.UTC(2026, 10, 22, 10, 0, 0, 100)],
  ['EXAMPLE_EXPIRATION_DATE', undefined],
])('Expires %j is read as %j [N-34]', (expires, expiresMs) => {
  const read = status(answer(200, { expires }, MANIFEST))
  expect(read.kind === 'complete' && read.expiresMs).toBe(expiresMs)
})
