import { PUBLIC_BASE } from '../auth/support.ts'

/*
 * What is promised to whom. Everything here is written from the documents (README, docs/configuration.md, docs/decisions/0011, the
 * requirements KO, ST, DL, FI and AU) and nothing is asked of the code.
 */

type Level = 'system' | 'patient' | 'group'

/** What one client is registered for at source `open`. */
export interface Rights {
  readonly levels: readonly Level[]
  readonly groups: readonly string[]
  /** What its tokens can cover at most. */
  readonly scopes: 'everything' | 'Patient and Group'
  /** The types that its own export holds. */
  readonly holds: 'everything' | 'Patient'
}

const ALL: Rights = { levels: ['system', 'patient', 'group'], groups: ['g1', 'g2'], scopes: 'everything', holds: 'everything' }

/** The clients. */
export const CLIENTS = {
  full: ALL,
  grouped: { ...ALL, levels: ['group'], groups: ['g1'] },
  leveled: { ...ALL, levels: ['patient'] },
  narrowed: { ...ALL, scopes: 'Patient and Group', holds: 'Patient' },
  bound: ALL,
  revoked: 'not a client any more',
} as const satisfies Record<string, Rights | 'not a client any more'>

/** The sources: what a client finds there. */
export const SOURCES = { open: 'its own', shut: 'not its own', nowhere: 'nothing' } as const

/** What a refusal says, word for word. */
export interface Refusal {
  readonly status: number
  readonly code: string
  readonly says: string
  /** The parameter that it is about. */
  readonly about?: string
  readonly headers?: Readonly<Record<string, string>>
}

const INVALID = { 'www-authenticate': 'Bearer error="invalid_token"' }
const TOO_LITTLE = { 'www-authenticate': 'Bearer error="insufficient_scope"' }
const missing = (code: string, says: string): Refusal => ({ status: 404, code, says })
const narrow = (says: string): Refusal => ({ status: 403, code: 'forbidden', says, headers: TOO_LITTLE })
const refusedToken = (code: string, says: string): Refusal => ({ status: 401, code, says, headers: INVALID })

export const REFUSALS = {
  'no token': {
    status: 401,
    code: 'login',
    says: 'Send an access token: `Authorization: Bearer <token>`.',
    headers: { 'www-authenticate': 'Bearer realm="bulkhead"' },
  },
  'malformed token': refusedToken('login', 'The access token is malformed.'),
  'invalid token': refusedToken('login', 'The access token is not one of this server, or not any more. Request a new one.'),
  'expired token': refusedToken('expired', 'The access token has expired. Request a new one.'),
  'not an operator': refusedToken('login', 'This route takes the OPERATOR_TOKEN of this deployment, and no other token.'),
  'no such source': missing('not-found', 'There is no such source. Check the path: /fhir/{source}/…'),
  'no such group': missing('not-found', 'This source has no such group for this client.'),
  'no such export': missing('not-found', 'There is no such export for this client: it never was, was deleted, or has expired.'),
  'no such path': missing('not-found', 'There is nothing at this path. /fhir/{source}/metadata lists what a source offers.'),
  'not at system level': narrow('This client may not export at the system level of this source.'),
  'not at patient level': narrow('This client may not export at the patient level of this source.'),
  'not at group level': narrow('This client may not export at the group level of this source.'),
  'no right to export the group': narrow('Exporting a group needs the right to read it: ask for the scope system/Group.rs.'),
  'no right to read groups': narrow('Reading groups needs the scope system/Group.rs.'),
  'covers no type': narrow('The token covers none of the types that this source exports.'),
  'type not covered': {
    ...narrow('The token does not cover Observation. Ask for the scope system/Observation.rs, or leave it out.'),
    about: '_type',
  },
  'export not covered': narrow('The token does not cover all types of this export. Use one with the scopes of its kick-off.'),
  'file not covered': narrow('The token does not cover what this file holds. Use one with the scopes of the kick-off.'),
} as const satisfies Record<string, Refusal>

export type RefusalName = keyof typeof REFUSALS

