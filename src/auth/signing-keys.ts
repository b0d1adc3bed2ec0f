import { importJWK } from 'jose'
import type { CryptoKey, JWK } from 'jose'
import * as z from 'zod/mini'
import type { Config } from '../config.ts'
import { ExportError } from '../errors.ts'
import { publicJwk } from './jwk.ts'
import type { PublicJwk } from './jwk.ts'

/** A private JWKS as JSON. Its first key signs, all of them verify. */
const SECRET = 'TOKEN_SIGNING_KEYS'

export type SigningAlgorithm = 'ES256' | 'ES384' | 'RS256'

export interface SigningKey {
  readonly kid: string
  readonly alg: SigningAlgorithm
  readonly signs: CryptoKey
  readonly verifies: CryptoKey
  readonly publicJwk: PublicJwk
}

/** Never empty: the first is the one that signs. */
export type KeyRing = readonly [SigningKey, ...SigningKey[]]

/** Made at each use, which is once per configuration: a Worker that starts has no time for it. */
const ringSchema = () => {
  const text = z.string().check(z.minLength(1))
  const key = z.looseObject({
    kty: z.enum(['EC', 'RSA']),
    kid: text,
    d: text,
    alg: z.exactOptional(text),
    crv: z.exactOptional(text),
  })
  return z.looseObject({ keys: z.array(key).check(z.minLength(1)) })
}

type PrivateRing = z.infer<ReturnType<typeof ringSchema>>
type PrivateKey = PrivateRing['keys'][number]

/** The value never appears in a message, nor does a parser's message that may quote it. */
const refuse = (path: string, reason: string): never => {
  throw new ExportError('config_invalid', `${SECRET}${path}: ${reason}`)
}

const algorithmOf = (key: PrivateKey): SigningAlgorithm | undefined => {
  const natural = key.kty === 'RSA' ? 'RS256' : key.crv === 'P-256' ? 'ES256' : key.crv === 'P-384' ? 'ES384' : undefined
  return key.alg === undefined || key.alg === natural ? natural : undefined
}

const importKey = async (key: PrivateKey, path: string): Promise<SigningKey> => {
  const alg = algorithmOf(key) ?? refuse(path, 'must be for ES256 (P-256), ES384 (P-384) or RS256 (RSA)')
  const open = publicJwk(key) ?? refuse(path, 'lacks a public member')
  const imports = async <T extends JWK & { kty: 'EC' | 'RSA' }>(jwk: T) => {
    try {
      return await importJWK(jwk, alg)
    } catch {
      return refuse(path, 'is not a valid key')
    }
  }
  const { key_ops: _, ext: __, ...closed } = key
  return {
    kid: key.kid,
    alg,
    signs: await imports(closed as JWK & { kty: 'EC' | 'RSA' }),
    verifies: await imports(open),
    publicJwk: open,
  }
}

const parse = (secret: string): PrivateRing => {
  const json = ((): unknown => {
    try {
      return JSON.parse(secret)
    } catch {
      return refuse('', 'must be a JSON Web Key Set')
    }
  })()
  const result = z.safeParse(ringSchema(), json)
  if (result.success) return result.data
  const [issue] = result.error.issues
  return refuse(`.${issue?.path.join('.') ?? ''}`.replace(/\.$/, ''), 'is missing or malformed in this private JSON Web Key Set')
}

const rings = new WeakMap<object, KeyRing>()

/**
 * The keys of our access tokens, imported once per configuration. A new key is first added at the end, so that every isolate
 * verifies it, then moved to the front; the old one goes when its last token has expired.
 *
 * @throws ExportError `config_invalid` naming the secret and the key's place in it.
 */
export const signingKeys = async (config: Pick<Config, 'secret'>): Promise<KeyRing> => {
  const known = rings.get(config)
  if (known) return known
  const { keys } = parse(config.secret(SECRET))
  if (new Set(keys.map((key) => key.kid)).size < keys.length) refuse('.keys', 'each kid must be used once')
  const [first, ...others] = await Promise.all(keys.map((key, index) => importKey(key, `.keys.${index}`)))
  if (!first) return refuse('.keys', 'must not be empty')
  const ring: KeyRing = [first, ...others]
  rings.set(config, ring)
  return ring
}
