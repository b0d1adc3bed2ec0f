import { assertionBy, NOW_SECONDS, tampered } from '../auth/support.ts'
import type { ClientName, TokenState } from './promises.ts'
import { bearer, goodToken, OPERATOR_TOKEN, type Keys } from './setup.ts'
import { hmacWithJwk, hmacWithPem, issuerToken, ourToken, unsignedToken } from './tokens.ts'

const ASKED = 'system/*.rs'

/** The header with which a client comes in a state; none where it has none. */
export const credentialOf = async (
  keys: Keys,
  state: TokenState,
  client: ClientName,
): Promise<Readonly<Record<string, string>>> => {
  const key = client === 'bound' ? keys.issuer : keys.signing
  const token = (claims: object = {}, scope = ASKED): Promise<string> =>
    client === 'bound' ? issuerToken(key, client, scope, { ...claims }) : ourToken(key, client, scope, { claims: { ...claims } })
  switch (state) {
    case 'none':
    case 'in the query':
      return {}
    case 'Bearer and nothing':
      return { Authorization: 'Bearer' }
    case 'Authorization: Basic':
      return { Authorization: `Basic ${Buffer.from(`${client}:${await token()}`).toString('base64')}` }
    case 'malformed':
      return bearer(`${await token()} and more`)
    case 'no JWT':
      return bearer('abc.def.ghi')
    case 'expired':
      return bearer(await token({ iat: NOW_SECONDS - 600, exp: NOW_SECONDS - 300 }))
    case 'wrong signature':
      return bearer(tampered(await token()))
    case "a stranger's key under our kid": {
      const stranger = { ...keys.stranger, kid: key.kid }
      const made = client === 'bound' ? issuerToken(stranger, client, ASKED) : ourToken(stranger, client, ASKED)
      return bearer(await made)
    }
    case 'alg none':
      return bearer(unsignedToken(key, client))
    case 'HMAC with the public key, PEM':
      return bearer(await hmacWithPem(key, client))
    case 'HMAC with the public key, JWK':
      return bearer(await hmacWithJwk(key, client))
    case 'wrong audience':
      return bearer(await token({ aud: 'https://elsewhere.example' }))
    case 'wrong issuer':
      return bearer(await token({ iss: 'https://elsewhere.example' }))
    case 'an assertion for a token':
      return bearer(await assertionBy(keys.client, { claims: { iss: client, sub: client } }))
    case 'by the other way in': {
      const made = client === 'bound' ? ourToken(keys.signing, client, ASKED) : issuerToken(keys.issuer, client, ASKED)
      return bearer(await made)
    }
    case 'a client that never was':
      return bearer(await ourToken(keys.signing, 'nobody', ASKED))
    case 'operator':
      return bearer(OPERATOR_TOKEN)
    case 'without scopes':
      return bearer(await token({}, ''))
    case 'narrower scope':
      return bearer(await token({}, 'system/Patient.rs'))
    case "another client's":
      return bearer(await goodToken(keys, 'other'))
    case 'valid':
      return bearer(await token())
  }
}
