import { jsonOf, send, type Exchange } from '../exchange.ts'
import { FHIR_JSON, isClientError, isJson, textOf } from '../fhir.ts'
import { filesIn, resourcesOf } from '../files.ts'
import { assertionOf, tokenRequest, type AssertionChange, type SigningClient } from '../tokens.ts'
import { NotHad } from '../verdict.ts'
import type { Check, Context } from './check.ts'

const KICKOFF_HEADERS = { Accept: FHIR_JSON, Prefer: 'respond-async' }
const isUnauthorized = ({ status }: Exchange): boolean => status === 401 || status === 400 || status === 403

const access: Check = {
  ids: ['AU-16', 'AU-17', 'AU-19', 'AU-20'],
  run: async ({ server, exports, find }) => {
    const url = await server.exportPath(await server.mainLevel())
    const bare = await send({ url, headers: KICKOFF_HEADERS })
    find.shall('AU-16', isUnauthorized(bare), `a kick-off without a token is answered with ${bare.status}`, bare)
    const isBearer = !isUnauthorized(bare) || (bare.status === 401 && /^bearer\b/i.test(bare.headers['www-authenticate'] ?? ''))
    find.should(
      'AU-20',
      isBearer,
      `no token is ${bare.status}, and WWW-Authenticate is ${bare.headers['www-authenticate'] ?? 'missing'}`,
      bare,
    )
    const forged = await send({ url, headers: { ...KICKOFF_HEADERS, Authorization: 'Bearer not-a-token' } })
    find.shall('AU-16', isUnauthorized(forged), `a kick-off with a token that is none is answered with ${forged.status}`, forged)
    if ((await server.levels()).includes('group')) {
      const foreign = await exports.outcome({ level: 'group', groupId: 'no-such-group-0' })
      find.shall(
        'AU-19',
        isClientError(foreign),
        `a group that the client does not know is answered with ${foreign.status}`,
        foreign,
      )
    } else find.skip('AU-19', 'no group is exported')
    const { statusUrl } = await exports.complete()
    const poll = await send({ url: statusUrl ?? '', headers: { Accept: 'application/json' } })
    find.shall(
      'AU-17',
      isUnauthorized(poll) || poll.status === 404,
      `a status request without a token is answered with ${poll.status}`,
      poll,
    )
  },
}

/** The client whose key the suite has. @throws NotHad */
const signing = ({ server }: Context): SigningClient => {
  const { client } = server.settings.tokens
  if (client === undefined) throw new NotHad('shown only with --client-id and --key, which let the suite ask for tokens itself')
  return client
}

const NARROW = 'system/Patient.rs system/Group.rs'

const scopes: Check = {
  ids: ['KO-14', 'AU-15', 'AU-17', 'AU-18', 'AU-19'],
  run: async (context) => {
    const client = signing(context)
    const { server, exports, find } = context
    const v1 = await tokenRequest(client, { scope: 'system/*.read' })
    const v2 = await tokenRequest(client, { scope: 'system/*.rs' })
    find.should('AU-15', v1.status === 200, `system/*.read is answered with ${v1.status}`, v1)
    find.should('AU-15', v2.status === 200, `system/*.rs is answered with ${v2.status}`, v2)
    const beyond = await exports.probe({ params: [['_type', 'Patient,Condition']], scope: NARROW })
    find.should('AU-18', isClientError(beyond), `_type beyond the token is answered with ${beyond.status}`, beyond)
    const narrow = await exports.run({ scope: NARROW })
    const evidence = narrow.polls.at(-1) ?? narrow.kickoff
    const others = resourcesOf(narrow).filter(({ resourceType }) => resourceType !== 'Patient' && resourceType !== 'Group')
    find.shall('KO-14', others.length === 0, `${others.length} resources come that the token does not cover`, evidence)
    const wide = await exports.complete()
    const condition = filesIn(wide, 'output').find(({ item }) => item['type'] === 'Condition')
    if (condition !== undefined && wide.manifest['requiresAccessToken'] !== false && server.trusts(condition.url)) {
      const file = await send({ url: condition.url, headers: await server.authorization(NARROW) })
      find.shall('AU-17', isClientError(file), `a file of a type that the token does not cover is ${file.status}`, file)
    }
    if ((await server.levels()).includes('group')) {
      const ungrouped = await exports.outcome({ level: 'group', params: [['_type', 'Patient']], scope: 'system/Patient.rs' })
      find.should('AU-19', isClientError(ungrouped), 'a group is exported to a token that may not read it', ungrouped)
    }
  },
}

