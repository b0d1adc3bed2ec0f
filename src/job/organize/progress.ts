/* What organizing keeps of itself between its steps. */

/**
 * `reading`: the files become sorted runs. `dropping`: the runs hold all, and the files go. `merging`: the runs become fewer, and in the
 * end output files.
 */
export type Phase = 'reading' | 'dropping' | 'merging' | 'done'

/** Where reading goes on: byte `offset` of the first file whose number is at least `file`. */
export interface Position {
  readonly file: number
  readonly offset: number
}

/** Rows that are in no block. */
export interface LeftOut {
  /** They belong to no patient. */
  readonly unrelated: number
  /** They are no resources. */
  readonly malformed: number
  /** They are too long, or belong to too many patients for their length. */
  readonly oversized: number
}

/** A run that is being merged: `taken` of its bytes are in what is being made of it. */
export interface Run {
  readonly n: number
  readonly ordinal: number
  readonly taken: number
}

/** One object of a run. Its number is also that of its upload and its key, beyond those of all files. */
export interface Segment {
  readonly n: number
  readonly bytes: number
}

/** What a merge makes of its runs: another run, or output files. */
export type MergeTarget = { readonly kind: 'run'; readonly n: number } | { readonly kind: 'output' }

/** How far the runs of a merge are. */
export type Taken = readonly { readonly n: number; readonly taken: number }[]
