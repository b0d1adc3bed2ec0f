import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Fault } from '../../sandbox/faults.ts'
import { startSandbox, type Sandbox, type SandboxVendor } from '../../sandbox/sandbox.ts'
import { bearer, clientOf, json, vendorOf } from './client.ts'

const IDS = ['generic', 'oracle-health', 'redox', 'medplum', 'vendor-x']
/** 2026-11-21T09:00:00.250Z */
const NOW_MS = Date.UTC(2026, 10, 21, 9, 0, 0, 250)

let sandbox: Sandbox
let nowMs: number | undefined
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 2, jobSeconds: 0.001, now: () => nowMs ?? Date.now() })
})
afterAll(() => sandbox.close())

const post = (vendor: SandboxVendor, body: unknown): Promise<Response> =>
  fetch(`${vendor.origin}/_faults`, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) })
const told = async (vendor: SandboxVendor): Promise<unknown> => (await fetch(`${vendor.origin}/_faults`)).json()

describe('by hand', () => {
  it.each(IDS)('%s takes faults over HTTP, tells how often each was met, and is cleared', async (id) => {
    const vendor = vendorOf(sandbox, id)
    const fault = { on: 'token', kind: 'answer', status: 503, times: 2 }
    const other = { on: 'file', kind: 'empty' }
    const set = await post(vendor, [fault, other])
    const fresh = [
      { fault, hits: 0 },
      { fault: other, hits: 0 },
    ]
    expect([set.status, await set.json()]).toEqual([200, fresh])
    expect((await fetch(vendor.tokenUrl, { method: 'POST' })).status).toBe(503)
    expect(await told(vendor)).toEqual([{ fault, hits: 1 }, fresh[1]])
    expect(vendor.faults.hits()).toEqual([{ fault, hits: 1 }, fresh[1]])
    // One alone replaces them all.
    expect(await (await post(vendor, other)).json()).toEqual([fresh[1]])
    const cleared = await fetch(`${vendor.origin}/_faults`, { method: 'DELETE' })
    expect([cleared.status, await cleared.json(), await told(vendor)]).toEqual([200, [], []])
    expect(Object.keys(vendor.traffic().paths).filter((path) => path.includes('_faults'))).toEqual([])
  })

  const answer = { on: 'token', kind: 'answer', status: 503 }
  it.each([
    ['no JSON', '{', /JSON/],
    ['no fault', 7, /^fault 0: /],
    ['an unknown kind', { on: 'token', kind: 'tantrum' }, /^fault 0, kind: /],
    ['an unknown phase', { ...answer, on: 'nowhere' }, /^fault 0, on: /],
    ['no phase', { kind: 'empty' }, /^fault 0, on: /],
    ['an unknown field', { ...answer, retryafter: 5 }, /^fault 0, retryafter: /],
    ['a status that is no error', { ...answer, status: 200 }, /^fault 0, status: /],
    ['an unknown form', { ...answer, retryAfter: { form: 'soon', seconds: 1 } }, /^fault 0, retryAfter\.form: /],
    ['half a request', { ...answer, times: 0.5 }, /^fault 0, times: /],
    ['less than nothing', { ...answer, after: -1 }, /^fault 0, after: /],
    ['the second of two', [answer, { on: 'file', kind: 'truncate', bytes: 5 }], /^fault 1, announce: /],
    ['bytes without a body', { on: 'file', kind: 'reset', at: 'mid-header', bytes: 5 }, /^fault 0, bytes: /],
    ['bytes without a body', { on: 'file', kind: 'stall', at: 'before-header', bytes: 5 }, /^fault 0, bytes: /],
    ['a manifest elsewhere', { on: 'file', kind: 'duplicates' }, /^fault 0, on: applies to status/],
    ['a file elsewhere', { on: 'status', kind: 'wrong-type' }, /^fault 0, on: applies to file/],
    ['a clock for some requests', { on: 'status', kind: 'clock-skew', hours: 1, times: 2 }, /^fault 0, times: /],
    ['a lifetime for later', { on: 'file', kind: 'url-lifetime', seconds: 1, after: 2 }, /^fault 0, after: /],
  ])('refuses %s with 400 and the name of the field, and changes nothing', async (_what, body, message) => {
    const vendor = vendorOf(sandbox, 'medplum')
    vendor.faults.set([{ on: 'cancel', kind: 'empty' }])
    const response = await post(vendor, body)
    expect([response.status, (await json(response))['error']]).toEqual([400, expect.stringMatching(message)])
    expect(await told(vendor)).toEqual([{ fault: { on: 'cancel', kind: 'empty' }, hits: 0 }])
    vendor.faults.clear()
  })

  it.each([
    ['generic', 400],
    ['oracle-health', 200],
    ['redox', 400],
    ['medplum', 200],
    ['vendor-x', 400],
  ])('%s answers %i to a lifetime of presigned URLs', async (id, status) => {
    const vendor = vendorOf(sandbox, id)
    const fault: Fault = { on: 'file', kind: 'url-lifetime', seconds: 2 }
    expect((await post(vendor, fault)).status).toBe(status)
    vendor.faults.clear()
    if (status === 400)
      expect(() => vendor.faults.set([fault])).toThrow(new TypeError('fault 0, kind: this vendor has no URLs that expire'))
  })
})

