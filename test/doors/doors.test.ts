import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { NOW_MS, PUBLIC_BASE } from '../auth/support.ts'
import { credentialOf } from './credentials.ts'
import { Deployment, giveBack, makeKeys, NO_JOB, takeOver, type ClientId } from './setup.ts'
import { OBSERVATIONS, PATIENTS, vendorBase, type Network } from './network.ts'
import type { Answer } from './platform.ts'
import { cellsOf, groupIn, outcomeText, promiseOf, REFUSALS, standingOf, TOKENS } from './promises.ts'
import type { Cell, ClientName, Outcome, TokenState } from './promises.ts'

vi.mock('cloudflare:workers', () => import('../simulation/workers.ts'))

/** Life of the tokens that are sent. */
const TOKEN_MS = 300_000
/** A machine that is busy with other things takes its time to make keys. */
const SETUP_MS = 60_000
let deployment: Deployment
let network: Network
const lines: string[] = []
/** By token state and client. */
const credentials = new Map<string, Readonly<Record<string, string>>>()

const STATES = Object.keys(TOKENS) as TokenState[]
const CLIENT_NAMES: readonly ClientName[] = ['full', 'grouped', 'leveled', 'narrowed', 'bound', 'revoked']

beforeAll(async () => {
  takeOver(
    () => network,
    (line) => void lines.push(line),
  )
  deployment = new Deployment(await makeKeys(), { statusRequestsPerMinute: 1000 })
  ;({ network } = deployment)
  for (const client of [...CLIENT_NAMES, 'other'] as const) await deployment.addJob(client, 'open', 'complete')
  await deployment.addJob('other', 'shut', 'complete')
  deployment.open()
  for (const state of STATES)
    for (const client of CLIENT_NAMES) credentials.set(`${state} ${client}`, await credentialOf(deployment.keys, state, client))
}, SETUP_MS)
afterAll(giveBack)

const isAnothers = (cell: Cell): boolean => cell.token === "another client's"
/** Whose rights count. */
const actorOf = (cell: Cell): ClientId => (isAnothers(cell) ? 'other' : cell.client)

const jobOf = ({ client, source, job }: Cell): string => {
  if (job === 'own') return deployment.job(client, 'open') ?? NO_JOB
  return (job === 'none' ? undefined : deployment.job('other', source ?? '')) ?? NO_JOB
}

const pathOf = (cell: Cell): string => {
  const filled = cell.route.path
    .replace(/\{(public )?source\}/, cell.source ?? '')
    .replace('{job}', jobOf(cell))
    .replace('{client}', cell.client)
    .replace(/\{group:(\w+)\}/, '$1')
  return cell.token === 'in the query' ? `${filled}?access_token=${valid(cell.client)}` : filled
}

const valid = (client: ClientName): string => credentials.get(`valid ${client}`)?.Authorization?.slice('Bearer '.length) ?? ''

const ask = (cell: Cell): Promise<Answer> => {
  const { method, body } = cell.route
  const headers = {
    ...credentials.get(`${cell.token} ${cell.client}`),
    ...(body ? { 'Content-Type': 'application/fhir+json' } : {}),
  }
  return deployment.platform.ask(new Request(PUBLIC_BASE + pathOf(cell), { method, headers, ...(body ? { body } : {}) }))
}

const OO = 'application/fhir+json'
const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>
const issueText = (diagnostics: string): string =>
  JSON.stringify({ resourceType: 'OperationOutcome', issue: [{ severity: 'information', code: 'informational', diagnostics }] })

/** What is wrong with an answer: nothing, or what was promised instead. */
interface Promised {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: unknown
  /** How the body is to be read before it is compared. */
  readonly read?: (text: string) => unknown
}

const typesOf = (cell: Cell): string[] => {
  const standing = standingOf(cell)
  const isNarrow = typeof standing !== 'string' && standing.rights.holds === 'Patient'
  return isNarrow ? ['Patient'] : ['Patient', 'Observation']
}

