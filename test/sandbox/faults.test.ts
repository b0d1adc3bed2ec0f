import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Fault, Phase } from '../../sandbox/faults.ts'
import { startSandbox, type Sandbox, type SandboxVendor } from '../../sandbox/sandbox.ts'
import { assertionForm, bearer, clientOf, outputOf, vendorOf } from './client.ts'
import { rawRequest, type RawAnswer } from './raw-request.ts'

const PHASES: readonly Phase[] = ['token', 'kickoff', 'status', 'file', 'cancel']
const WITH_BODY: readonly Phase[] = ['token', 'status', 'file']
/** For what never goes on: nothing else can be seen than that nothing comes. */
const QUIET_MS = 40
const CUT_BYTES = 10

type Kind = Fault extends infer F ? (F extends unknown ? Omit<F, 'on' | 'times' | 'after'> : never) : never

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 6, jobSeconds: 0.001 })
})
afterAll(() => sandbox.close())

/** A request of each phase that succeeds where nothing is wrong. */
const requestsTo = (vendor: SandboxVendor) => {
  const client = async () => clientOf(vendor, await bearer(vendor))
  const request = async (url: string, init: RequestInit = {}): Promise<Request> => {
    const headers = { Accept: 'application/fhir+json', Prefer: 'respond-async', Authorization: `Bearer ${await bearer(vendor)}` }
    return new Request(url, { ...init, headers })
  }
  const base = vendor.id === 'redox' ? `${vendor.fhirBase}/sandbox-hospital/Development` : vendor.fhirBase
  const kickoffUrl = `${base}/Group/${vendor.groupId}/$export`
  const finished = async () => {
    const own = await client()
    const statusUrl = await own.kickoff()
    return { own, statusUrl, manifest: await own.finish(statusUrl) }
  }
  const make: Record<Phase, () => Promise<Request>> = {
    token: async () => {
      const { clientId, secret } = vendor.clients.primary
      const proof = vendor.id === 'vendor-x' ? { client_id: clientId, client_secret: secret } : await assertionForm(vendor)
      const scope = 'system/Patient.read'
      const body = new URLSearchParams({ grant_type: 'client_credentials', scope, ...proof })
      return new Request(vendor.tokenUrl, { method: 'POST', body })
    },
    kickoff: () => request(kickoffUrl),
    status: async () => request((await finished()).statusUrl),
    cancel: async () => request((await finished()).statusUrl, { method: 'DELETE' }),
    file: async () => {
      const { own, manifest } = await finished()
      const url = outputOf(manifest).find(({ type }) => type === 'Patient')?.url ?? ''
      if (vendor.id === 'medplum') return new Request(url)
      const location = vendor.id === 'oracle-health' ? (await own.request(url)).headers.get('Location') : null
      return location === null ? request(url) : new Request(location)
    },
  }
  return make
}

const requestCount = (vendor: SandboxVendor, phase: Phase): number => {
  const { paths, storeRequests } = vendor.traffic()
  if (phase === 'file' && vendor.id === 'oracle-health') return storeRequests
  return Object.values(paths).reduce((sum, count) => sum + count, 0)
}

type Check = (answer: RawAnswer, vendor: SandboxVendor, phase: Phase) => void

const isReset: Check = ({ ended }) => expect(ended).toBe('reset')
const hasHeader: Check = ({ status }) => expect(status).toBeGreaterThanOrEqual(200)
const notComplete: Check = ({ isComplete }) => expect(isComplete).toBe(false)
const all =
  (...checks: readonly Check[]): Check =>
  (...seen) => {
    for (const check of checks) check(...seen)
  }
const isCut: Check = ({ body }) => expect(body).toHaveLength(CUT_BYTES)
const opened: Check = ({ body, status, headers }, _vendor, phase) => {
  expect([status, headers.get('Content-Encoding')]).toEqual([200, 'gzip'])
  const content = gunzipSync(body).toString()
  expect(content).toMatch(phase === 'file' ? /^\{"resourceType":"Patient".*\}\n$/s : /^\{.*\}$/s)
}

