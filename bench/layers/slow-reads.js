import { burn } from './burn.js'

const kept = []

/** Every block that is read of a body takes longer, and stays in memory where `keeps` is given, so many times. */
export const layer = (worker, { stepsPerKilobyte = 0, keeps = 0 }) => {
  const { readAtLeast } = ReadableStreamBYOBReader.prototype
  ReadableStreamBYOBReader.prototype.readAtLeast = async function readSlowly(least, view) {
    const result = await readAtLeast.call(this, least, view)
    if (result.value) {
      burn((result.value.byteLength / 1_000) * stepsPerKilobyte)
      for (let copy = 0; copy < keeps; copy += 1) kept.push(result.value.slice())
    }
    return result
  }
  return worker
}
