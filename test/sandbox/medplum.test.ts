import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EMPTY_GROUP_UUID } from '../../sandbox/dataset.ts'
import { startSandbox, type Sandbox, type SandboxVendor } from '../../sandbox/sandbox.ts'
import { MIXED_GROUP_UUID } from '../../sandbox/vendors/medplum-groups.ts'
import { assertionForm, bearer, clientOf, issueCode, json, outputOf, requestToken, vendorOf } from './client.ts'

let sandbox: Sandbox
let vendor: SandboxVendor
let client: ReturnType<typeof clientOf>
let nowMs: number | undefined
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 4, jobSeconds: 0.06, now: () => nowMs ?? Date.now() })
  vendor = vendorOf(sandbox, 'medplum')
  client = clientOf(vendor, await bearer(vendor))
})
afterAll(() => sandbox.close())

const group = () => `/Group/${vendor.groupId}/$export`
const linesAt = async (url: string) => (await (await fetch(url)).text()).trimEnd().split('\n').length
const typesOf = async (path: string, init?: RequestInit) => outputOf(await client.export(path, init)).map(({ type }) => type)

const scopeFor = async (form: object) =>
  (await json(await requestToken(vendor, { ...(await assertionForm(vendor)), ...form })))['scope']

describe('Medplum 5.0.10, by the numbers of docs/vendors.md', () => {
  it('1: stops a Group export at 1000 resources for a patient and type, silently', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sandbox-'))
    const subject = { reference: 'Patient/a' }
    const rows = Array.from({ length: 1100 }, (_, nth) => JSON.stringify({ resourceType: 'Observation', id: `o${nth}`, subject }))
    await writeFile(join(directory, 'Patient.ndjson'), '{"resourceType":"Patient","id":"a"}')
    await writeFile(join(directory, 'Observation.ndjson'), rows.join('\n'))
    const many = await startSandbox({ dataDir: directory, jobSeconds: 0.02 })
    const full = vendorOf(many, 'medplum')
    const reader = clientOf(full, await bearer(full))
    const manifest = await reader.export()
    expect(manifest['error']).toEqual([])
    const observations = (of: typeof manifest) => outputOf(of).find(({ type }) => type === 'Observation')?.url ?? ''
    expect(await linesAt(observations(manifest))).toBe(1000)
    expect(await linesAt(observations(await reader.export('/Patient/$export')))).toBe(1100)
    await many.close()
    await rm(directory, { recursive: true })
  })

  it('2: dates the export with its end', async () => {
    const before = Date.now()
    const { transactionTime } = await client.export(group())
    expect(transactionTime).toMatch(/\.\d{3}Z$/)
    expect(Date.parse(String(transactionTime))).toBeGreaterThanOrEqual(before + 60)
  })

  it('3: never ends the export of a Group without members', async () => {
    const statusUrl = await client.kickoff(`/Group/${EMPTY_GROUP_UUID}/$export`)
    await new Promise((resolve) => setTimeout(resolve, 150))
    expect((await client.request(statusUrl)).status).toBe(202)
    nowMs = Date.now() + 3_000_000
    expect((await client.request(statusUrl)).status).toBe(202)
    nowMs = undefined
  })

  it.each([
    ['system/*.read', 403],
    ['system/*.rs', 403],
    ['system/Patient.read', 403],
    ['system/*.*', 202],
    ['system/*.cruds', 202],
    ['', 202],
  ])('4: kicks off with the scope %j: %i', async (scope, status) => {
    const reader = clientOf(vendor, await bearer(vendor, 'primary', scope))
    expect((await reader.request(group())).status).toBe(status)
  })

  it('4: echoes the scope, or says openid', async () => {
    expect(await scopeFor({ scope: 'system/Nonsense.xyz' })).toBe('system/Nonsense.xyz')
    expect(await scopeFor({})).toBe('openid')
  })

  it('5: takes POST except for a Group, and does not read its body', async () => {
    const body = JSON.stringify({ resourceType: 'Parameters', parameter: [{ name: '_type', valueString: 'Patient' }] })
    expect((await client.request(group(), { method: 'POST', body })).status).toBe(404)
    expect((await typesOf('/Patient/$export', { method: 'POST', body })).length).toBeGreaterThan(1)
    expect((await typesOf('/$export', { method: 'POST', body })).length).toBeGreaterThan(1)
  })

  it.each(['_type=Nonsense', '_since=yesterday', '_since=2999-01-01T00:00:00Z'])('6: exports nothing for %s', async (query) => {
    expect(await typesOf(`${group()}?${query}${query.startsWith('_since') ? '&_type=Patient' : ''}`)).toEqual([])
  })

  it('6: ignores what else it does not know, repeats of _type, and Prefer', async () => {
    const query = '?_type=Patient&_type=Condition&_outputFormat=text/csv&_typeFilter=nonsense&_elements=Foo.bar'
    expect(await typesOf(`${group()}${query}`, { headers: { Prefer: '' } })).toEqual(['Patient'])
    expect(await typesOf(`${group()}?_type=Patient,Condition`)).toEqual(['Patient', 'Condition'])
  })

  it('7: passes over deleted members, exports inactive ones, and brings the Group along', async () => {
    const manifest = await client.export(`/Group/${MIXED_GROUP_UUID}/$export`)
    const urlOf = (type: string) => outputOf(manifest).find((entry) => entry.type === type)?.url ?? ''
    expect(await linesAt(urlOf('Patient'))).toBe(1)
    expect(await (await fetch(urlOf('Group'))).text()).toContain('Patient/deleted-patient')
    expect(manifest['error']).toEqual([])
    expect(await typesOf(`${group()}?_type=Patient`)).not.toContain('Group')
    expect(await typesOf('/Patient/$export')).not.toContain('Group')
  })

  it('8: repeats the request without its query, and with its slash lost', async () => {
    expect((await client.export('/Patient/$export?_type=Patient'))['request']).toBe(`${vendor.fhirBase}Patient/$export`)
    expect((await client.export(`${group()}?_type=Patient`))['request']).toBe(`${vendor.fhirBase}${group()}`)
  })

  it('9: answers a bare 202, and a manifest without Expires or count', async () => {
    const statusUrl = await client.kickoff(group())
    const running = await client.request(statusUrl)
    expect([running.status, await running.text(), running.headers.get('Transfer-Encoding')]).toEqual([202, '', 'chunked'])
    for (const header of ['Retry-After', 'X-Progress', 'Content-Type']) expect(running.headers.get(header)).toBeNull()
    const manifest = await client.finish(statusUrl)
    expect((await client.request(statusUrl)).headers.get('Expires')).toBeNull()
    expect(Object.keys(manifest)).toEqual(['transactionTime', 'request', 'requiresAccessToken', 'output', 'error', 'deleted'])
    expect(manifest['requiresAccessToken']).toBe(false)
    expect(outputOf(manifest).every((entry) => entry.count === undefined)).toBe(true)
    expect(vendor.traffic().earlyStatusRequests).toBe(0)
  })

  it('10: mints file URLs outside its base at each poll, and reads them with or without a token', async () => {
    const statusUrl = await client.kickoff(`${group()}?_type=Patient`)
    const first = outputOf(await client.finish(statusUrl))[0]?.url ?? ''
    const second = outputOf(await client.finish(statusUrl))[0]?.url ?? ''
    expect(first).toMatch(/^http:\/\/[^/]+\/storage\/[0-9a-f-]{36}\/[0-9a-f-]{36}\?Expires=\d+&Signature=\w+$/)
    expect(second).not.toBe(first)
    expect(new URL(second).pathname).toBe(new URL(first).pathname)
    const whole = await (await fetch(first)).text()
    expect(await (await client.request(first)).text()).toBe(whole)
    const ranged = await fetch(second, { headers: { Range: 'bytes=10-' } })
    expect([ranged.status, await ranged.text()]).toEqual([200, whole])
    const tampered = await fetch(first.replace(/Signature=.{20}/, 'Signature=00000000000000000000'))
    expect([tampered.status, tampered.headers.get('Content-Type')]).toEqual([401, 'text/plain; charset=utf-8'])
    expect((await fetch(first.replace(/Expires=\d+/, 'Expires=9999999999'))).status).toBe(401)
    nowMs = Date.now() + 3_660_000
    expect((await fetch(first)).status).toBe(410)
    nowMs = undefined
  })

  it('11: accepts DELETE twice, then knows no job, while its files stay', async () => {
    const statusUrl = await client.kickoff(`${group()}?_type=Patient`)
    const url = outputOf(await client.finish(statusUrl))[0]?.url ?? ''
    for (const time of ['first', 'second']) {
      const deleted = await client.request(statusUrl, { method: 'DELETE' })
      expect([time, deleted.status, await deleted.text(), deleted.headers.get('Content-Type')]).toEqual([
        time,
        202,
        'Accepted',
        'text/plain; charset=utf-8',
      ])
    }
    const gone = await client.request(statusUrl)
    expect([gone.status, await issueCode(gone)]).toEqual([404, 'not-found'])
    expect((await fetch(url)).status).toBe(200)
  })

  it('12: tells the wait of a 429 in RateLimit and diagnostics only', async () => {
    const limited = await startSandbox({ patients: 1, requestsPerMinute: 2 })
    const busy = vendorOf(limited, 'medplum')
    const reader = clientOf(busy, await bearer(busy))
    await reader.request('/Group')
    await reader.request('/Group')
    const refused = await reader.request('/Group')
    expect([refused.status, refused.headers.get('Retry-After')]).toEqual([429, null])
    expect(refused.headers.get('RateLimit')).toMatch(/^"[^"]+";r=0;t=\d+$/)
    const text = await refused.clone().text()
    expect([await issueCode(refused), text.includes('_msBeforeNext')]).toEqual(['throttled', true])
    await limited.close()
  })

  it('13: answers 401 without WWW-Authenticate, and a wrong secret with 400', async () => {
    const refused = await fetch(`${vendor.fhirBase}${group()}`)
    expect([refused.status, refused.headers.get('WWW-Authenticate'), await issueCode(refused)]).toEqual([401, null, 'login'])
    const { clientId, secret } = vendor.clients.primary
    const basic = (value: string) => ({ Authorization: `Basic ${Buffer.from(`${clientId}:${value}`).toString('base64')}` })
    const wrong = await requestToken(vendor, {}, basic('wrong'))
    expect([wrong.status, await json(wrong)]).toEqual([400, { error: 'invalid_request', error_description: 'Invalid secret' }])
    expect((await requestToken(vendor, {}, basic(secret))).status).toBe(200)
    expect((await requestToken(vendor, { client_id: clientId, client_secret: secret })).status).toBe(200)
    for (const alg of ['ES384', 'RS384'] as const)
      expect((await requestToken(vendor, await assertionForm(vendor, { alg }))).status).toBe(200)
    for (const base of [vendor.fhirBase, vendor.origin]) {
      expect((await json(await fetch(`${base}/.well-known/smart-configuration`)))['token_endpoint']).toBe(vendor.tokenUrl)
    }
  })
})

it('includes its own types in a system export', async () => {
  expect(await typesOf('/$export')).toContain('Project')
})