const fileOf = (outcome: Outcome): Promised => {
  const text = outcome.startsWith('Patient') ? PATIENTS : OBSERVATIONS
  const headers = {
    'content-type': 'application/fhir+ndjson',
    'cache-control': 'no-store, private',
    'content-length': `${text.length}`,
    etag: expect.stringMatching(/^"[0-9a-f]{64}"$/) as unknown,
  }
  return { status: 200, headers, body: outcome.endsWith('head') ? '' : text }
}

const METHODS = /^(token )?405 (.*)$/

const given = (cell: Cell, outcome: Outcome): Promised => {
  const { method } = cell.route
  const [, isToken, allow] = METHODS.exec(outcome) ?? []
  if (allow !== undefined && isToken !== undefined) {
    const body = JSON.stringify({ error: 'invalid_request', error_description: `Use ${allow}.` })
    return { status: 405, headers: { allow, 'content-type': 'application/json' }, body }
  }
  if (allow !== undefined) {
    const says =
      method === 'HEAD' && allow === 'GET, POST'
        ? 'A kick-off is a GET or a POST.'
        : `${method} is not possible here; use ${allow}.`
    const body = outcomeText({ code: 'not-supported', says })
    return { status: 405, headers: { allow, 'content-type': OO }, body: method === 'HEAD' ? '' : body }
  }
  const source = cell.source ?? ''
  const owner = actorOf(cell)
  const base = `${PUBLIC_BASE}/fhir/${source}`
  const files = `${base}/jobs/${deployment.job(owner, source) ?? ''}/files`
  switch (outcome) {
    case 'accepted': {
      const location = expect.stringMatching(new RegExp(`^${base}/jobs/[0-9a-f-]{36}$`)) as unknown
      const body = issueText('The export was accepted. Poll Content-Location.')
      return {
        status: 202,
        headers: { 'content-location': location, 'retry-after': expect.stringMatching(/^\d+$/) as unknown, 'content-type': OO },
        body,
      }
    }
    case 'manifest':
      return {
        status: 200,
        headers: { 'content-type': 'application/json', expires: expect.any(String) as unknown },
        read: json,
        body: {
          transactionTime: '2026-11-01T00:00:00.000Z',
          request: expect.stringContaining('$export') as unknown,
          requiresAccessToken: true,
          output: typesOf(cell).map((type, index) => ({
            type,
            url: `${files}/${type}.${index + 1}.ndjson`,
            count: type === 'Patient' ? 2 : 1,
            extension: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown, bytes: expect.any(Number) as unknown },
          })),
          deleted: [],
          error: [],
        },
      }
    case 'deleted':
      return { status: 202, headers: { 'content-type': OO }, body: issueText('The export was deleted.') }
    case 'Patient file':
    case 'Observation file':
    case 'Patient head':
    case 'Observation head':
      return fileOf(outcome)
    case 'group':
      return { status: 200, headers: { 'content-type': OO }, read: (text) => json(text).id, body: groupIn(cell.route.path) }
    case 'groups': {
      const standing = standingOf(cell)
      const groups = typeof standing === 'string' ? [] : standing.rights.groups
      const read = (text: string): unknown => (json(text).entry as { fullUrl: string }[]).map(({ fullUrl }) => fullUrl)
      return { status: 200, headers: { 'content-type': OO }, read, body: groups.map((id) => `${base}/Group/${id}`) }
    }
    case 'jobs': {
      const own = [...deployment.jobs].filter(([name]) => name.startsWith(`${owner} `)).map(([, id]) => id)
      const read = (text: string): unknown => (json(text).jobs as { id: string }[]).map(({ id }) => id).toReversed()
      return { status: 200, headers: { 'content-type': 'application/json' }, read, body: own }
    }
    case 'audit':
      return { status: 200, headers: { 'content-type': OO }, read: (text) => json(text).type, body: 'searchset' }
    case 'live':
    case 'ready':
      return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ status: outcome }) }
    case 'metadata': {
      const headers = { 'content-type': OO, 'cache-control': 'public, max-age=300' }
      return { status: 200, headers, read: (text) => json(text).resourceType, body: 'CapabilityStatement' }
    }
    case 'operation': {
      const headers = { 'content-type': OO, 'cache-control': 'public, max-age=300' }
      return { status: 200, headers, read: (text) => json(text).resourceType, body: 'OperationDefinition' }
    }
    case 'smart': {
      const headers = { 'content-type': 'application/json', 'cache-control': 'public, max-age=300' }
      return { status: 200, headers, read: (text) => json(text).token_endpoint, body: `${PUBLIC_BASE}/auth/token` }
    }
    case 'jwks': {
      const { kty, crv, x, y, kid } = deployment.keys.signing.open
      const headers = { 'content-type': 'application/json', 'cache-control': 'public, max-age=300' }
      return { status: 200, headers, read: json, body: { keys: [{ kty, crv, x, y, kid, alg: 'ES256', use: 'sig' }] } }
    }
    case 'no such path of /auth': {
      const says = 'There is nothing at this path. Tokens are asked for at /auth/token, and the keys are at /auth/jwks.'
      const body = JSON.stringify({ error: 'invalid_request', error_description: says })
      return { status: 404, headers: { 'content-type': 'application/json' }, body }
    }
    case 'no such path':
    case 'no such export':
      return refused(outcome, method)
    default:
      throw new Error(`nothing is promised as ${outcome}`)
  }
}

