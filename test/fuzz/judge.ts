import { NO_JOB, OPERATOR_TOKEN, VENDOR_SECRET } from '../doors/setup.ts'
import { PATIENTS, type Sent } from '../doors/network.ts'
import type { Answer } from '../doors/platform.ts'
import { actorOf } from './credentials.ts'
import type { FuzzRequest } from './request.ts'

/* What must hold of every answer, whatever was asked. Written down from the promises, not from the code. */

/** Who may do what, as it was configured. */
const RIGHTS: Readonly<Record<string, { sources: readonly string[]; groups: readonly string[]; levels: readonly string[] }>> = {
  full: { sources: ['open', 'streamed', 'posted'], groups: ['*'], levels: ['system', 'patient', 'group'] },
  grouped: { sources: ['open', 'streamed', 'posted'], groups: ['g1'], levels: ['group'] },
  leveled: { sources: ['open', 'posted'], groups: ['*'], levels: ['patient'] },
  narrowed: { sources: ['open', 'streamed', 'posted'], groups: ['*'], levels: ['system', 'patient', 'group'] },
  bound: { sources: ['open', 'streamed', 'posted'], groups: ['*'], levels: ['system', 'patient', 'group'] },
  other: { sources: ['open', 'shut'], groups: ['*'], levels: ['system', 'patient', 'group'] },
}

/** What is covered by a token of the client with such a scope; only scopes of GOOD occur. */
const covers = (client: string, scope: string, type: string): boolean => {
  const words = (client === 'narrowed' ? 'system/Patient.rs system/Group.rs' : scope).split(' ')
  return scope !== '' && (words.includes('system/*.rs') || words.includes(`system/${type}.rs`))
}

/** So many objects, files and other hosts one request may ask at most: a search of groups reads up to 20 pages. */
const MAX_STEPS = 64
const ERROR_CODES = ['invalid_request', 'invalid_client', 'invalid_scope', 'unsupported_grant_type', 'temporarily_unavailable']
const SAFE = [
  'x-content-type-options',
  'content-security-policy',
  'referrer-policy',
  'strict-transport-security',
  'cache-control',
]
const MARK = /\{(job|source|group) ([^}]*)\}/g

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** One request as it was made. */
export interface Made {
  readonly request: FuzzRequest
  readonly path: string
  readonly token: string
  readonly answer: Answer
  readonly sent: readonly Sent[]
  readonly steps: number
  readonly logged: string
  /** An EHR has misbehaved in this run, so that 502 may be the truth. */
  readonly isBad: boolean
}

type Broken = string | undefined

const status = ({ answer, isBad, request, sent }: Made): Broken => {
  if (answer.status < 500) return undefined
  if (isBad && [502, 503, 504].includes(answer.status) && !answer.body.includes('Bulkhead failed')) return undefined
  // An export that failed says so [ST-05]; to HEAD without a body.
  const isOwn = request.path.includes('{job full open failing}') && actorOf(request.credential)?.client === 'full'
  const isOwnFailure = isOwn && answer.status === 500 && (request.method === 'HEAD' || answer.body.includes('"processing"'))
  return isOwnFailure ? undefined : `${answer.status} after ${sent.length} requests upstream`
}

const isJson = (text: string): Record<string, unknown> | undefined => {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return undefined
  }
}

const shape = ({ answer, request, path }: Made): Broken => {
  const lacking = SAFE.filter((name) => answer.headers[name] === undefined)
  if (lacking.length > 0) return `lacks ${lacking.join(', ')}`
  // Of a file that has no such range there is nothing to say but its length.
  if (answer.status < 400 || answer.status === 416 || request.method.toUpperCase() === 'HEAD') return undefined
  const body = isJson(answer.body)
  if (/^\/auth(\/|$)/.test(path)) {
    if (answer.headers['content-type']?.startsWith('application/json') !== true) return 'is no JSON under /auth'
    if (!ERROR_CODES.includes(String(body?.error))) return 'has no error code of RFC 6749'
    return /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/.test(String(body?.error_description))
      ? undefined
      : 'has a description beyond RFC 6749'
  }
  if (answer.headers['content-type'] !== 'application/fhir+json' || body?.resourceType !== 'OperationOutcome')
    return 'is no OperationOutcome'
  return answer.status === 401 && answer.headers['www-authenticate'] === undefined ? 'is 401 without WWW-Authenticate' : undefined
}

/** Nothing that is secret is said, to whom it belongs or not. */
const secrets = ({ answer, token, logged, request }: Made): Broken => {
  const said = `${JSON.stringify(answer.headers)}\n${answer.body}`
  for (const secret of [VENDOR_SECRET, 'vendor-token', OPERATOR_TOKEN, 'ehr-', 'issuer.example'])
    if (said.includes(secret)) return `says ${secret.slice(0, 12)}`
  // The manifest repeats a URL word for word [MF-02], and so do the exports of a client.
  const isInUrl = request.credential.form === 'in the query'
  if (token.length > 20 && !isInUrl && said.includes(token)) return 'says the token'
  for (const secret of [VENDOR_SECRET, 'vendor-token', OPERATOR_TOKEN, 'ehr-', 'canary', ...(token.length > 20 ? [token] : [])])
    if (logged.includes(secret)) return `logs ${secret.slice(0, 12)}`
  return undefined
}

const typesAsked = ({ url, body }: Sent): readonly string[] => {
  const inBody = body.startsWith('{')
    ? ((JSON.parse(body) as { parameter?: { name: string; valueString?: string }[] }).parameter ?? [])
    : []
  const inQuery = url.searchParams.get('_type')?.split(',') ?? []
  return [...inQuery, ...inBody.filter(({ name }) => name === '_type').map(({ valueString }) => valueString ?? '')]
}

