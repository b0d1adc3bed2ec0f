import type { Line } from './line.ts'
import type { Layer } from './layer.ts'

/** How much is measured. */
export interface Scale {
  readonly runs: number
  /** Of what takes a minute or more each time. */
  readonly slowRuns: number
  /** Of what is a rate, which many short runs tell better than few long ones: a disturbance meets few of them. */
  readonly rateRuns: number
  /** How long each run of a rate lasts. */
  readonly rateSeconds: number
  /** Jobs that are polled: so many that no client of any job is told to wait. */
  readonly jobs: number
  /** Bytes of the one huge file. */
  readonly bytes: number
  /** Bytes of the one file whose memory is measured. */
  readonly memoryBytes: number
  readonly files: number
  readonly liveJobs: number
  readonly patients: number
  /** The smallest of three numbers of patients, each ten times the one before. */
  readonly fewestPatients: number
  /** Clients that poll for ten minutes, and how many of those pass in a real one. */
  readonly clients: number
  readonly clockTimes: number
}

/** What a row is given. */
export interface Bench extends Scale {
  /** Lie over the facade and over no yardstick. */
  readonly layers: readonly Layer[]
}

/** One row: something of ours, measured in turn with the least that a correct program must do. */
export interface BenchRow {
  readonly name: string
  /** What makes this row miss its budget, to see that it would. */
  readonly sabotage: readonly Layer[]
  measure(bench: Bench): Promise<readonly Line[]>
}

const MEGABYTE = 1_000_000

export const USUAL: Scale = {
  runs: 5,
  // The fewest that have a spread: with more of them the benchmark would take an hour.
  slowRuns: 2,
  rateRuns: 12,
  rateSeconds: 0.7,
  jobs: 2_000,
  bytes: 1_000 * MEGABYTE,
  memoryBytes: 1_000 * MEGABYTE,
  files: 20_000,
  liveJobs: 5_000,
  patients: 20_000,
  fewestPatients: 1_000,
  clients: 1_000,
  clockTimes: 8,
}

export const FULL: Scale = { ...USUAL, memoryBytes: 5_000 * MEGABYTE }

/** Every row is run and none measured. */
export const QUICK: Scale = {
  runs: 1,
  slowRuns: 1,
  rateRuns: 1,
  rateSeconds: 0.3,
  jobs: 96,
  bytes: 16 * MEGABYTE,
  memoryBytes: 64 * MEGABYTE,
  files: 400,
  liveJobs: 100,
  patients: 50,
  fewestPatients: 20,
  clients: 20,
  clockTimes: 30,
}
