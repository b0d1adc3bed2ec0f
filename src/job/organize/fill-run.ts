import { blocksOf } from '../blocks.ts'
import { MalformedRow } from '../../rows/row-program.ts'
import { PUT_BLOCK_BYTES } from '../part-size.ts'
import { newReading } from '../reading.ts'
import { keysOf } from './keys.ts'
import { LineCutter, type Line } from './line-cutter.ts'
import type { LeftOut, Position } from './progress.ts'
import type { RunBuffer } from './run-buffer.ts'
import type { Sizes } from './sizes.ts'

/** The files that are to be organized. */
interface Material {
  /** The first file whose number is at least this. */
  readonly next: (from: number) => { readonly n: number; readonly bytes: number } | undefined
  readonly open: (n: number, offset: number) => Promise<ReadableStream<Uint8Array>>
  /** Called for each block; throws when reading is to end. */
  readonly mayGoOn: () => void
  /** Whether no other file is to be opened now. */
  readonly isSpent: () => boolean
  /** Takes from a row what the client did not ask for. Absent: nothing. */
  readonly prune?: (row: Uint8Array) => Uint8Array
}

/** What was read, and how far. */
interface Filled {
  readonly position: Position
  readonly leftOut: LeftOut
  /** No file is left. */
  readonly isOver: boolean
}

/** Reads files from a position on until a run is full or none is left. @throws What reading or `mayGoOn` threw. */
export const fillRun = async (run: RunBuffer, from: Position, sizes: Sizes, material: Material): Promise<Filled> => {
  const leftOut = { unrelated: 0, malformed: 0, oversized: 0 }
  /** @returns False when there was no room. */
  const add = ({ bytes: row, length }: Line): boolean => {
    if (row?.byteLength === 0) return true
    const keys = row && keysOf(row)
    if (!row || (keys && keys.length * length > sizes.copiesBytes)) leftOut.oversized += 1
    else if (!keys) leftOut.malformed += 1
    else if (keys.length === 0) leftOut.unrelated += 1
    else {
      const whole = prunedBy(material, row)
      if (whole) return run.add(whole, keys)
      leftOut.malformed += 1
    }
    return true
  }
  let { file, offset } = from
  for (let found = material.next(file); found; found = material.next(file)) {
    if (found.n > file) offset = 0
    file = found.n
    if (offset < found.bytes) {
      const body = await material.open(file, offset)
      for await (const line of linesOf(body, sizes.rowBytes, material.mayGoOn)) {
        if (!add(line)) return { position: { file, offset }, leftOut, isOver: false }
        offset += line.length
      }
    }
    file += 1
    offset = 0
    if (material.isSpent()) break
  }
  return { position: { file, offset }, leftOut, isOver: material.next(file) === undefined }
}

/** What is left of a row; `undefined` for one that cannot be looked into, which would stop every turn at the same place. */
const prunedBy = ({ prune }: Material, row: Uint8Array): Uint8Array | undefined => {
  try {
    return prune ? prune(row) : row
  } catch (error) {
    if (error instanceof MalformedRow || error instanceof RangeError) return undefined
    throw error
  }
}

async function* linesOf(body: ReadableStream<Uint8Array>, maxBytes: number, mayGoOn: () => void): AsyncGenerator<Line> {
  const cutter = new LineCutter(maxBytes)
  for await (const block of blocksOf(body, PUT_BLOCK_BYTES, newReading(undefined, { mayGoOn }))) yield* cutter.push(block)
  yield* cutter.end()
}