/** What a token is worth: nothing, with the words of the refusal; or a part of the rights of its client. */
export type Worth =
  | { readonly refused: RefusalName }
  | { readonly covers: 'all of the client' | 'Patient' | 'nothing'; readonly of: 'the client' | 'another client' }

/** The ways to come with or without a token. `bound` comes through its issuer, all others through `/auth/token`. */
export const TOKENS = {
  none: { refused: 'no token' },
  'Bearer and nothing': { refused: 'no token' },
  'Authorization: Basic': { refused: 'no token' },
  'in the query': { refused: 'no token' },
  malformed: { refused: 'malformed token' },
  'no JWT': { refused: 'invalid token' },
  expired: { refused: 'expired token' },
  'wrong signature': { refused: 'invalid token' },
  "a stranger's key under our kid": { refused: 'invalid token' },
  'alg none': { refused: 'invalid token' },
  'HMAC with the public key, PEM': { refused: 'invalid token' },
  'HMAC with the public key, JWK': { refused: 'invalid token' },
  'wrong audience': { refused: 'invalid token' },
  'wrong issuer': { refused: 'invalid token' },
  'an assertion for a token': { refused: 'invalid token' },
  'by the other way in': { refused: 'invalid token' },
  'a client that never was': { refused: 'invalid token' },
  operator: { refused: 'invalid token' },
  'without scopes': { covers: 'nothing', of: 'the client' },
  'narrower scope': { covers: 'Patient', of: 'the client' },
  "another client's": { covers: 'all of the client', of: 'another client' },
  valid: { covers: 'all of the client', of: 'the client' },
} as const satisfies Record<string, Worth>

export type TokenState = keyof typeof TOKENS

/** What a route needs, in the order in which a lack of it is told. */
export type Need =
  'token' | 'operator' | 'source' | Level | 'group' | 'group scope' | 'read groups' | 'a type' | 'Observation' | 'export' | 'file'

export type Outcome =
  | 'accepted'
  | 'manifest'
  | 'deleted'
  | 'Patient file'
  | 'Observation file'
  | 'Patient head'
  | 'Observation head'
  | 'group'
  | 'groups'
  | 'jobs'
  | 'audit'
  | 'live'
  | 'ready'
  | 'metadata'
  | 'operation'
  | 'smart'
  | 'jwks'
  | 'no such path'
  | 'no such export'
  | 'no such path of /auth'
  | `405 ${string}`
  | `token 405 ${string}`

export interface Route {
  readonly method: string
  /** `{source}`: each source. `{job}`: its own, another client's, and none. */
  readonly path: string
  readonly needs: readonly Need[]
  readonly gives: Outcome
  /** Sent with it. */
  readonly body?: string
}

const PARAMETERS = '{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Observation"}]}'
const AT = '/fhir/{source}'
const JOB = `${AT}/jobs/{job}`
const G1 = '{group:g1}'
const G2 = '{group:g2}'

const route = (method: string, path: string, needs: readonly Need[], gives: Outcome, body?: string): Route => ({
  method,
  path,
  needs,
  gives,
  ...(body === undefined ? {} : { body }),
})

const kickoffs = (path: string, needs: readonly Need[]): Route[] => [
  route('GET', path, ['token', 'source', ...needs, 'a type'], 'accepted'),
  route('POST', path, ['token', 'source', ...needs, 'a type'], 'accepted'),
  route('POST', path, ['token', 'source', ...needs, 'Observation'], 'accepted', PARAMETERS),
  route('HEAD', path, ['token', 'source'], '405 GET, POST'),
  route('PUT', path, ['token'], '405 GET, POST'),
]

