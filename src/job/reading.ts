import { NdjsonScanner } from '../rows/ndjson-scanner.ts'
import type { RowProgram } from '../rows/row-program.ts'
import { DEFAULT_LIMITS } from '../vendor/adapter.ts'
import { CutOff, MalformedFile } from './file-errors.ts'

/** A block that takes longer than this will not come: even 5 MiB are then slower than 18 kB/s. */
export const STALLED_MS = DEFAULT_LIMITS.blockSeconds * 1000

/** One reading of a file. */
export interface Reading {
  /** What a file must hold. `undefined`: the first line tells. */
  readonly type: string | undefined
  /** Cleans and counts what passes. */
  readonly scanner: NdjsonScanner
  /** What the clean rows pass. `undefined`: nothing. */
  readonly program: RowProgram | undefined
  /** Rows of another type may come first: the file was looked at before. */
  readonly isMixed: boolean
  /** Set when the body was gzip without saying so, or a file in a Binary: its announced length is not that of its lines. */
  recoded: boolean
  /** Bytes as they came. */
  rawBytes: number
  /** The body is the rest of a file whose start was looked at before. */
  readonly goesOn: boolean
  readonly stalledMs: number
  readonly maxBlockBytes: number
  readonly maxBytes: number
  readonly mayGoOn: () => void
}

/** What rules one reading. */
export interface ReadingOptions {
  /** A block that takes longer will not come. Omitted: `STALLED_MS`. */
  readonly stalledMs?: number
  /** How large blocks may become; what is under way of one is lost when the source breaks off. Omitted: as large as the first. */
  readonly maxBlockBytes?: number
  /** The most that the body may hold. Omitted: any number. */
  readonly maxBytes?: number
  /** Called for each block; throws when reading is to end. */
  readonly mayGoOn?: () => void
  /** The body goes on in the midst of a file: whether what came before ended a line. */
  readonly goesOn?: { readonly atLineStart: boolean }
  readonly program?: RowProgram | undefined
  readonly isMixed?: boolean | undefined
}

export const newReading = (
  type: string | undefined,
  {
    stalledMs = STALLED_MS,
    maxBlockBytes = 0,
    maxBytes = Infinity,
    mayGoOn = () => undefined,
    goesOn,
    program,
    isMixed = false,
  }: ReadingOptions = {},
): Reading => ({
  type,
  // A program counts the rows that it sees.
  scanner: new NdjsonScanner(goesOn, program === undefined),
  program,
  isMixed,
  recoded: false,
  rawBytes: 0,
  goesOn: goesOn !== undefined,
  stalledMs,
  maxBlockBytes,
  maxBytes,
  mayGoOn,
})

/** Whether what came out is not byte for byte what came in. */
export const isChanged = ({ scanner, recoded, program }: Reading): boolean =>
  scanner.changed || recoded || program?.isChanged === true

/** What is known of the rows by now: those that came out, those that were left out, and the types of which none may stay. */
export const rowsOf = ({ scanner, program }: Reading): { lines: number; leftOut: number; otherTypes: readonly string[] } => {
  const { lines, readLines, otherTypes } = program ?? { lines: scanner.lines, readLines: scanner.lines, otherTypes: [] }
  return { lines, leftOut: readLines - lines, otherTypes: [...otherTypes] }
}

/**
 * Compares what came with what was announced.
 *
 * @param offset Bytes that this reading left out. @throws CutOff, MalformedFile
 */
export const checkLength = ({ rawBytes }: Reading, offset: number, length: number | undefined): void => {
  if (length === undefined) return
  if (offset + rawBytes < length) throw new CutOff('shorter than announced')
  if (offset + rawBytes > length) throw new MalformedFile('is longer than announced')
}
