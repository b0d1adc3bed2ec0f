import type { RowContext, RowFile, RowProgram } from '../../src/rows/row-program.ts'
import type { RowWork } from '../../src/rows/row-work.ts'
import { newRowProgram } from '../../src/rows/new-row-program.ts'

export const BASE = 'https://ehr.example.org/fhir/r4'
export const CONTEXT: RowContext = { vendorBases: [BASE] }

const ENCODER = new TextEncoder()

/** Blocks as a reader gives them: all in one buffer, so that one is overwritten when the next is asked for. */
export async function* cut(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0
  let buffer = new Uint8Array(0)
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = Math.max(1, sizes[turn % sizes.length] ?? bytes.length)
    if (buffer.length < size) buffer = new Uint8Array(size)
    buffer.fill(0)
    const block = bytes.subarray(at, at + size)
    buffer.set(block)
    at += size
    yield buffer.subarray(0, block.length)
  }
}

export interface Ran {
  readonly text: string
  readonly rows: readonly string[]
  readonly program: RowProgram
}

export interface How {
  readonly work?: RowWork
  readonly file?: Partial<RowFile>
  readonly context?: RowContext
  /** Lengths of the blocks, over and over. Omitted: one block. */
  readonly sizes?: readonly number[]
}

/** Runs a program over rows, and gives what came out. */
export const run = async (
  rows: readonly (string | object)[],
  { work = {}, file = {}, context = CONTEXT, sizes = [] }: How = {},
): Promise<Ran> => {
  const lines = rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`)
  const program = newRowProgram(work, { kind: 'output', type: undefined, ...file }, context)
  const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true })
  let text = ''
  for await (const block of program.run(cut(ENCODER.encode(lines.join('')), sizes)))
    text += decoder.decode(block, { stream: true })
  text += decoder.decode()
  return { text, rows: text.split('\n').slice(0, -1), program }
}