const refused = (name: keyof typeof REFUSALS, method: string): Promised => {
  const refusal: { status: number; headers?: Readonly<Record<string, string>> } = REFUSALS[name]
  const { status, headers } = refusal
  const body = method === 'HEAD' ? '' : Buffer.from(outcomeText(REFUSALS[name])).toString('latin1')
  return { status, headers: { ...headers, 'content-type': OO }, body }
}

/** Headers of every answer. */
const SAFE = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
}

/** What the EHRs may be asked for by the way: the work itself, word for word, and a token for it. */
const vendorPart = (cell: Cell, outcome: Outcome | undefined): readonly string[] => {
  const base = vendorBase(cell.source ?? '')
  const group = groupIn(cell.route.path)
  if (outcome === 'group') return [`GET ${base}/Group/${group}`]
  if (outcome === 'groups') return [`GET ${base}/Group`]
  if (outcome !== 'accepted') return []
  const standing = standingOf(cell)
  const isWide = typeof standing !== 'string' && standing.covers === 'everything'
  const types = cell.route.body === undefined ? (isWide ? '' : '?_type=Patient') : '?_type=Observation'
  const level = cell.route.path.replace('/fhir/{source}', '').replace(/\{group:(\w+)\}/, '$1')
  return [`GET ${base}${level}${types}`]
}

const check = async (cell: Cell): Promise<void> => {
  deployment.platform.reset()
  network.sent = []
  const answer = await ask(cell)
  const promise = promiseOf(cell)
  const outcome = 'gives' in promise ? promise.gives : undefined
  const promised = 'gives' in promise ? given(cell, promise.gives) : refused(promise.refused, cell.route.method)
  const { read = String } = promised
  const got = {
    status: answer.status,
    headers: answer.headers,
    body: answer.status === promised.status ? read(answer.body) : answer.body,
  }
  expect(got).toEqual({
    status: promised.status,
    headers: expect.objectContaining({ 'cache-control': 'no-store', ...SAFE, ...promised.headers }) as unknown,
    body: promised.body,
  })
  const asked = network.asked.filter(({ url, method }) => !(url.pathname.endsWith('/token') && method === 'POST'))
  // What was deleted is deleted at the EHR too, and that is no one's to see.
  const isDeletion = outcome === 'deleted'
  expect(
    asked.filter(({ method }) => !isDeletion || method !== 'DELETE').map(({ method, url }) => `${method} ${url.href}`),
  ).toEqual(vendorPart(cell, outcome))
  if (asked.length === 0) expect(network.asked).toEqual([])
}

