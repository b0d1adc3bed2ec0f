import { exportGroup, SOURCES, startWorld, type World } from '../support.ts'
import { TYPES } from './content.ts'
import type { Row, SourceId, SourceLimits } from './row.ts'

export const HIDDEN_JOB_SECONDS = 0.3

/** The engine's waits after failures, a thousandth of those deployed; rules hold at any pace. */
const SERVICE = {
  vendorPollFloorSeconds: 0.1,
  retrySeconds: 0.001,
  retryAfterMinSeconds: 1,
  statusRequestsPerMinute: 10_000,
}
const SOURCE: SourceLimits = {
  pollSeconds: 0.1,
  maxPollSeconds: 60,
  responseSeconds: 20,
  blockSeconds: 20,
  deadlineSeconds: 40,
  stallSeconds: 40,
  hiddenJobSeconds: HIDDEN_JOB_SECONDS,
}

/** Every row has sources of its own, so that no circuit, slot or token of one row is another's. */
export const sourceIdOf = (rows: readonly Row[], row: Row, id: SourceId): string => `${id}-${rows.indexOf(row)}`

/** A world with the sources of some rows, and those that it always has. */
export const startFaultyWorld = (rows: readonly Row[]): ReturnType<typeof startWorld> =>
  startWorld({ patients: 2, jobSeconds: 0.05 }, undefined, (sandbox) => ({
    limits: SERVICE,
    sources: Object.fromEntries(
      SOURCES.flatMap((id) => {
        const source = sandbox.sources[id]
        if (source === undefined) throw new Error(`no source ${id}`)
        const limited = (limits: Partial<SourceLimits> = {}) => ({ ...source, limits: { ...SOURCE, ...limits } })
        return [[id, limited()] as const, ...rows.map((row) => [sourceIdOf(rows, row, id), limited(row.limits)] as const)]
      }),
    ),
  }))

/** How many files an export has at a vendor that is well. */
export const countFiles = async (world: World, id: SourceId): Promise<number> =>
  (await exportGroup(world, id, `?_type=${TYPES.join()}`)).manifest.output.length
