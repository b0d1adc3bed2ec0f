/**
 * What bounds the work. In memory at once: one run being filled (`runBytes` and its index), or `windowsBytes` twice, a window being used
 * while the next is on its way, and beside each two parts of an upload.
 */
export interface Sizes {
  /** Rows that are sorted in memory at a time. */
  readonly runBytes: number
  readonly runRecords: number
  /** A longer row is left out: it is parsed, which takes several times its length. */
  readonly rowBytes: number
  /** A row is left out whose repetitions, one for each of its patients, would take more than this. */
  readonly copiesBytes: number
  /** Runs that are merged at a time. */
  readonly fanIn: number
  /** All that is read ahead of all runs of a merge. */
  readonly windowsBytes: number
  /** Most of one run that is read at a time. */
  readonly windowBytes: number
  /** What is written at a time. */
  readonly batchBytes: number
  /** An object ends at the first block that begins behind this, and in the midst of a block at twice as much. */
  readonly objectBytes: number
  /** Operations of R2 after which a turn takes up nothing new: an invocation has 10,000, and collecting came first. */
  readonly operations: number
  /** How long a turn takes up new work. */
  readonly turnMs: number
}

const KIB = 1024
const MIB = 1024 * KIB

export const SIZES: Sizes = {
  runBytes: 16 * MIB,
  runRecords: 100_000,
  rowBytes: 8 * MIB,
  copiesBytes: 64 * MIB,
  fanIn: 32,
  windowsBytes: 8 * MIB,
  windowBytes: 512 * KIB,
  batchBytes: 256 * KIB,
  objectBytes: 128 * MIB,
  operations: 4_000,
  turnMs: 60_000,
}
