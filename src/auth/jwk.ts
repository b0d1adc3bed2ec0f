import type { JWK_EC_Public, JWK_RSA_Public } from 'jose'

/** A key of a key set, as it was written. */
export type RawKey = Readonly<Record<string, unknown>>

export type PublicJwk = (JWK_EC_Public & { kty: 'EC' }) | (JWK_RSA_Public & { kty: 'RSA' })

/** The public members of an EC or RSA key and nothing else; `undefined` for any other key, or when one is missing. */
export const publicJwk = (key: RawKey): PublicJwk | undefined => {
  const { kty, crv, x, y, n, e } = key
  if (kty === 'EC' && typeof crv === 'string' && typeof x === 'string' && typeof y === 'string') return { kty, crv, x, y }
  if (kty === 'RSA' && typeof n === 'string' && typeof e === 'string') return { kty, n, e }
  return undefined
}
