import { afterAll, beforeAll, expect, it } from 'vitest'
import { startSandbox, type Sandbox, type SandboxVendor } from '../../sandbox/sandbox.ts'
import { assertionForm, bearer, clientOf, issueCode, json, outputOf, requestToken, vendorOf } from './client.ts'

let sandbox: Sandbox
let vendor: SandboxVendor
let client: ReturnType<typeof clientOf>
let nowMs: number | undefined
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 9, jobSeconds: 0.06, now: () => nowMs ?? Date.now() })
  vendor = vendorOf(sandbox, 'oracle-health')
  client = clientOf(vendor, await bearer(vendor))
})
afterAll(() => sandbox.close())

const group = () => `/Group/${vendor.groupId}/$export`

it('answers a running job with in-progress, Retry-After and request ids', async () => {
  const statusUrl = await client.kickoff(group())
  expect(statusUrl).toMatch(/\/r4\/[0-9a-f-]+\/bulk-export\/jobs\/[0-9a-f-]+$/)
  const { status, headers } = await client.request(statusUrl)
  expect([status, headers.get('X-Progress'), headers.get('Retry-After')]).toEqual([202, 'in-progress', '1'])
  expect(headers.get('opc-request-id')).toBeTruthy()
  expect(headers.get('X-Request-Id')).toBeTruthy()
  await client.finish(statusUrl)
})

it('waits 600 s between polls at the real pace', async () => {
  const real = await startSandbox({ patients: 1, pace: 'real' })
  const slow = vendorOf(real, 'oracle-health')
  const patient = clientOf(slow, await bearer(slow))
  expect((await patient.request(await patient.kickoff())).headers.get('Retry-After')).toBe('600')
  await real.close()
})

it('has several files for a type, and no count', async () => {
  const statusUrl = await client.kickoff(group())
  const manifest = await client.finish(statusUrl)
  const patients = outputOf(manifest).filter(({ type }) => type === 'Patient')
  expect(patients).toHaveLength(3)
  expect(patients.every((entry) => entry.count === undefined)).toBe(true)
  expect(Object.keys(manifest).toSorted()).toEqual(['error', 'output', 'request', 'requiresAccessToken', 'transactionTime'])
  expect((await client.request(statusUrl)).headers.get('Expires')).toMatch(/ GMT$/)
})

it('redirects files to a store elsewhere that answers 400 to a bearer, 403 to a wrong signature and gzip to the rest', async () => {
  const [file] = outputOf(await client.export(`${group()}?_type=Patient`))
  const answer = await client.request(file?.url ?? '')
  const location = answer.headers.get('Location') ?? ''
  expect(answer.status).toBe(307)
  expect(new URL(location).origin).not.toBe(vendor.origin)
  expect(sandbox.sources['oracle-health']?.trust?.fileOrigins).toEqual([new URL(location).origin])
  const refused = await fetch(location, { headers: { Authorization: 'Bearer x' } })
  expect([refused.status, refused.headers.get('Content-Type')]).toEqual([400, 'application/xml'])
  expect(vendor.traffic().bearersAtStore).toBe(1)
  expect((await fetch(location.replace(/Signature=.{20}/, 'Signature=00000000000000000000'))).status).toBe(403)
  expect((await fetch(location, { method: 'HEAD' })).status).toBe(403)
  const stored = await fetch(location, { headers: { 'Accept-Encoding': 'identity' } })
  expect(stored.headers.get('Content-Encoding')).toBe('gzip')
  expect((await stored.text()).trimEnd().split('\n')).toHaveLength(3)
  nowMs = Date.now() + 61_000
  expect((await fetch(location)).status).toBe(403)
  nowMs = undefined
})

it('runs one export at a time for a client', async () => {
  const statusUrl = await client.kickoff(group())
  const second = await client.request(group())
  expect([second.status, await issueCode(second)]).toEqual([429, 'throttled'])
  const other = clientOf(vendor, await bearer(vendor, 'second'))
  await other.export(group())
  expect((await client.request(statusUrl, { method: 'DELETE' })).status).toBe(202)
  await client.export(group())
})

it.each([
  ['?_type=Patient&_type=Condition', 400],
  ['?_type=Location,Practitioner', 400],
  ['?_elements=id', 400],
  ['?_outputFormat=text/csv', 422],
  ['?_typeFilter=Patient%3Fgender%3Dfemale', 400],
])('refuses %s with %i', async (query, status) => {
  const response = await client.request(`${group()}${query}`)
  expect(response.status).toBe(status)
  expect((await json(response))['resourceType']).toBe('OperationOutcome')
})

it('drops unknown parameters when asked to be lenient', async () => {
  const headers = { Prefer: 'respond-async, handling=lenient' }
  expect(outputOf(await client.export(`${group()}?_elements=id&_type=Patient`, { headers }))).toHaveLength(3)
})

it.each([
  [{ Accept: '*/*' }, 406],
  [{ Accept: 'application/json' }, 406],
  [{ Prefer: 'handling=lenient' }, 400],
])('insists on its headers: %j is %i', async (headers, status) => {
  expect((await client.request(group(), { headers })).status).toBe(status)
})

const body = (...references: readonly string[]) => ({
  method: 'POST',
  body: JSON.stringify({
    resourceType: 'Parameters',
    parameter: references.map((reference) => ({ name: 'patient', valueReference: { reference } })),
  }),
})

it('exports patients by POST with their list', async () => {
  expect((await client.request('/Patient/$export', body())).status).toBe(400)
  expect((await client.request('/Patient/$export')).status).toBe(404)
  const output = outputOf(await client.export('/Patient/$export', body('Patient/pat-000001')))
  expect(output.filter(({ type }) => type === 'Patient')).toHaveLength(1)
})

it('grants explicit scopes only', async () => {
  const response = await requestToken(vendor, { ...(await assertionForm(vendor)), scope: 'system/*.read' })
  expect([response.status, (await json(response))['error']]).toEqual([400, 'invalid_scope'])
})

it('needs the scope of a type for its files, not for the status', async () => {
  const statusUrl = await client.kickoff(`${group()}?_type=Patient`)
  const narrow = clientOf(vendor, await bearer(vendor, 'primary', 'system/Condition.read'))
  const [file] = outputOf(await narrow.finish(statusUrl))
  expect((await narrow.request(file?.url ?? '')).status).toBe(403)
  expect((await client.request(file?.url ?? '')).status).toBe(307)
})
