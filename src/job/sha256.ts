/** Hashes what is written, without holding it. */
export class Sha256 {
  readonly #stream = new crypto.DigestStream('SHA-256')
  readonly #writer = this.#stream.getWriter()

  write(chunk: Uint8Array): Promise<void> {
    return this.#writer.write(chunk)
  }

  /** Lower-case hex; nothing can be written afterwards. */
  async hex(): Promise<string> {
    await this.#writer.close()
    return hexOf(await this.#stream.digest)
  }

  async discard(): Promise<void> {
    this.#stream.digest.catch(() => undefined)
    await this.#writer.abort()
  }
}

const hexOf = (bytes: ArrayBuffer): string =>
  [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')

/** SHA-256 of what is held anyway, lower-case hex. */
export const sha256Of = async (bytes: Uint8Array): Promise<string> => hexOf(await crypto.subtle.digest('SHA-256', bytes))

/** SHA-256 of a text, lower-case hex of its UTF-8. */
export const sha256OfText = (text: string): Promise<string> => sha256Of(new TextEncoder().encode(text))