/** Every route. */
export const ROUTES: readonly Route[] = [
  route('GET', '/health/live', [], 'live'),
  route('POST', '/health/live', [], '405 GET'),
  route('GET', '/health/ready', [], 'ready'),
  route('DELETE', '/health/ready', [], '405 GET'),
  route('GET', '/.well-known/smart-configuration', [], 'smart'),
  route('POST', '/.well-known/smart-configuration', [], '405 GET'),
  route('GET', '/auth/jwks', [], 'jwks'),
  route('POST', '/auth/jwks', [], 'token 405 GET, HEAD'),
  route('GET', '/auth/token', [], 'token 405 POST'),
  route('GET', '/auth/nothing', [], 'no such path of /auth'),
  route('POST', '/auth', [], 'no such path of /auth'),
  route('GET', '/', [], 'no such path'),
  route('GET', '/fhir', [], 'no such path'),
  route('GET', '/fhir/{public source}/metadata', ['source'], 'metadata'),
  route('PUT', '/fhir/{public source}/metadata', [], '405 GET'),
  route('GET', '/fhir/{public source}/OperationDefinition/export', ['source'], 'operation'),
  route('POST', '/fhir/{public source}/OperationDefinition/export', [], '405 GET'),
  route('GET', '/fhir/{public source}/.well-known/smart-configuration', ['source'], 'smart'),
  ...kickoffs(`${AT}/$export`, ['system']),
  ...kickoffs(`${AT}/Patient/$export`, ['patient']),
  ...kickoffs(`${AT}/Group/${G1}/$export`, ['group', 'group scope']),
  ...kickoffs(`${AT}/Group/${G2}/$export`, ['group', 'group scope']),
  route('GET', `${AT}/Group`, ['token', 'source', 'read groups'], 'groups'),
  route('DELETE', `${AT}/Group`, ['token'], '405 GET'),
  route('GET', `${AT}/Group/${G1}`, ['token', 'source', 'read groups', 'group'], 'group'),
  route('GET', `${AT}/Group/${G2}`, ['token', 'source', 'read groups', 'group'], 'group'),
  route('PUT', `${AT}/Group/${G1}`, ['token'], '405 GET'),
  route('GET', JOB, ['token', 'source', 'export'], 'manifest'),
  route('DELETE', JOB, ['token', 'source', 'export'], 'deleted'),
  route('POST', JOB, ['token'], '405 GET, DELETE'),
  route('GET', `${JOB}/files/Patient.1.ndjson`, ['token', 'source', 'file'], 'Patient file'),
  route('GET', `${JOB}/files/Observation.2.ndjson`, ['token', 'source', 'file'], 'Observation file'),
  route('HEAD', `${JOB}/files/Patient.1.ndjson`, ['token', 'source', 'file'], 'Patient head'),
  route('HEAD', `${JOB}/files/Observation.2.ndjson`, ['token', 'source', 'file'], 'Observation head'),
  route('DELETE', `${JOB}/files/Patient.1.ndjson`, ['token'], '405 GET, HEAD'),
  // A seal that no job made opens nothing, whoever brings it.
  route('GET', `${JOB}/attachments/${'A'.repeat(64)}`, ['token', 'source'], 'no such export'),
  route('DELETE', `${JOB}/attachments/${'A'.repeat(64)}`, ['token'], '405 GET, HEAD'),
  route('GET', `${AT}/Observation`, ['token'], 'no such path'),
  route('GET', '/jobs', ['token'], 'jobs'),
  route('POST', '/jobs', ['token'], '405 GET'),
  route('GET', '/operator/clients/{client}/audit', ['operator'], 'audit'),
  route('POST', '/operator/clients/{client}/audit', ['operator'], '405 GET'),
  route('GET', '/operator/nothing', ['operator'], 'no such path'),
]

export type ClientName = keyof typeof CLIENTS
export type SourceName = keyof typeof SOURCES
export type JobName = 'own' | "another client's" | 'none'

/** One cell of the table. */
export interface Cell {
  readonly client: ClientName
  readonly token: TokenState
  readonly route: Route
  readonly source: SourceName | undefined
  readonly job: JobName | undefined
}

const namesOf = <T extends string>(table: Readonly<Record<T, unknown>>): T[] => Object.keys(table) as T[]

/** The cells of one way to come. */
export const cellsOf = (token: TokenState): Cell[] =>
  namesOf(CLIENTS).flatMap((client) =>
    ROUTES.flatMap((one) => {
      const sources = /\{(public )?source\}/.test(one.path) ? namesOf(SOURCES) : [undefined]
      const jobs = one.path.includes('{job}') ? (['own', "another client's", 'none'] as const) : [undefined]
      return sources.flatMap((source) => jobs.map((job): Cell => ({ client, token, route: one, source, job })))
    }),
  )

