import { afterAll, beforeAll, expect, it } from 'vitest'
import { startSandbox, type Sandbox, type SandboxVendor } from '../../sandbox/sandbox.ts'
import { bearer, clientOf, issueCode, outputOf, vendorOf } from './client.ts'

let sandbox: Sandbox
let vendor: SandboxVendor
let client: ReturnType<typeof clientOf>
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 3, jobSeconds: 0.3 })
  vendor = vendorOf(sandbox, 'vendor-x')
  client = clientOf(vendor, await bearer(vendor))
})
afterAll(() => sandbox.close())

it('kicks off without a body and answers 202 with milliseconds and a word', async () => {
  const kickoff = await client.request('/Group/all-patients/$export')
  expect([kickoff.status, await kickoff.text()]).toEqual([202, ''])
  const statusUrl = kickoff.headers.get('Content-Location') ?? ''
  const words = new Set<string | null>()
  for (let response = await client.request(statusUrl); response.status === 202; response = await client.request(statusUrl)) {
    const waitMs = Number(response.headers.get('Retry-After'))
    expect(waitMs).toBeGreaterThanOrEqual(1000)
    expect(waitMs).toBeLessThanOrEqual(1500)
    words.add(response.headers.get('X-Progress'))
    expect(await response.text()).toBe('')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  expect([...words]).toEqual(['scheduled', 'started', 'completed'])
})

it('dates the manifest with the second it finished', async () => {
  const before = Date.now()
  const manifest = await client.export()
  expect(manifest['transactionTime']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  expect(Date.parse(String(manifest['transactionTime'])) + 1000).toBeGreaterThan(before + 300)
  expect(Object.keys(manifest).toSorted()).toEqual(['error', 'output', 'request', 'requiresAccessToken', 'transactionTime'])
})

it('answers 404 forbidden to unknown, foreign and cancelled jobs alike', async () => {
  const statusUrl = await client.kickoff()
  const stranger = clientOf(vendor, await bearer(vendor, 'second'))
  const foreign = await (await stranger.request(statusUrl)).text()
  const unknown = await client.request(statusUrl.replace(/.{12}$/, '000000000000'))
  expect([unknown.status, await unknown.clone().text()]).toEqual([404, foreign])
  expect(await issueCode(unknown)).toBe('forbidden')
  expect((await client.request(statusUrl, { method: 'DELETE' })).status).toBe(202)
  expect(await (await client.request(statusUrl)).text()).toBe(foreign)
})

it('refuses types without permission, and has no other route', async () => {
  const refused = await client.request('/Group/all-patients/$export?_type=Patient,AuditEvent')
  expect([refused.status, await issueCode(refused)]).toEqual([403, 'forbidden'])
  for (const path of ['/Group', '/Group/all-patients', '/metadata', '/$export', '/Patient/$export']) {
    expect((await client.request(path)).status).toBe(404)
  }
  expect((await client.request('/Group/all-patients/$export', { method: 'POST' })).status).toBe(404)
  expect(sandbox.sources['vendor-x']?.groups).toEqual({ 'all-patients': 'All synthetic patients' })
})

it('needs the same token for files', async () => {
  const [file] = outputOf(await client.export('/Group/all-patients/$export?_type=Patient'))
  expect((await fetch(file?.url ?? '')).status).toBe(401)
  expect((await client.request(file?.url ?? '')).headers.get('Content-Type')).toBe('application/fhir+ndjson')
})