/** What so many requests to the token endpoint are answered; 400 where nothing is wrong. */
const statuses = async (vendor: SandboxVendor, count: number): Promise<number[]> => {
  const seen: number[] = []
  for (let request = 0; request < count; request += 1) seen.push((await fetch(vendor.tokenUrl, { method: 'POST' })).status)
  return seen
}
const answer = (status: number, more: { times?: number; after?: number } = {}): Fault => ({
  on: 'token',
  kind: 'answer',
  status,
  ...more,
})

describe('in turn', () => {
  it.each([
    [[answer(503, { times: 2 })], [503, 503, 400]],
    [[answer(503, { after: 2 })], [400, 400, 503]],
    [[answer(503, { after: 1, times: 1 })], [400, 503, 400]],
    [
      [answer(503, { times: 1 }), answer(429, { times: 1 }), answer(404)],
      [503, 429, 404],
    ],
    [
      [answer(503, { times: 1 }), answer(429, { after: 1 })],
      [503, 400, 429],
    ],
    [[{ ...answer(503), on: 'kickoff' }] as readonly Fault[], [400, 400, 400]],
    [[answer(503, { times: 0 })], [400, 400, 400]],
  ])('%j gives %j', async (faults, expected) => {
    const vendor = vendorOf(sandbox, 'generic')
    vendor.faults.set(faults)
    expect(await statuses(vendor, 3)).toEqual(expected)
    vendor.faults.clear()
  })

  it('lets a fault wait for a request that it fits, and others go first', async () => {
    const vendor = vendorOf(sandbox, 'generic')
    const client = clientOf(vendor, await bearer(vendor))
    const statusUrl = await client.kickoff()
    await client.finish(statusUrl)
    vendor.faults.set([
      { on: 'status', kind: 'truncate', bytes: 3, announce: 'short', times: 1 },
      { on: 'status', kind: 'duplicates', times: 1 },
      { on: 'status', kind: 'answer', status: 502, times: 1 },
    ])
    expect((await client.request(statusUrl)).status).toBe(502)
    expect(vendor.faults.hits().map(({ hits }) => hits)).toEqual([0, 0, 1])
    // What is in the manifest and how it is sent are two matters.
    expect(await (await client.request(statusUrl)).text()).toHaveLength(3)
    expect(vendor.faults.hits().map(({ hits }) => hits)).toEqual([1, 1, 1])
    vendor.faults.clear()
  })
})

it('is met at every place where a vendor gives tokens', async () => {
  const vendor = vendorOf(sandbox, 'redox')
  vendor.faults.set([{ on: 'token', kind: 'answer', status: 503 }])
  const { tokenRequests } = vendor.traffic()
  expect((await fetch(`${vendor.origin}/auth/authenticate`, { method: 'POST', body: '{}' })).status).toBe(503)
  expect(vendor.traffic().tokenRequests).toBe(tokenRequests + 1)
  vendor.faults.clear()
})

