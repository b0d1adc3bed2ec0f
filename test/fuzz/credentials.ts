import { assertionBy, NOW_SECONDS, tampered, unsecured } from '../auth/support.ts'
import { goodToken, OPERATOR_TOKEN, type Keys } from '../doors/setup.ts'
import { hmacWithJwk, issuerToken, ourToken, unsignedToken } from '../doors/tokens.ts'
import { ASSERTIONS, BAD, GOOD, goodName, type Credential } from './request.ts'

/** Every token and assertion that is sent, made once. */
export interface Credentials {
  readonly tokens: ReadonlyMap<string, string>
  readonly assertions: ReadonlyMap<string, string>
}

const ALL = 'system/*.rs'

const badToken = (keys: Keys, name: (typeof BAD)[number]): Promise<string> | string => {
  switch (name) {
    case 'none':
    case 'empty':
      return ''
    case 'malformed':
      return 'two words'
    case 'garbage':
      return 'canary.garbage.token'
    case 'expired':
      return ourToken(keys.signing, 'full', ALL, { claims: { exp: NOW_SECONDS - 1 } })
    case 'tampered':
      return ourToken(keys.signing, 'full', ALL).then(tampered)
    case 'unsigned':
      return unsignedToken(keys.signing, 'full')
    case 'hmac':
      return hmacWithJwk(keys.signing, 'full')
    case 'revoked':
      return ourToken(keys.signing, 'revoked', ALL)
    case 'audience':
      return ourToken(keys.signing, 'full', ALL, { claims: { aud: 'https://elsewhere.example' } })
    case 'crossed':
      return issuerToken(keys.issuer, 'full', ALL)
  }
}

const assertion = async (keys: Keys, name: (typeof ASSERTIONS)[number]): Promise<string> => {
  const by = (id: string, claims: object = {}): Promise<string> =>
    assertionBy(id === 'other' ? keys.otherClient : keys.client, { claims: { iss: id, sub: id, ...claims } })
  switch (name) {
    case 'full':
    case 'other':
    case 'bound':
    case 'nobody':
      return by(name)
    case 'expired':
      return by('full', { exp: NOW_SECONDS - 60 })
    case 'tampered':
      return tampered(await by('full'))
    case 'unsigned':
      return unsecured({ alg: 'none', typ: 'JWT' }, { iss: 'full', sub: 'full' })
    case 'hmac':
      return hmacWithJwk(keys.client, 'full')
    case 'audience':
      return by('full', { aud: 'https://elsewhere.example' })
    case 'foreign':
      return assertionBy(keys.otherClient, { claims: { iss: 'full', sub: 'full' } })
    case 'garbage':
      return 'canary.garbage.assertion'
  }
}

export const makeCredentials = async (keys: Keys): Promise<Credentials> => {
  const tokens = new Map<string, string>([['operator', OPERATOR_TOKEN]])
  for (const one of GOOD) tokens.set(goodName(one), await goodToken(keys, one.client, one.scope))
  for (const name of BAD) tokens.set(name, await badToken(keys, name))
  const assertions = new Map<string, string>()
  for (const name of ASSERTIONS) assertions.set(name, await assertion(keys, name))
  return { tokens, assertions }
}

/** The header as it is written, or none. */
export const authorizationOf = ({ name, form }: Credential, token: string): string | undefined => {
  if (name === 'none' || form === 'in the query') return undefined
  switch (form) {
    case 'plain':
      return `Bearer ${token}`
    case 'lower case':
      return `bearer ${token}`
    case 'spaces':
      return `  Bearer    ${token}  `
    case 'twice':
      return `Bearer ${token}, Bearer ${token}`
    case 'Basic':
      return `Basic ${token}`
    case 'quoted':
      return `Bearer "${token}"`
  }
}

/** Whose request it is, and with which scopes; nobody's for whatever does not open the door. */
export const actorOf = ({ name, form }: Credential): { readonly client: string; readonly scope: string } | undefined =>
  ['plain', 'lower case', 'spaces'].includes(form) ? GOOD.find((one) => goodName(one) === name) : undefined
