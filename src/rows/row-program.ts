import type { FileKind } from '../fhir/manifest.ts'
import type { RowWork } from './row-work.ts'

/** The file whose rows pass. */
export interface RowFile {
  readonly kind: FileKind
  /** The type of the rows that are wanted. `undefined`: that of the first row. */
  readonly type: string | undefined
  /** Types that may be delivered; absent when all may. */
  readonly types?: readonly string[]
  /** Blocks of several types, which are not to be parted. */
  readonly isMixed?: true
}

/** What rows may hold that is the vendor's alone, and what it becomes. */
export interface RowContext {
  /** Addresses without a slash at their end under which a reference, written absolutely, is to a resource of this export [KO-17]. */
  readonly vendorBases: readonly string[]
  /**
   * Our address of an attachment that lies at the vendor; `undefined` for one that lies elsewhere, and is left as it is [FI-14].
   * Absent: all are left.
   */
  readonly attachmentUrl?: (
    url: string,
    about: { readonly type: string; readonly contentType?: string },
  ) => Promise<string | undefined>
}

/** Rows on their way: clean NDJSON goes in, and what the client is to have comes out. One object for one reading. */
export interface RowProgram {
  /**
   * @param blocks Clean NDJSON, cut anywhere; each block good until the next is asked for, and so are those that come out.
   * @throws MalformedRow for a row that has to be looked into and cannot be.
   */
  run(blocks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array>
  /** Rows that went in so far. */
  readonly readLines: number
  /** Rows that came out so far. */
  readonly lines: number
  /** Whether what came out so far is not byte for byte what went in. */
  readonly isChanged: boolean
  /** Types of rows that were left out because the file should hold one type alone [FI-06], [N-22]. */
  readonly otherTypes: ReadonlySet<string>
}

/** A row that is not what it should be: no JSON object, or longer than may be held in memory. */
export class MalformedRow extends Error {}

export type NewRowProgram = (work: RowWork, file: RowFile, context: RowContext) => RowProgram
