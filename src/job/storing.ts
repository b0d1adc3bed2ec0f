import type { RowProgram } from '../rows/row-program.ts'
import { mostDecodedBytes } from '../vendor/capped-body.ts'
import type { ResumeFrom } from '../vendor/client.ts'
import { CutOff } from './file-errors.ts'
import type { KeepOn } from './keep-on.ts'
import { MAX_PUT_BLOCK_BYTES } from './part-size.ts'
import { isChanged, type Reading, type ReadingOptions } from './reading.ts'
import type { KeptUpload, UploadRecord, WholeUpload } from './upload-rows.ts'

/* What goes into the storing of one file, and what comes of it. */

/** What is known of a file once it rests with us. */
export interface StoredFile {
  readonly bytes: number
  /** Rows that are in it. */
  readonly lines: number
  /** Rows that the vendor gave. */
  readonly readLines: number
  /** Types of rows that are not in it because another file is to hold them. */
  readonly otherTypes: readonly string[]
  /** Lower-case hex, of the stored bytes. */
  readonly sha256: string
  readonly type: string | undefined
}

/** Gives the response to read: the whole file with 200, or with 206 what follows an offset that was asked for. */
export type OpenFile = (from?: ResumeFrom) => Promise<Response>

/** What rules the storing of one file. */
export interface Storing extends Pick<ReadingOptions, 'stalledMs'> {
  readonly key: string
  readonly open: OpenFile
  /** What it must hold. `undefined`: the first line tells. */
  readonly type: string | undefined
  readonly record: UploadRecord
  readonly keepOn: KeepOn
  /** A reading of it failed before: whatever its length, keep what comes. */
  readonly hasFailed?: boolean
  /** What the rows pass on their way, made anew for each reading. Omitted: nothing. */
  readonly newProgram?: (type: string | undefined) => RowProgram | undefined
  /** The program is there to change the file: its length says nothing, and no reading of it goes on where another one ended. */
  readonly isReshaped?: boolean
  /** Rows of another type may come first. */
  readonly isMixed?: boolean
}

/** Where a reading begins that is to go on behind what is stored. */
export interface Resumption {
  readonly kept: KeptUpload
  /** Bytes that are stored. */
  readonly storedBytes: number
  /** Bytes that are not asked for. Fewer, so that the reading begins with a line: programs know no halves of rows. */
  readonly offset: number
  /** The stored parts are an older version's, and are gone on with as it would have. */
  readonly isOld: boolean
}

export const storedFile = (
  { bytes, lines, leftOut = 0, otherTypes = [], sha256 }: WholeUpload & { readonly lines: number; readonly sha256: string },
  type: string | undefined,
): StoredFile => ({ bytes, lines, readLines: lines + leftOut, otherTypes, sha256, type })

/**
 * What follows the bytes that are stored already.
 *
 * @throws CutOff when these are not the stored ones, so that the file is read again from its start.
 */
export async function* behind(
  blocks: AsyncGenerator<Uint8Array>,
  storedBytes: number,
  reading: Reading,
  record: UploadRecord,
): AsyncGenerator<Uint8Array> {
  let left = storedBytes
  for await (const block of blocks) {
    if (left > 0 && isChanged(reading)) {
      record.setValidator(null)
      throw new CutOff('a row that was stored in part is not as it was')
    }
    const rest = block.subarray(Math.min(left, block.byteLength))
    left -= block.byteLength - rest.byteLength
    if (rest.byteLength > 0) yield rest
  }
}

export const readingOf = (
  { stalledMs, isMixed, hasFailed }: Storing,
  response: Response,
  onBlock: () => void,
): ReadingOptions => ({
  ...(stalledMs === undefined ? {} : { stalledMs }),
  maxBytes: mostDecodedBytes(response),
  // What is under way of a block is to be little where it may break off again.
  maxBlockBytes: hasFailed ? 0 : MAX_PUT_BLOCK_BYTES,
  mayGoOn: onBlock,
  isMixed,
})