/** Whose rights count in the end, and how much of them. */
export interface Standing {
  readonly rights: Rights
  readonly covers: 'everything' | 'Patient and Group' | 'Patient' | 'nothing'
}

export const groupIn = (path: string): string => /\{group:(\w+)\}/.exec(path)?.[1] ?? ''

const lackOf = (need: Need, { route: { path, gives }, source, job, token }: Cell, standing: Standing | RefusalName) => {
  if (need === 'token') return typeof standing === 'string' ? standing : undefined
  if (need === 'operator') {
    if (token === 'operator') return undefined
    const worth: Worth = TOKENS[token]
    const isSent = !('refused' in worth) || (worth.refused !== 'no token' && worth.refused !== 'malformed token')
    return isSent ? 'not an operator' : worth.refused
  }
  if (need === 'source') {
    if (path.includes('{public source}')) return source === 'nowhere' ? 'no such source' : undefined
    // The other client may use the source that is shut to all others.
    const isAnothers = 'of' in TOKENS[token] && TOKENS[token].of === 'another client'
    return source === 'open' || (isAnothers && source === 'shut') ? undefined : 'no such source'
  }
  if (typeof standing === 'string') return standing
  const { rights, covers } = standing
  switch (need) {
    case 'system':
    case 'patient':
      return rights.levels.includes(need) ? undefined : (`not at ${need} level` as const)
    case 'group':
      // To read a group is not to export it.
      if (gives === 'accepted' && !rights.levels.includes('group')) return 'not at group level'
      return rights.groups.includes(groupIn(path)) ? undefined : 'no such group'
    case 'group scope':
      return covers === 'Patient' || covers === 'nothing' ? 'no right to export the group' : undefined
    case 'read groups':
      return covers === 'Patient' || covers === 'nothing' ? 'no right to read groups' : undefined
    case 'a type':
      return covers === 'nothing' ? 'covers no type' : undefined
    case 'Observation':
      return covers === 'everything' ? undefined : 'type not covered'
    case 'export':
    case 'file': {
      const isAnothers = 'of' in TOKENS[token] && TOKENS[token].of === 'another client'
      // With another client's token its export is the caller's, and the caller's is not.
      if (job !== (isAnothers ? "another client's" : 'own')) return 'no such export'
      if (need === 'export') {
        const isCovered = covers === 'everything' || (rights.holds === 'Patient' && covers !== 'nothing')
        return isCovered ? undefined : 'export not covered'
      }
      const type = gives.startsWith('Patient') ? 'Patient' : 'Observation'
      if (type === 'Observation' && rights.holds === 'Patient') return 'no such export'
      return covers === 'everything' || (type === 'Patient' && covers !== 'nothing') ? undefined : 'file not covered'
    }
  }
}

/** Whose rights a cell has. */
export const standingOf = ({ client, token }: Cell): Standing | RefusalName => {
  const worth: Worth = TOKENS[token]
  if ('refused' in worth) return worth.refused
  const rights = worth.of === 'another client' ? ALL : CLIENTS[client]
  if (typeof rights === 'string') return 'invalid token'
  if (worth.covers !== 'all of the client') return { rights, covers: worth.covers }
  return { rights, covers: rights.scopes }
}

/** What is promised: the first thing that lacks, or what the route gives. */
export const promiseOf = (cell: Cell): { readonly refused: RefusalName } | { readonly gives: Outcome } => {
  const standing = standingOf(cell)
  for (const need of cell.route.needs) {
    const refused = lackOf(need, cell, standing)
    if (refused !== undefined) return { refused }
  }
  return { gives: cell.route.gives }
}

/** The body of a refusal. */
export const outcomeText = ({ code, says, about }: Pick<Refusal, 'code' | 'says' | 'about'>): string =>
  JSON.stringify({
    resourceType: 'OperationOutcome',
    issue: [{ severity: 'error', code, diagnostics: says, ...(about === undefined ? {} : { expression: [about] }) }],
  })

export const TOKEN_URL_PATH = '/auth/token'
export const urlOf = (path: string): string => PUBLIC_BASE + path
