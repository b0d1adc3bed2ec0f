import type { Hash } from 'node:crypto'

/** Hashes what passes, without holding it. Digests are lower-case hex. */
export class Sha256 {
  readonly #hash: Hash

  private constructor(hash: Hash) {
    this.#hash = hash
  }

  static async begin(): Promise<Sha256> {
    // Not with the rest of the Worker: this module alone takes longer to start than everything else.
    const { createHash } = await import('node:crypto')
    return new Sha256(createHash('sha256'))
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk)
  }

  /** Of what has passed by now. */
  digest(): string {
    return this.#hash.copy().digest('hex')
  }
}

const hexOf = (bytes: ArrayBuffer): string =>
  [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')

/** SHA-256 of what is held anyway, lower-case hex. */
export const sha256Of = async (bytes: Uint8Array): Promise<string> => hexOf(await crypto.subtle.digest('SHA-256', bytes))

/** SHA-256 of a text, lower-case hex of its UTF-8. */
export const sha256OfText = (text: string): Promise<string> => sha256Of(new TextEncoder().encode(text))
