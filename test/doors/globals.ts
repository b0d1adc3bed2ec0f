/* What the Workers runtime has and Node has not, as far as a request or a collected file goes through it. */

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
  Object.defineProperty(ReadableStreamBYOBReader.prototype, 'readAtLeast', { value: readAtLeast, configurable: true })
}
