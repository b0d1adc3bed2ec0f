import { afterAll, beforeAll, expect, it } from 'vitest'
import { startSandbox, type Sandbox, type SandboxVendor } from '../../sandbox/sandbox.ts'
import { bearer, clientOf, json, outputOf, vendorOf } from './client.ts'

let sandbox: Sandbox
let vendor: SandboxVendor
let client: ReturnType<typeof clientOf>
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 3, jobSeconds: 0.06 })
  vendor = vendorOf(sandbox, 'redox')
  client = clientOf(vendor, await bearer(vendor))
})
afterAll(() => sandbox.close())

const META = {
  DataModel: 'FHIR Bulk Data Access',
  EventType: 'status-check-response',
  Source: { ID: '7ce6f387-c33c-417d-8682-81e83628cbd9' },
  Destinations: [{ Name: 'sandbox-hospital' }],
}

it('tells the state in the body of a 200, with nulls and an empty output while it runs', async () => {
  const kickoff = await client.request('/Group/all-patients/$export?_type=Patient')
  expect(kickoff.status).toBe(202)
  expect(await json(kickoff)).toMatchObject({ Meta: { EventType: 'group-export' }, id: 'all-patients' })
  const statusUrl = kickoff.headers.get('Content-Location') ?? ''
  const response = await client.request(statusUrl)
  expect([response.status, response.headers.get('Retry-After'), response.headers.get('X-Progress')]).toEqual([200, null, null])
  const running = await json(response)
  expect(running).toMatchObject({
    Meta: META,
    status: '202',
    output: [],
    transactionTime: null,
    request: null,
    requiresAccessToken: null,
  })
  expect(running['progress']).toMatch(/^\d+%$/)
  const done = await client.finish(statusUrl)
  expect(done).toMatchObject({ Meta: META, status: '200', progress: null, requiresAccessToken: true })
  for (const member of ['error', 'deleted', 'link']) expect(done).not.toHaveProperty(member)
  expect(outputOf(done)).toEqual([{ type: 'Patient', url: expect.stringContaining(vendor.origin) }])
  expect((await client.request(statusUrl)).headers.get('Expires')).toBeNull()
})

it('remembers redox-source-id, and knows only its destination', async () => {
  await client.request('/Group', { headers: { 'redox-source-id': 'abc' } })
  expect(vendor.traffic().seen['redox-source-id']).toEqual(['abc'])
  const elsewhere = await client.request(`${vendor.fhirBase}/other-hospital/Development/Group/all-patients/$export`)
  expect(elsewhere.status).toBe(404)
  expect((await client.request(`${vendor.fhirBase}/sandbox-hospital/Production/Group/all-patients/$export`)).status).toBe(404)
  expect((await client.request('/Patient/$export')).status).toBe(404)
})

it('exchanges a legacy key and secret', async () => {
  const { clientId, secret } = vendor.clients.primary
  const exchange = (body: object) =>
    fetch(`${vendor.origin}/auth/authenticate`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
  expect((await exchange({ apiKey: clientId, secret: 'wrong' })).status).toBe(401)
  expect((await exchange({})).status).toBe(401)
  const answer = await json(await exchange({ apiKey: clientId, secret }))
  expect(Date.parse(String(answer['expires']))).toBeGreaterThan(Date.now())
  const legacy = clientOf(vendor, String(answer['accessToken']))
  expect((await legacy.request('/Group/all-patients')).status).toBe(200)
})
