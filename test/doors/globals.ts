import { createHash } from 'node:crypto'

/* What the Workers runtime has and Node has not, as far as a request or a collected file goes through it. */

class DigestStream {
  readonly #hash = createHash('sha256')
  readonly #ended = Promise.withResolvers<ArrayBuffer>()
  readonly digest = this.#ended.promise

  getWriter() {
    return {
      write: async (chunk: Uint8Array): Promise<void> => void this.#hash.update(chunk),
      close: async (): Promise<void> => this.#ended.resolve(new Uint8Array(this.#hash.digest()).buffer),
      abort: async (): Promise<void> => this.#ended.reject(new Error('aborted')),
    }
  }
}

/** The length was counted before it was written here. */
class FixedLengthStream extends TransformStream {
  constructor(_bytes: number) {
    super()
  }
}

interface Reader {
  read(view: Uint8Array): Promise<{ readonly value: Uint8Array | undefined; readonly done: boolean }>
}

/** In one buffer, as the runtime does it; the last piece is shorter. */
async function readAtLeast(this: Reader, min: number, view: Uint8Array) {
  const { byteLength } = view
  let { buffer } = view
  let filled = 0
  while (filled < min) {
    const { value, done } = await this.read(new Uint8Array(buffer, filled, byteLength - filled))
    if (!value) return { value: undefined, done }
    ;({ buffer } = value)
    filled += value.byteLength
    if (done) break
  }
  return { value: new Uint8Array(buffer, 0, filled), done: filled === 0 }
}

/** Adds it, for as long as the test file runs: each has a process or thread of its own. */
export const addPlatformGlobals = (): void => {
  Object.assign(globalThis, { FixedLengthStream, IdentityTransformStream: TransformStream })
  Object.defineProperty(crypto, 'DigestStream', { value: DigestStream, configurable: true })
  Object.defineProperty(ReadableStreamBYOBReader.prototype, 'readAtLeast', { value: readAtLeast, configurable: true })
}