const CASES: readonly [name: string, kind: Kind, phases: readonly Phase[], check: Check][] = [
  [
    'an error and its wait',
    { kind: 'answer', status: 503, retryAfter: { form: 'delta', seconds: 2 } },
    PHASES,
    ({ status, headers, body }, vendor) => {
      expect([status, headers.get('Retry-After')]).toEqual([503, vendor.id === 'vendor-x' ? '2000' : '2'])
      expect(body.length).toBeGreaterThan(4)
    },
  ],
  ['a reset without a byte', { kind: 'reset', at: 'before-header' }, PHASES, all(isReset, ({ text }) => expect(text).toBe(''))],
  [
    'a reset within the header',
    { kind: 'reset', at: 'mid-header' },
    PHASES,
    all(isReset, ({ text }) => expect(text).toMatch(/^HTTP\/1\.1 2\d\d \w+\r\nContent-Ty$/)),
  ],
  [
    'a reset within the body',
    { kind: 'reset', at: 'mid-body', bytes: CUT_BYTES },
    PHASES,
    all(isReset, hasHeader, notComplete, ({ body }, _vendor, phase) => {
      if (WITH_BODY.includes(phase)) expect(body).toHaveLength(CUT_BYTES)
    }),
  ],
  ['silence', { kind: 'stall', at: 'before-header' }, PHASES, ({ ended, text }) => expect([ended, text]).toEqual(['open', ''])],
  [
    'silence within the body',
    { kind: 'stall', at: 'mid-body', bytes: CUT_BYTES },
    PHASES,
    all(hasHeader, notComplete, ({ ended, body }, _vendor, phase) => {
      expect(ended).toBe('open')
      if (WITH_BODY.includes(phase)) expect(body).toHaveLength(CUT_BYTES)
    }),
  ],
  [
    'a web page to log in',
    { kind: 'login-page' },
    PHASES,
    ({ status, headers, body }) => {
      expect([status, headers.get('Content-Type')]).toEqual([200, 'text/html; charset=utf-8'])
      expect(body.toString()).toMatch(/^<!DOCTYPE html>/)
    },
  ],
  [
    'nothing with 200',
    { kind: 'empty' },
    PHASES,
    ({ status, body, isComplete }) => expect([status, body.length, isComplete]).toEqual([200, 0, true]),
  ],
  [
    'less than was announced',
    { kind: 'truncate', bytes: CUT_BYTES, announce: 'length' },
    WITH_BODY,
    all(isCut, notComplete, ({ ended, headers }) => {
      expect(ended).toBe('end')
      expect(Number(headers.get('Content-Length'))).toBeGreaterThan(CUT_BYTES)
    }),
  ],
  [
    'the end of the chunks too early',
    { kind: 'truncate', bytes: CUT_BYTES, announce: 'chunked' },
    WITH_BODY,
    all(isCut, ({ headers, isComplete }) => expect([headers.get('Transfer-Encoding'), isComplete]).toEqual(['chunked', true])),
  ],
  [
    'a part as if it were all',
    { kind: 'truncate', bytes: CUT_BYTES, announce: 'short' },
    WITH_BODY,
    all(isCut, ({ headers, isComplete }) =>
      expect([headers.get('Content-Length'), isComplete]).toEqual([String(CUT_BYTES), true]),
    ),
  ],
  ['sound gzip', { kind: 'gzip', damage: 'none' }, WITH_BODY, opened],
  [
    'gzip that nothing announces',
    { kind: 'gzip', damage: 'unlabelled' },
    WITH_BODY,
    ({ headers, body }) => {
      expect(headers.get('Content-Encoding')).toBeNull()
      expect(gunzipSync(body).toString()).toMatch(/^\{/)
    },
  ],
  [
    'gzip without its end',
    { kind: 'gzip', damage: 'truncated' },
    WITH_BODY,
    ({ headers, body, isComplete }) => {
      expect([headers.get('Content-Encoding'), isComplete]).toEqual(['gzip', true])
      expect(() => gunzipSync(body)).toThrow('unexpected end of file')
    },
  ],
  [
    'broken gzip',
    { kind: 'gzip', damage: 'corrupt' },
    WITH_BODY,
    ({ headers, body, isComplete }) => {
      expect([headers.get('Content-Encoding'), isComplete]).toEqual(['gzip', true])
      expect(() => gunzipSync(body)).toThrow(/invalid|incorrect/)
    },
  ],
  [
    'another resource type',
    { kind: 'wrong-type' },
    ['file'],
    ({ status, headers, body, isComplete }) => {
      expect([status, isComplete, headers.get('Content-Encoding')]).toEqual([200, true, null])
      expect(body.toString()).toMatch(/^(\{"resourceType":"Schedule",.*\}\n)+$/)
    },
  ],
  ['a token that dies', { kind: 'token-dies', bytes: CUT_BYTES }, ['file'], all(isReset, notComplete, isCut)],
]

const TABLE = CASES.flatMap(([name, kind, phases, check]) => phases.map((phase) => [name, phase, kind, check] as const))

describe.each(['generic', 'oracle-health', 'redox', 'medplum', 'vendor-x'])('%s can be told to answer with', (id) => {
  it.each(TABLE)('%s on %s', async (_name, phase, kind, check) => {
    const vendor = vendorOf(sandbox, id)
    const request = await requestsTo(vendor)[phase]()
    const again = request.clone()
    const fault: Fault = { ...kind, on: phase, times: 1 }
    const before = requestCount(vendor, phase)
    vendor.faults.set([fault])
    check(await rawRequest(request, kind.kind === 'stall' ? QUIET_MS : undefined), vendor, phase)
    expect(vendor.faults.hits()).toEqual([{ fault, hits: 1 }])
    expect(requestCount(vendor, phase)).toBe(before + 1)
    // Only once, as it was told.
    const next = await rawRequest(again)
    expect([next.ended, next.isComplete]).toEqual(['end', true])
    expect(vendor.faults.hits()).toEqual([{ fault, hits: 1 }])
    vendor.faults.clear()
  })
})
