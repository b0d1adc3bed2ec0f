import { importJWK } from 'jose'
import type { CryptoKey, JWK_EC_Public, JWK_RSA_Public } from 'jose'

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

/** The type of key that makes signatures of an asymmetric algorithm. */
export const keyTypeOf = (alg: string): 'EC' | 'RSA' => (alg.startsWith('ES') ? 'EC' : 'RSA')

/** One key may serve several algorithms, and an import is for one. */
const imported = new WeakMap<RawKey, Map<string, CryptoKey>>()

/**
 * A key of a key set, ready to verify signatures of `alg`; imported once for as long as the key set is known.
 *
 * @throws Error for a key that is not meant for this, or that gives its private half away.
 */
export const verificationKey = async (key: RawKey, alg: string): Promise<CryptoKey> => {
  const imports = imported.get(key) ?? new Map<string, CryptoKey>()
  imported.set(key, imports)
  const known = imports.get(alg)
  if (known) return known
  const meant =
    (key.alg === undefined || key.alg === alg) &&
    (key.use === undefined || key.use === 'sig') &&
    (key.key_ops === undefined || (Array.isArray(key.key_ops) && key.key_ops.includes('verify')))
  const jwk = publicJwk(key)
  if (!meant || !jwk || key.d !== undefined) throw new Error(`The key is not a public key for ${alg}.`)
  const verifies = await importJWK(jwk, alg)
  imports.set(alg, verifies)
  return verifies
}
