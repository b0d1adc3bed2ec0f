import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digest } from '../../sandbox/dataset.ts'
import { memberOf, parseJson } from '../../sandbox/json.ts'
import { startSandbox, type Sandbox, type SandboxVendor } from '../../sandbox/sandbox.ts'
import { bearer, clientOf, issueCode, json, outputOf, vendorOf } from './client.ts'

let sandbox: Sandbox
let vendor: SandboxVendor
let client: ReturnType<typeof clientOf>
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 5, jobSeconds: 0.06 })
  vendor = vendorOf(sandbox, 'generic')
  client = clientOf(vendor, await bearer(vendor))
})
afterAll(() => sandbox.close())

const rowsOf = async (url: string) =>
  (await (await client.request(url)).text())
    .trimEnd()
    .split('\n')
    .map((line) => parseJson(line))

const post = (...parameter: readonly object[]): RequestInit => ({
  method: 'POST',
  headers: { 'Content-Type': 'application/fhir+json' },
  body: JSON.stringify({ resourceType: 'Parameters', parameter }),
})

describe('kick-off and status', () => {
  it.each([
    ['GET', '/$export'],
    ['POST', '/$export'],
    ['GET', '/Patient/$export'],
    ['POST', '/Patient/$export'],
    ['GET', '/Group/all-patients/$export'],
    ['POST', '/Group/all-patients/$export'],
  ])('%s %s exports everything, with counts [KO-01] [MF-08]', async (method, path) => {
    const manifest = await client.export(path, { method })
    for (const { type, count } of outputOf(manifest)) expect(count).toBe((await digest(sandbox.dataset, type)).resources)
    expect(manifest).toMatchObject({ requiresAccessToken: true, deleted: [], error: [], request: `${vendor.fhirBase}${path}` })
  })

  it('says how far it is, when to come back, and when files go [ST-02] [ST-03] [ST-12]', async () => {
    const statusUrl = await client.kickoff()
    const running = await client.request(statusUrl)
    expect([running.status, running.headers.get('Retry-After')]).toEqual([202, '1'])
    expect(running.headers.get('X-Progress')).toMatch(/^\d+% complete$/)
    const before = vendor.traffic().earlyStatusRequests
    await client.finish(statusUrl)
    expect(vendor.traffic().earlyStatusRequests).toBeGreaterThan(before)
    expect(Date.parse((await client.request(statusUrl)).headers.get('Expires') ?? '')).toBeGreaterThan(Date.now())
  })

  it('answers 404 with an OperationOutcome after DELETE [DL-01] [DL-02]', async () => {
    const statusUrl = await client.kickoff()
    expect((await client.request(statusUrl, { method: 'DELETE' })).status).toBe(202)
    const gone = await client.request(statusUrl)
    expect([gone.status, await issueCode(gone)]).toEqual([404, 'not-found'])
    expect((await client.request(statusUrl, { method: 'DELETE' })).status).toBe(404)
  })
})

