/* Everything that the facade may ask for: one EHR per source, and the identity provider that one client is bound to. */

export const SOURCES = ['open', 'streamed', 'posted', 'shut'] as const
export type SourceId = (typeof SOURCES)[number]
export const ISSUER = 'https://issuer.example'
export const ISSUER_JWKS = `${ISSUER}/jwks`
/** Groups that each EHR has. */
export const GROUPS = ['g1', 'g2'] as const

export const vendorBase = (source: string): string => `https://ehr-${source}.example/fhir`
export const tokenUrl = (source: string): string => `https://ehr-${source}.example/token`

/** One request that left the facade. */
export interface Sent {
  readonly method: string
  readonly url: URL
  readonly headers: Headers
  readonly body: string
}

/** What a kick-off must say for its export to go on for ever, or to fail. */
export const ENDLESS = '2001-01-01T00:00:00Z'
export const FAILING = '2002-01-01T00:00:00Z'

export const PATIENTS = '{"resourceType":"Patient","id":"p1"}\n{"resourceType":"Patient","id":"p2"}\n'
export const OBSERVATIONS = '{"resourceType":"Observation","id":"o1"}\n'
const FILES: Readonly<Record<string, string>> = { Patient: PATIENTS, Observation: OBSERVATIONS }

const json = (body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', ...headers } })
const group = (id: string): object => ({ resourceType: 'Group', id, type: 'person', actual: true, name: id })

const manifest = ({ origin, searchParams }: URL): Response => {
  const types = (searchParams.get('types') ?? '').split(',')
  const output = Object.entries(FILES)
    .filter(([type]) => types.includes('') || types.includes(type))
    .map(([type]) => ({ type, url: `${origin}/files/${type}` }))
  return json({
    transactionTime: '2026-11-01T00:00:00Z',
    request: 'x',
    requiresAccessToken: true,
    output,
    error: [],
  })
}

const answer = ({ method, url, body }: Sent): Response => {
  const { pathname, searchParams, origin } = url
  if (pathname.endsWith('/token')) return json({ access_token: 'vendor-token', token_type: 'bearer', expires_in: 3600 })
  if (pathname.endsWith('/$export')) {
    const asked = method === 'POST' ? body : decodeURIComponent(url.search)
    const how = asked.includes(ENDLESS) ? 'endless' : asked.includes(FAILING) ? 'failing' : 'quick'
    const at = `${origin}/status/${how}?types=${searchParams.get('_type') ?? ''}`
    return new Response(null, { status: 202, headers: { 'Content-Location': at } })
  }
  if (pathname === '/status/endless') return new Response(null, { status: 202 })
  if (pathname === '/status/failing') return json({ resourceType: 'OperationOutcome', issue: [{ code: 'processing' }] }, 400)
  if (pathname === '/status/quick') return method === 'DELETE' ? new Response(null, { status: 202 }) : manifest(url)
  if (pathname.startsWith('/files/')) {
    const headers = { 'Content-Type': 'application/fhir+ndjson' }
    return new Response(FILES[pathname.slice('/files/'.length)] ?? '', { headers })
  }
  if (pathname === '/fhir/Group') {
    return json({ resourceType: 'Bundle', type: 'searchset', entry: GROUPS.map((id) => ({ resource: group(id) })) })
  }
  const found = GROUPS.find((id) => pathname === `/fhir/Group/${id}`)
  return found ? json(group(found)) : json({ resourceType: 'OperationOutcome' }, 404)
}

/** Stands in for `fetch`, and writes down what it was asked. */
export class Network {
  /** Since this was last emptied. */
  sent: Sent[] = []
  /** Answers in place of the others, where it answers at all. */
  interfere: (sent: Sent) => Response | undefined = () => undefined
  readonly #issuerKeys: readonly object[]

  constructor(issuerKeys: readonly object[]) {
    this.#issuerKeys = issuerKeys
  }

  readonly fetch = async (target: string, init: RequestInit = {}): Promise<Response> => {
    const body = typeof init.body === 'string' ? init.body : ''
    const sent = { method: init.method ?? 'GET', url: new URL(target), headers: new Headers(init.headers), body }
    this.sent.push(sent)
    const interfered = this.interfere(sent)
    if (interfered) return interfered
    if (target === ISSUER_JWKS) return json({ keys: this.#issuerKeys }, 200, { 'Cache-Control': 'max-age=3600' })
    return answer(sent)
  }

  /** Those that an EHR would have answered with data or work, by its host. */
  get asked(): readonly Sent[] {
    return this.sent.filter(({ url }) => url.href !== ISSUER_JWKS)
  }
}
