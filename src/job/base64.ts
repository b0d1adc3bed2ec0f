import { MalformedFile } from './file-errors.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const PADDING = 64
const BLANK = 65
const NONE = 255

/** Byte → its six bits, or what else it is. */
const VALUES = new Uint8Array(256).fill(NONE)
for (let value = 0; value < ALPHABET.length; value++) VALUES[ALPHABET.charCodeAt(value)] = value
VALUES['='.charCodeAt(0)] = PADDING
for (const blank of ' \t\r\n') VALUES[blank.charCodeAt(0)] = BLANK

/** Decodes base64 that is cut anywhere. Blanks are passed over. */
export class Base64Decoder {
  #bits = 0
  /** Characters so far of the group of four. */
  #filled = 0
  #padding = 0

  /**
   * @param out Has room for three bytes of each four that come, and two more. @returns How many bytes lie in it then.
   * @throws MalformedFile
   */
  push(encoded: Uint8Array, out: Uint8Array, length: number): number {
    let at = length
    for (const byte of encoded) {
      const value = VALUES[byte] ?? NONE
      if (value === BLANK) continue
      if (value === NONE || (value !== PADDING && this.#padding > 0)) throw malformed()
      if (value === PADDING) this.#padding += 1
      this.#bits = (this.#bits << 6) | (value & 63)
      this.#filled += 1
      if (this.#filled < 4) continue
      if (this.#padding > 2) throw malformed()
      out[at] = this.#bits >> 16
      if (this.#padding < 2) out[at + 1] = this.#bits >> 8
      if (this.#padding < 1) out[at + 2] = this.#bits
      at += 3 - this.#padding
      this.#bits = this.#filled = 0
    }
    return at
  }

  /** @throws MalformedFile when it does not end where it may. */
  end(): void {
    if (this.#filled > 0) throw malformed()
  }
}

const malformed = (): MalformedFile => new MalformedFile('is a Binary whose data is no base64')
