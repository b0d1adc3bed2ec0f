import { base64url, importJWK } from 'jose'
import type { CryptoKey } from 'jose'

/** Sizes of RSA signatures, in bytes, that keys in use make. */
const RSA_BYTES: ReadonlySet<number> = new Set([256, 384, 512])
const BITS_PER_CHARACTER = 6

const decoys = new Map<string, Promise<CryptoKey>>()

/**
 * How long a JWT's signature is, in bytes. A key of another size refuses it at once, which is measurably sooner than a key that fits.
 */
export const signatureBytes = (token: string): number =>
  Math.floor(((token.length - token.lastIndexOf('.') - 1) * BITS_PER_CHARACTER) / 8)

/** Whether checking the signature takes as long with this key as with its decoy. */
export const takesSignature = (key: CryptoKey, bytes: number): boolean =>
  !('modulusLength' in key.algorithm) || key.algorithm.modulusLength === bytes * 8

/** Nobody's keys: all ones as a modulus, since verifying asks for no primes; the curve's own base point, which is a valid one. */
const jwkOf = (alg: 'RS384' | 'ES384', bytes: number) =>
  alg === 'RS384'
    ? ({ kty: 'RSA', n: base64url.encode(new Uint8Array(bytes).fill(0xff)), e: 'AQAB' } as const)
    : ({
        kty: 'EC',
        crv: 'P-384',
        x: 'qofKIr6LBTeOscce8yCtdG4dO2KLp5uYWfdB4IJUKjhVAvJdv1UpbDpUXjhydgq3',
        y: 'NhfeSpYmLG9dnpi_kpLcKfj0Hb0omhR86doxE7XwuMAKYLHOHX6BnXpDHXyQ6g5f',
      } as const)

/**
 * A key to check a signature with when there is no other, so that the time until the refusal does not tell who is registered here.
 * Whatever it finds is to be ignored: anyone could sign for it.
 *
 * @returns `undefined` where any key would refuse at once.
 */
export const decoyKey = async (alg: 'RS384' | 'ES384', bytes: number): Promise<CryptoKey | undefined> => {
  if (alg === 'RS384' && !RSA_BYTES.has(bytes)) return undefined
  const name = alg === 'RS384' ? `${alg} ${bytes}` : alg
  const known = decoys.get(name) ?? importJWK(jwkOf(alg, bytes), alg)
  decoys.set(name, known)
  return known
}
