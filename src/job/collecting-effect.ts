import type { Permit } from '../source/breaker.ts'
import type { VendorClient } from '../vendor/client.ts'
import { blockMsOf, type Source } from '../vendor/source.ts'
import { BucketError } from './bucket.ts'
import { collect } from './collect.ts'
import { turnOf } from './keep-on.ts'
import type { Job, JobEvent } from './model.ts'
import { BUCKET_RETRY } from './mishaps.ts'
import { addNotes } from './notes.ts'
import { organizeIssues } from './organize/organize-issues.ts'
import { organize } from './organize/organize.ts'
import { RowPrograms } from './row-context.ts'
import type { JobStorage } from './storage.ts'
import type { UrlRefresher } from './url-refresher.ts'

/** What one turn of collecting needs of the world. */
export interface CollectingTurn {
  readonly job: Job
  readonly source: Source
  readonly client: VendorClient
  readonly storage: JobStorage
  readonly bucket: R2Bucket
  readonly publicBase: string
  readonly refresher: UrlRefresher
  /** Asks the gate whether the source may be asked. */
  readonly permit: () => Promise<Permit>
  /** Tells the gate how the source is. */
  readonly report: (isReached: boolean, isProbe: boolean) => Promise<void>
  /** False as soon as the job was cancelled. */
  readonly wanted: () => boolean
}

/** Brings files to R2, and once all are there makes of them what the client is to have. */
export const collectingEvent = async (turn: CollectingTurn): Promise<JobEvent> => {
  const { job, source, client, storage, bucket, publicBase, refresher, report, wanted } = turn
  const startedMs = Date.now()
  // What is at rest with us is organized whether the source is there or not.
  const permit: Permit = storage.files.progress().pending > 0 ? await turn.permit() : { kind: 'granted', isProbe: false }
  if (permit.kind === 'refused') return { kind: 'held', retryMs: permit.retryMs }
  let owesReport = permit.isProbe
  let hasFailed = false
  const result = await collect({
    jobId: job.jobId,
    storage,
    bucket,
    client,
    types: job.types,
    programs: new RowPrograms(job, source, client, publicBase),
    isMaterial: job.organizeBy !== undefined,
    isOrganized: job.organizedBy !== undefined,
    retryMs: job.rules.retryMs,
    stalledMs: blockMsOf(source),
    refresher,
    wanted,
    reached: async (isReached) => {
      // A turn is one permit, and so no more than one failure, however many of its files are broken.
      if (isReached ? !owesReport : hasFailed) return
      const isProbe = owesReport
      owesReport = false
      hasFailed ||= !isReached
      await report(isReached, isProbe)
    },
  })
  if (result.kind === 'paused') return { kind: 'collecting-paused', retryMs: result.retryMs }
  const waitMs = job.organizeBy === undefined ? undefined : await organizeFor(turn, startedMs)
  if (waitMs !== undefined) return { kind: 'collecting-paused', retryMs: waitMs }
  return collected(job, storage, wanted)
}

/** What works on files that are at rest with us. */
type AtRest = Pick<CollectingTurn, 'job' | 'storage' | 'bucket' | 'wanted'>

/** @returns How long to wait for the next turn of it; `undefined` once it is done. */
const organizeFor = async ({ job, storage, bucket, wanted }: AtRest, startedMs: number): Promise<number | undefined> => {
  const keepOn = turnOf(wanted, startedMs)
  try {
    const elements = job.rows?.elements
    const organizing = { jobId: job.jobId, rows: storage.organizing, bucket, keepOn }
    const result = await organize({ ...organizing, ...(elements === undefined ? {} : { elements }) })
    return result.kind === 'paused' ? result.retryMs : undefined
  } catch (error) {
    if (error instanceof BucketError) return BUCKET_RETRY * job.rules.retryMs
    throw error
  }
}

/** Turns of organizing that one invocation can pay for. */
const LAST_TURNS = 2

/** Time is up: what is still to come is not waited for any more, and what is at rest is organized as far as one last turn goes. */
export const givenUp = async (turn: AtRest): Promise<JobEvent> => {
  const { job, storage, wanted } = turn
  storage.files.failPending()
  if (job.organizeBy !== undefined) {
    const startedMs = Date.now()
    let isDone = false
    for (let turns = 0; turns < LAST_TURNS && !isDone; turns++) isDone = (await organizeFor(turn, startedMs)) === undefined
    if (!isDone) storage.organizing.giveUp()
  }
  return collected(job, storage, wanted)
}

/** All files are settled, or given up: what went wrong is written down. */
const collected = async (job: Job, storage: JobStorage, isCollecting: () => boolean): Promise<JobEvent> => {
  const { files, organizing } = storage
  if (isCollecting()) await addNotes(files, job, job.organizeBy === undefined ? [] : organizeIssues(organizing))
  const { ready, failed } = files.progress()
  return { kind: 'collected', delivered: ready, failed }
}