describe('parameters', () => {
  it('filters by _type, _since and _until, however values are joined [PA-02] [PA-04] [PA-05]', async () => {
    const all = await rowsOf(outputOf(await client.export('/$export?_type=Observation'))[0]?.url ?? '')
    const times = all.map((row) => String(memberOf(row?.['meta'], 'lastUpdated'))).toSorted()
    const middle = times[Math.floor(times.length / 2)] ?? ''
    const [after] = outputOf(await client.export(`/$export?_type=Observation&_since=${middle}`))
    const [before] = outputOf(await client.export(`/$export?_type=Observation&_until=${middle}`))
    expect([before?.count, after?.count]).toEqual([
      times.filter((time) => time < middle).length,
      times.filter((time) => time > middle).length,
    ])
    const types = outputOf(await client.export('/$export?_type=Patient,Location&_type=Condition')).map(({ type }) => type)
    expect(types).toEqual(['Patient', 'Condition', 'Location'])
  })

  it('leaves out what _elements does not name, and says so [PA-08]', async () => {
    const [file] = outputOf(await client.export('/$export?_type=Patient&_elements=id,Patient.gender'))
    const [row] = await rowsOf(file?.url ?? '')
    expect(Object.keys(row ?? {}).toSorted()).toEqual(['gender', 'id', 'meta', 'resourceType'])
    expect(memberOf(row?.['meta'], 'tag')).toMatchObject([{ code: 'SUBSETTED' }])
  })

  it('takes patient in POST and leaves everyone else out [PA-09]', async () => {
    const patient = { name: 'patient', valueReference: { reference: 'Patient/pat-000002' } }
    for (const { type, url } of outputOf(await client.export('/Patient/$export', post(patient)))) {
      if (['Practitioner', 'Organization', 'Location', 'Device'].includes(type)) continue
      for (const row of await rowsOf(url)) expect(JSON.stringify(row)).toContain('pat-000002')
    }
  })

  it('takes a simple _typeFilter [PA-13]', async () => {
    const [file] = outputOf(await client.export('/$export?_type=Patient&_typeFilter=Patient%3Fgender%3Dfemale'))
    for (const row of await rowsOf(file?.url ?? '')) expect(row?.['gender']).toBe('female')
  })

  it.each([
    ['/$export?_since=yesterday', 'invalid'],
    ['/$export?_outputFormat=text/csv', 'not-supported'],
    ['/$export?_type=Foo', 'not-supported'],
    ['/$export?_colour=red', 'not-supported'],
    ['/Patient/$export?patient=Patient/pat-000001', 'not-supported'],
    ['/$export?_typeFilter=Patient%3F_include%3Dx', 'not-supported'],
  ])('refuses %s with %s [KO-12]', async (path, code) => {
    const response = await client.request(path)
    expect([response.status, await issueCode(response)]).toEqual([400, code])
  })

  it('refuses a patient that is not there, and a body that is no Parameters', async () => {
    const nobody = post({ name: 'patient', valueReference: { reference: 'Patient/nobody' } })
    expect((await client.request('/Patient/$export', nobody)).status).toBe(400)
    expect((await client.request('/$export', { method: 'POST', body: '{"resourceType":"Patient"}' })).status).toBe(400)
  })

  it('lists under error what it ignored when asked to be lenient [KO-09]', async () => {
    const headers = { Prefer: 'respond-async, handling=lenient' }
    const [file] = outputOf(await client.export('/$export?_type=Patient,Foo&_colour=red', { headers }), 'error')
    expect([file?.type, file?.count]).toEqual(['OperationOutcome', 2])
    expect(await rowsOf(file?.url ?? '')).toHaveLength(2)
  })

  it('exports only what the scopes let be read [KO-14] [AU-18]', async () => {
    const narrow = clientOf(vendor, await bearer(vendor, 'primary', 'system/Patient.read'))
    expect(outputOf(await narrow.export('/$export')).map(({ type }) => type)).toEqual(['Patient'])
    expect((await narrow.request('/$export?_type=Condition')).status).toBe(403)
  })
})

describe('files and the rest', () => {
  it('serves ranges of the same bytes, by a strong ETag', async () => {
    const [file] = outputOf(await client.export('/$export?_type=Patient'))
    const url = file?.url ?? ''
    const whole = await client.request(url)
    const [text, etag] = [await whole.text(), whole.headers.get('ETag') ?? '']
    expect(whole.headers.get('Content-Length')).toBe(String(Buffer.byteLength(text)))
    const part = await client.request(url, { headers: { Range: 'bytes=100-', 'If-Range': etag } })
    expect([part.status, part.headers.get('Content-Range')]).toEqual([206, `bytes 100-${text.length - 1}/${text.length}`])
    expect(await part.text()).toBe(text.slice(100))
    expect((await client.request(url, { headers: { Range: 'bytes=100-', 'If-Range': '"other"' } })).status).toBe(200)
    expect((await client.request(url, { headers: { Range: 'bytes=99999999-' } })).status).toBe(416)
    expect((await client.request(url, { headers: { 'If-None-Match': etag } })).status).toBe(304)
    expect((await client.request(url, { method: 'HEAD' })).headers.get('Content-Length')).toBe(String(text.length))
    expect((await fetch(url)).status).toBe(401)
  })

  it('can be discovered', async () => {
    const metadata = await json(await fetch(`${vendor.fhirBase}/metadata`))
    expect(metadata['instantiates']).toEqual(['http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data'])
    const smart = await json(await fetch(`${vendor.fhirBase}/.well-known/smart-configuration`))
    expect(smart).toMatchObject({ token_endpoint: vendor.tokenUrl, token_endpoint_auth_methods_supported: ['private_key_jwt'] })
  })

  it.each([
    ['_id=all-patients', 1],
    ['identifier=urn:example:sandbox:group|all-patients', 1],
    ['name=all%20synth', 1],
    ['name=other', 0],
    ['', 1],
  ])('finds groups by %s [KO-18]', async (query, total) => {
    expect((await json(await client.request(`/Group?${query}`)))['total']).toBe(total)
  })

  it('reads a group with its members', async () => {
    expect(await json(await client.request('/Group/all-patients'))).toMatchObject({ quantity: 5, actual: true, type: 'person' })
    expect((await client.request('/Group/nobody')).status).toBe(404)
  })
})
