import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts'
import { assertionForm, bearer, clientOf, json, requestToken, vendorOf, type AssertionOptions } from './client.ts'

let sandbox: Sandbox
let nowMs: number | undefined

beforeAll(async () => {
  sandbox = await startSandbox({ patients: 3, jobSeconds: 0.05, now: () => nowMs ?? Date.now() })
})
afterAll(() => sandbox.close())

const ASSERTING = ['generic', 'oracle-health', 'redox', 'medplum']
const scope = 'system/Patient.read'

describe.each(ASSERTING)('the token endpoint of %s', (id) => {
  it('takes a true assertion and says how long the token lives', async () => {
    const vendor = vendorOf(sandbox, id)
    const response = await requestToken(vendor, { ...(await assertionForm(vendor)), scope })
    expect(response.status).toBe(200)
    const { expires_in: expiresIn, scope: granted, token_type: type } = await json(response)
    expect(typeof expiresIn).toBe('number')
    expect([granted, String(type).toLowerCase()]).toEqual([scope, 'bearer'])
  })

  it.each<[string, (other: string) => AssertionOptions]>([
    ['another audience', (origin) => ({ aud: origin })],
    ['another key behind the right kid', () => ({ signer: 'second', kid: 'own' })],
    ['an unknown kid', () => ({ kid: 'no-such-key' })],
    ['an unknown issuer', () => ({ iss: 'nobody' })],
    ['another subject', () => ({ sub: 'stranger' })],
    ['an expiry more than five minutes ahead', () => ({ lifetimeSeconds: 400 })],
    ['an expiry in the past', () => ({ lifetimeSeconds: -60 })],
  ])('refuses %s', async (_, optionsOf) => {
    const vendor = vendorOf(sandbox, id)
    const options = optionsOf(vendor.origin)
    const own = vendor.clients.primary.privateKeys.RS384.kid ?? ''
    const form = await assertionForm(vendor, options.kid === 'own' ? { ...options, kid: own } : options)
    const response = await requestToken(vendor, { ...form, scope })
    expect([400, 401]).toContain(response.status)
    expect((await json(response))['error']).toMatch(/^invalid_(client|request)$/)
  })

  it('refuses an assertion that was used before', async () => {
    const vendor = vendorOf(sandbox, id)
    const form = await assertionForm(vendor)
    expect((await requestToken(vendor, { ...form, scope })).status).toBe(200)
    expect([400, 401]).toContain((await requestToken(vendor, { ...form, scope })).status)
  })

  it('refuses another grant', async () => {
    const vendor = vendorOf(sandbox, id)
    const response = await requestToken(vendor, { ...(await assertionForm(vendor)), grant_type: 'password' })
    expect([response.status, (await json(response))['error']]).toEqual([400, 'unsupported_grant_type'])
  })
})

it.each(['oracle-health', 'redox'])('%s takes no ES384 assertion', async (id) => {
  const vendor = vendorOf(sandbox, id)
  expect((await requestToken(vendor, { ...(await assertionForm(vendor, { alg: 'ES384' })), scope })).status).toBe(401)
})

it('vendor-x takes a secret in the form only, and only the right one', async () => {
  const vendor = vendorOf(sandbox, 'vendor-x')
  const { clientId, secret } = vendor.clients.primary
  expect((await requestToken(vendor, { client_id: clientId, client_secret: secret })).status).toBe(200)
  expect((await requestToken(vendor, { client_id: clientId, client_secret: `${secret}x` })).status).toBe(401)
  const basic = { Authorization: `Basic ${Buffer.from(`${clientId}:${secret}`).toString('base64')}` }
  expect((await requestToken(vendor, {}, basic)).status).toBe(401)
})

it.each(['generic', 'oracle-health', 'redox', 'medplum', 'vendor-x'])(
  '%s answers 401 without, with an unknown and with an expired token',
  async (id) => {
    const vendor = vendorOf(sandbox, id)
    const token = await bearer(vendor)
    const kickoffStatus = async (value: string) =>
      (await clientOf(vendor, value).request(`/Group/${vendor.groupId}/$export?_type=Patient`)).status
    expect(await kickoffStatus('')).toBe(401)
    expect(await kickoffStatus('made-up')).toBe(401)
    nowMs = Date.now() + 3_700_000
    expect(await kickoffStatus(token)).toBe(401)
    nowMs = undefined
    expect(await kickoffStatus(token)).toBe(202)
  },
)

it('configures each source so that its secret proves the client', () => {
  expect(Object.keys(sandbox.sources)).toEqual(['generic', 'oracle-health', 'redox', 'medplum', 'vendor-x'])
  for (const { credential } of Object.values(sandbox.sources)) {
    const name = credential.kind === 'private-key-jwt' ? credential.keySecret : credential.secret
    expect(sandbox.secrets[name]).toBeTruthy()
  }
})
