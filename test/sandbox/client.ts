import { importJWK, SignJWT } from 'jose'
import { parseJson, type Json } from '../../sandbox/json.ts'
import type { Sandbox, SandboxVendor } from '../../sandbox/sandbox.ts'

export type Who = 'primary' | 'second'

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

export const vendorOf = (sandbox: Sandbox, id: string): SandboxVendor => {
  const vendor = sandbox.vendors.find((candidate) => candidate.id === id)
  if (vendor === undefined) throw new Error(`No vendor ${id}`)
  return vendor
}

export interface AssertionOptions {
  readonly alg?: 'RS384' | 'ES384'
  readonly who?: Who
  /** Whose key signs. */
  readonly signer?: Who
  readonly kid?: string
  readonly iss?: string
  readonly sub?: string
  readonly aud?: string
  readonly jti?: string
  readonly lifetimeSeconds?: number
}

export const assertion = async (vendor: SandboxVendor, options: AssertionOptions = {}): Promise<string> => {
  const { alg = 'RS384', who = 'primary', signer = who, lifetimeSeconds = 120 } = options
  const { clientId } = vendor.clients[who]
  const jwk = vendor.clients[signer].privateKeys[alg]
  return new SignJWT({ jti: options.jti ?? crypto.randomUUID() })
    .setProtectedHeader({ alg, typ: 'JWT', kid: options.kid ?? jwk.kid ?? '' })
    .setIssuer(options.iss ?? clientId)
    .setSubject(options.sub ?? clientId)
    .setAudience(options.aud ?? vendor.tokenUrl)
    .setExpirationTime(Math.floor(Date.now() / 1000) + lifetimeSeconds)
    .sign(await importJWK(jwk, alg))
}

export const requestToken = (
  vendor: SandboxVendor,
  form: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> =>
  fetch(vendor.tokenUrl, { method: 'POST', headers, body: new URLSearchParams({ grant_type: 'client_credentials', ...form }) })

export const assertionForm = async (vendor: SandboxVendor, options: AssertionOptions = {}): Promise<Record<string, string>> => ({
  client_assertion_type: ASSERTION_TYPE,
  client_assertion: await assertion(vendor, options),
})

const scopesFor = (vendor: SandboxVendor): string =>
  vendor.id === 'oracle-health' ? vendor.dataset.types.map((type) => `system/${type}.read`).join(' ') : 'system/*.*'

export const bearer = async (vendor: SandboxVendor, who: Who = 'primary', scope = scopesFor(vendor)): Promise<string> => {
  const { clientId, secret } = vendor.clients[who]
  const form = vendor.id === 'vendor-x' ? { client_id: clientId, client_secret: secret } : await assertionForm(vendor, { who })
  const response = await requestToken(vendor, { ...form, ...(scope === '' ? {} : { scope }) })
  const body = await json(response)
  if (typeof body['access_token'] !== 'string') throw new Error(`${response.status} ${JSON.stringify(body)}`)
  return body['access_token']
}

export const json = async (response: Response): Promise<Json> => {
  const text = await response.text()
  const parsed = parseJson(text)
  if (parsed === undefined) throw new Error(`${response.status} not a JSON object: ${text.slice(0, 200)}`)
  return parsed
}

/** The code of the first issue of an OperationOutcome. */
export const issueCode = async (response: Response): Promise<unknown> => {
  const { issue } = await json(response)
  const first: unknown = Array.isArray(issue) ? issue[0] : undefined
  return typeof first === 'object' && first !== null && 'code' in first ? first.code : undefined
}

export interface OutputEntry {
  readonly type: string
  readonly url: string
  readonly count?: number
}

const isEntry = (entry: unknown): entry is OutputEntry =>
  typeof entry === 'object' && entry !== null && 'type' in entry && 'url' in entry

export const outputOf = (body: Json, member = 'output'): readonly OutputEntry[] => {
  const list = body[member]
  return Array.isArray(list) ? list.filter(isEntry) : []
}

const PREFER = { Accept: 'application/fhir+json', Prefer: 'respond-async' }

/** A client of one vendor, with a token. */
export const clientOf = (vendor: SandboxVendor, token: string) => {
  const base = vendor.id === 'redox' ? `${vendor.fhirBase}/sandbox-hospital/Development` : vendor.fhirBase
  const request = (url: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers({ ...PREFER, Authorization: `Bearer ${token}` })
    for (const [name, value] of new Headers(init.headers)) headers.set(name, value)
    return fetch(url.startsWith('http') ? url : `${base}${url}`, { redirect: 'manual', ...init, headers })
  }
  const kickoff = async (path = `/Group/${vendor.groupId}/$export`, init: RequestInit = {}): Promise<string> => {
    const response = await request(path, init)
    const statusUrl = response.headers.get('Content-Location')
    if (statusUrl === null) throw new Error(`${response.status} ${await response.text()}`)
    await response.body?.cancel()
    return statusUrl
  }
  /** Reads the status until it has a manifest. */
  const finish = async (statusUrl: string): Promise<Json> => {
    for (let attempt = 0; attempt < 200; attempt += 1) {
      const response = await request(statusUrl)
      const text = await response.text()
      const body = parseJson(text)
      if (response.status === 200 && body?.['status'] !== '202') return body ?? {}
      if (response.status >= 300) throw new Error(`${response.status} ${text}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error('The export did not end')
  }
  return { request, kickoff, finish, export: async (path?: string, init?: RequestInit) => finish(await kickoff(path, init)) }
}