const nameOf = ({ client, route, source, job }: Cell): string =>
  [client, route.method, route.path, route.body ? 'with a body' : '', source ?? '', job ?? ''].join(' ')

const differenceIn = (error: unknown): string => {
  const { actual, expected, message } = error as { actual?: unknown; expected?: unknown; message?: string }
  return `${message}\nis       ${JSON.stringify(actual)}\npromised ${JSON.stringify(expected)}`
}

/** Cells that are not as promised, with the difference of the first few. */
const brokenIn = async (cells: readonly Cell[]): Promise<string[]> => {
  const broken: string[] = []
  for (const cell of cells) {
    try {
      await check(cell)
    } catch (error) {
      broken.push(broken.length < 3 ? `${nameOf(cell)}\n${differenceIn(error)}` : nameOf(cell))
    }
  }
  return broken
}

const TOTAL = STATES.reduce((sum, state) => sum + cellsOf(state).length, 0)

describe(`all ${TOTAL} cells of clients, sources, routes and token states are as promised [AU-16, AU-17, AU-18, AU-19, AU-20, N-33]`, () => {
  it.each(STATES.map((state) => ({ state, cells: cellsOf(state), count: cellsOf(state).length })))(
    'token: $state, $count cells',
    { timeout: 60_000 },
    async ({ cells }) => {
      expect(await brokenIn(cells)).toEqual([])
    },
  )

  it('and what was not the caller’s is told with the same bytes as what was never there', { timeout: 60_000 }, async () => {
    const different: string[] = []
    for (const state of STATES.filter((one) => !('refused' in TOKENS[one]))) {
      for (const cell of cellsOf(state).filter(({ source, job }) => source === 'shut' || job === "another client's")) {
        if (isAnothers(cell) || cell.route.path.includes('{public source}')) continue
        const nothing: Cell = {
          ...cell,
          ...(cell.source === 'shut' ? { source: 'nowhere' } : {}),
          ...(cell.job ? { job: 'none' } : {}),
        }
        deployment.platform.reset()
        const theirs = JSON.stringify(await ask(cell))
        deployment.platform.reset()
        if (theirs !== JSON.stringify(await ask(nothing))) different.push(`${state} ${nameOf(cell)}`)
      }
    }
    expect(different).toEqual([])
  })

  it.each(CLIENT_NAMES.filter((client) => client !== 'revoked'))(
    'and a token of %s that was good a moment ago is refused from the moment of its expiry [AU-16]',
    async (client) => {
      deployment.platform.reset()
      const headers = credentials.get(`valid ${client}`) ?? {}
      const list = (): Promise<Answer> => deployment.platform.ask(new Request(`${PUBLIC_BASE}/jobs`, { headers }))
      try {
        vi.setSystemTime(NOW_MS + TOKEN_MS - 1)
        expect((await list()).status).toBe(200)
        vi.setSystemTime(NOW_MS + TOKEN_MS)
        const { says } = REFUSALS['expired token']
        expect(await list()).toMatchObject({ status: 401, body: outcomeText({ code: 'expired', says }) })
      } finally {
        vi.setSystemTime(NOW_MS)
      }
    },
  )

  it('and no token, key or secret of it stands in the log', () => {
    const all = lines.join('\n')
    for (const state of STATES) {
      for (const client of CLIENT_NAMES) {
        const [, token] = credentials.get(`${state} ${client}`)?.Authorization?.split(' ') ?? []
        if (token !== undefined && token.length > 3) expect(all.includes(token)).toBe(false)
      }
    }
    expect(all).not.toContain('canary')
  })
})