/** Whether one request upstream is covered by what the client showed. */
const allowed = ({ request, path }: Made, sent: Sent): Broken => {
  const actor = actorOf(request.credential)
  if (sent.url.host === 'issuer.example') return sent.headers.has('Authorization') ? 'sends a token to the issuer' : undefined
  if (!actor) return 'without a token'
  const rights = RIGHTS[actor.client]
  const source = /^ehr-(\w+)\.example$/.exec(sent.url.host)?.[1] ?? ''
  if (!rights?.sources.includes(source)) return 'at a source that is not the client’s'
  const [, first, second = ''] = path.split('/')
  if (first !== 'fhir' || decoded(second) !== source) return 'at another source than was asked'
  const { pathname } = sent.url
  if (pathname === '/token') return undefined
  const mayRead = (type: string): boolean => covers(actor.client, actor.scope, type)
  const [, groupId] = /^\/fhir\/Group\/([^/]+)/.exec(pathname) ?? []
  const isTheirs = groupId === undefined || rights.groups.includes('*') || rights.groups.includes(groupId)
  if (!isTheirs) return 'for a group that is not the client’s'
  if (/^\/fhir\/Group(\/[^/]+)?$/.test(pathname))
    return request.method === 'GET' || request.method === 'HEAD'
      ? mayRead('Group')
        ? undefined
        : 'for groups without the scope'
      : 'for groups with another method'
  if (pathname.endsWith('/$export')) {
    if (request.method !== 'GET' && request.method !== 'POST') return 'a kick-off without a GET or POST'
    const level = groupId !== undefined ? 'group' : pathname === '/fhir/Patient/$export' ? 'patient' : 'system'
    if (!rights.levels.includes(level)) return 'at a level that is not the client’s'
    if (level === 'group' && !mayRead('Group')) return 'for a group without the scope'
    const types = typesAsked(sent)
    if (types.length === 0) return actor.scope === 'system/*.rs' && actor.client !== 'narrowed' ? undefined : 'for all types'
    return types.every(mayRead) ? undefined : `for ${types.join()} without the scope`
  }
  const [, owner] = /\{job (\w+) /.exec(request.path) ?? []
  if (owner !== actor.client) return 'for somebody else’s export'
  if (pathname.startsWith('/status/')) {
    // An export is ended only with what it was begun with [AU-17].
    const coversIt = actor.client === 'narrowed' ? mayRead('Patient') : actor.scope === 'system/*.rs'
    const isNeeded = (request.method === 'DELETE' && coversIt) || request.path.includes('/files/')
    return isNeeded ? undefined : 'for the status of an export'
  }
  return pathname.startsWith('/files/') && mayRead(pathname.slice('/files/'.length)) ? undefined : 'for what nobody asked for'
}

const upstream = (made: Made): Broken => {
  const { sent, token } = made
  for (const one of sent) {
    const broken = allowed(made, one)
    if (broken !== undefined) return `asks ${one.method} ${one.url.pathname} ${broken}`
    const text = JSON.stringify([...one.headers])
    if (text.includes('canary') || (token.length > 20 && text.includes(token))) return 'passes a header of the client on'
  }
  const kickoffs = sent.filter(({ url }) => url.pathname.endsWith('/$export'))
  return kickoffs.length > 1 ? 'kicks off more than once' : undefined
}

/** Whoever has no right to it sees nothing of a patient, nor of a group. */
const data = ({ answer, request, path }: Made): Broken => {
  if (answer.status === 200 && path.startsWith('/operator/') && request.credential.name !== 'operator')
    return 'opens the audit log'
  const [line = ''] = PATIENTS.split('\n')
  const actor = actorOf(request.credential)
  if (answer.body.includes('"id":"g2"') && (!actor || actor.client === 'grouped')) return 'gives a group away'
  if (!answer.body.includes(line)) return undefined
  const [, owner] = /\{job (\w+) /.exec(request.path) ?? []
  return actor && owner === actor.client && covers(actor.client, actor.scope, 'Patient') ? undefined : 'gives a patient away'
}

/** The first promise that is broken. */
export const broken = (made: Made): Broken => {
  for (const look of [status, shape, secrets, upstream, data]) {
    const what = look(made)
    if (what !== undefined) return what
  }
  return made.steps > MAX_STEPS ? `takes ${made.steps} steps` : undefined
}

/** Public, whoever asks: that there is such a source is no secret there. */
const PUBLIC = /\/(metadata|OperationDefinition|\.well-known)/

/**
 * The same request with ids that nobody has in place of those that are not the caller's.
 *
 * @returns `undefined` when it names nothing that is somebody else's.
 */
export const twinOf = (request: FuzzRequest): FuzzRequest | undefined => {
  if (PUBLIC.test(request.path)) return undefined
  const actor = actorOf(request.credential)
  const path = request.path.replaceAll(MARK, (mark, kind: string, id: string) => {
    if (kind === 'job') return id.split(' ', 1)[0] === actor?.client ? mark : NO_JOB
    if (kind === 'source') return actor?.client === 'other' ? mark : 'nobodys'
    return actor && actor.client !== 'grouped' ? mark : 'g0'
  })
  return path === request.path ? undefined : { ...request, path }
}

/** The path with ids for marks. */
export const filled = (path: string, jobs: ReadonlyMap<string, string>): string =>
  path.replaceAll(MARK, (_, kind: string, id: string) => (kind === 'job' ? (jobs.get(id) ?? NO_JOB) : id))
