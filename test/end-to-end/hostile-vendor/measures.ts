import { constants, deflateRawSync } from 'node:zlib'
import { expect } from 'vitest'
import { canMeasureMemory, MEGABYTE, runtimeProcess } from '../../scale/worker-memory.ts'
import { repeated } from './servers.ts'

export { MEGABYTE }
export const MEBIBYTE = 1024 * 1024

/** Runs work and holds the runtime to a bound, where the platform tells how much a process takes. */
export const bounded = async <T>(mostBytes: number, work: () => Promise<T>): Promise<T> => {
  if (!canMeasureMemory) return work()
  const { result, memory } = await runtimeProcess().measure(work)
  expect(memory.peakBytes - memory.idleBytes).toBeLessThan(mostBytes)
  return result
}

// RFC 1952 §2.3: no name, no time, system not known.
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])
/** A piece of gzip that can stand behind any other. */
export const compressed = (text: Buffer): Buffer => deflateRawSync(text, { finishFlush: constants.Z_FULL_FLUSH })

/** What an endless body has in it once it is decoded. */
export function* bomb(start: string, piece: Buffer): Generator<Buffer> {
  yield GZIP_HEADER
  yield compressed(Buffer.from(start))
  yield* repeated(piece)
}