const OAUTH_ERRORS = [
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
]
const FIELDS = ['grant_type', 'scope', 'client_assertion_type', 'client_assertion'] as const

const isTokenRefusal = ({ status }: Exchange): boolean => status === 400 || status === 401

const tokenRequests: Check = {
  ids: ['AU-04', 'AU-11', 'AU-12', 'AU-13', 'AU-14'],
  run: async (context) => {
    const client = signing(context)
    const { find } = context
    const refusedWith = (exchange: Exchange, codes: readonly string[]): void => {
      const body = jsonOf(exchange)
      const code = isJson(body) ? textOf(body['error']) : ''
      find.shall('AU-11', codes.includes(code), `a refused token request has the error ${code || 'missing'}`, exchange)
    }
    for (const field of FIELDS) {
      const answer = await tokenRequest(client, { [field]: undefined })
      find.shall('AU-04', isTokenRefusal(answer), `a token request without ${field} is answered with ${answer.status}`, answer)
      if (isTokenRefusal(answer)) refusedWith(answer, OAUTH_ERRORS)
    }
    const grant = await tokenRequest(client, { grant_type: 'password' })
    refusedWith(grant, ['unsupported_grant_type'])
    const forged = await tokenRequest(client, { client_assertion: 'e30.e30.e30' })
    refusedWith(forged, ['invalid_client'])
    const good = await tokenRequest(client)
    const token = jsonOf(good)
    if (!isJson(token)) return find.shall('AU-12', false, 'the token response is no JSON', good)
    const isComplete =
      textOf(token['access_token']) !== '' &&
      textOf(token['token_type']).toLowerCase() === 'bearer' &&
      typeof token['expires_in'] === 'number' &&
      textOf(token['scope']) !== ''
    find.shall('AU-12', isComplete, 'access_token, token_type, expires_in or scope is missing', good)
    find.should(
      'AU-13',
      Number(token['expires_in']) <= MOST_SECONDS,
      `a token lives for ${Number(token['expires_in'])} seconds`,
      good,
    )
    find.should('AU-13', token['refresh_token'] === undefined, 'there is a refresh token', good)
    const greedy = await tokenRequest(client, { scope: `${client.scope} user/*.cruds patient/*.cruds` })
    const granted = jsonOf(greedy)
    const scope = isJson(granted) ? textOf(granted['scope']) : ''
    find.shall('AU-14', !/user\/|patient\//.test(scope), `scopes that nobody may have are granted: ${scope}`, greedy)
    return undefined
  },
}

const MOST_SECONDS = 300
const AN_HOUR_SECONDS = 3_600

const assertions: Check = {
  ids: ['AU-05', 'AU-06', 'AU-07', 'AU-08', 'AU-09'],
  run: async (context) => {
    const client = signing(context)
    const { find } = context
    const now = Math.floor(Date.now() / 1000)
    const cases: readonly (readonly [string, string, AssertionChange])[] = [
      ['AU-05', 'has expired', { claims: { exp: now - AN_HOUR_SECONDS } }],
      ['AU-05', 'lives for an hour', { claims: { exp: now + AN_HOUR_SECONDS } }],
      ['AU-05', 'has no exp', { claims: { exp: undefined } }],
      ['AU-05', 'is for another audience', { claims: { aud: 'https://other.example/token' } }],
      ['AU-05', 'has another sub than iss', { claims: { sub: 'somebody-else' } }],
      ['AU-05', 'has no jti', { claims: { jti: undefined } }],
      ['AU-05', 'names an unknown key', { header: { kid: 'no-such-key' } }],
      ['AU-08', 'is of an unknown client', { claims: { iss: 'no-such-client', sub: 'no-such-client' } }],
      ['AU-09', 'has the jku of somebody else', { header: { jku: 'https://other.example/jwks.json' } }],
    ]
    for (const [id, what, change] of cases) {
      const answer = await tokenRequest(client, { client_assertion: await assertionOf(client, change) })
      find.shall(id, isTokenRefusal(answer), `an assertion that ${what} is answered with ${answer.status}`, answer)
    }
    const assertion = await assertionOf(client)
    const first = await tokenRequest(client, { client_assertion: assertion })
    find.shall(
      'AU-06',
      first.status === 200,
      `an assertion signed with ${client.key.alg ?? 'the key'} is answered with ${first.status}`,
      first,
    )
    const replayed = await tokenRequest(client, { client_assertion: assertion })
    find.shall(
      'AU-07',
      isTokenRefusal(replayed),
      `an assertion that was used before is answered with ${replayed.status}`,
      replayed,
    )
  },
}

export const securityChecks: readonly Check[] = [access, scopes, tokenRequests, assertions]
