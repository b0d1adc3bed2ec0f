import type { Sizes } from '../../src/job/organize/sizes.ts'

/** Sizes of organizing that take the place of the deployed ones: a few rows make several runs, merges and output files. */
export const SIZES: Sizes = {
  runBytes: 260,
  runRecords: 100,
  rowBytes: 200,
  copiesBytes: 400,
  fanIn: 2,
  windowsBytes: 160,
  windowBytes: 80,
  batchBytes: 60,
  objectBytes: 100,
  operations: 12,
  turnMs: 60_000,
}