describe('Retry-After', () => {
  it.each([
    ['generic', 'delta', '90'],
    ['oracle-health', 'delta', '90'],
    ['redox', 'delta', '90'],
    ['medplum', 'delta', '90'],
    ['vendor-x', 'delta', '90000'],
    ['generic', 'date', 'Sat, 21 Nov 2026 09:01:31 GMT'],
    ['generic', 'epoch-seconds', String((NOW_MS + 90_750) / 1000)],
    ['generic', 'epoch-milliseconds', String(NOW_MS + 90_000)],
  ] as const)('of %s as %s is %s', async (id, form, expected) => {
    nowMs = NOW_MS
    const vendor = vendorOf(sandbox, id)
    vendor.faults.set([{ on: 'status', kind: 'answer', status: 429, retryAfter: { form, seconds: 90 } }])
    const base = id === 'redox' ? `${vendor.fhirBase}/sandbox-hospital/Development` : vendor.fhirBase
    const job = { medplum: 'bulkdata/export/1', 'vendor-x': 'export/1', redox: 'bulk-data-status/1', generic: 'jobs/1' }
    const path = id === 'oracle-health' ? 'bulk-export/jobs/1' : job[id]
    const response = await fetch(`${base}/${path}`)
    expect([response.status, response.headers.get('Retry-After')]).toEqual([429, expected])
    vendor.faults.clear()
    nowMs = undefined
  })

  it.each(IDS)('of %s is held against a client that asks again too soon', async (id) => {
    const vendor = vendorOf(sandbox, id)
    const client = clientOf(vendor, await bearer(vendor))
    const statusUrl = await client.kickoff()
    await client.finish(statusUrl)
    nowMs = Date.now() + 60_000
    const { statusRequests, earlyStatusRequests } = vendor.traffic()
    vendor.faults.set([{ on: 'status', kind: 'answer', status: 429, retryAfter: { form: 'delta', seconds: 10 }, times: 1 }])
    await client.request(statusUrl)
    nowMs += 5000
    await client.request(statusUrl)
    nowMs += 5000
    await client.request(statusUrl)
    const after = vendor.traffic()
    expect(after.statusRequests - statusRequests).toBe(3)
    expect(after.earlyStatusRequests - earlyStatusRequests).toBe(1)
    vendor.faults.clear()
    nowMs = undefined
  })
})

it('ends a connection that would be kept when less comes than was announced', async () => {
  const vendor = vendorOf(sandbox, 'generic')
  const client = clientOf(vendor, await bearer(vendor))
  const statusUrl = await client.kickoff()
  await client.finish(statusUrl)
  vendor.faults.set([{ on: 'status', kind: 'truncate', bytes: 3, announce: 'length' }])
  // A server that kept it would leave the client waiting for the rest.
  await expect((await client.request(statusUrl)).text()).rejects.toThrow('terminated')
  vendor.faults.clear()
})

it('closes while answers stall everywhere, and their clients see the end', async () => {
  const stalling = await startSandbox({ patients: 1, jobSeconds: 0.001 })
  const answers = stalling.vendors.flatMap((vendor) => {
    vendor.faults.set([
      { on: 'token', kind: 'stall', at: 'before-header', times: 1 },
      { on: 'token', kind: 'stall', at: 'mid-body', times: 1 },
    ])
    return [0, 1].map(async () => (await fetch(vendor.tokenUrl, { method: 'POST' })).text())
  })
  const ended = Promise.allSettled(answers)
  while (stalling.vendors.some(({ faults }) => faults.hits().some(({ hits }) => hits === 0)))
    await new Promise((resolve) => setImmediate(resolve))
  await stalling.close()
  expect((await ended).map(({ status }) => status)).toEqual(answers.map(() => 'rejected'))
})
