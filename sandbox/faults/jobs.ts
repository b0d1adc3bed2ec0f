import type { ExportFile } from '../export-files.ts'
import type { FaultSource } from '../faults.ts'
import type { Job, JobState, JobStore } from '../jobs.ts'
import { hugeFile, tinyFiles } from './files.ts'

/** Jobs as the vendor's routes see them. */
export interface VendorJobs extends JobStore {
  /** What a status request is told: the state, unless the switchboard says otherwise. Counts faults, so once for each request. */
  told(job: Job): JobState
  /** Whether a file that a manifest names is not there yet. */
  withheld(file: ExportFile): boolean
}

type Complete = Extract<JobState, { kind: 'complete' }>

/** What became of a job because of faults. */
interface Story {
  wasToldDone: boolean
  /** When the files of a job that was done too early are there. */
  freshAtMs?: number
  /** Files that were made up for this job, by what was asked for: the same at each poll. */
  readonly made: Map<string, readonly ExportFile[]>
}

const MAX_STORIES = 20_000
/** A job that is said to run although it is done has not much left to do. */
const NEARLY_DONE = 0.99

const twice = (files: readonly ExportFile[]): readonly ExportFile[] => files.flatMap((file) => [file, file])

/** @param elapsed The true clock, in epoch ms: what a skewed clock says is for telling only. */
export const faultyJobs = (jobs: JobStore, faults: FaultSource, elapsed: () => number): VendorJobs => {
  const stories = new Map<string, Story>()
  const madeUp = new Map<string, { readonly owner: string; readonly file: ExportFile }>()
  const withheldUntilMs = new WeakMap<ExportFile, number>()

  const withheld = (file: ExportFile): boolean => (withheldUntilMs.get(file) ?? 0) > elapsed()
  const forget = (jobId: string): void => {
    for (const file of [...(stories.get(jobId)?.made.values() ?? [])].flat()) madeUp.delete(file.id)
    stories.delete(jobId)
  }
  const storyOf = (job: Job): Story => {
    const known = stories.get(job.id)
    if (known !== undefined) return known
    if (stories.size >= MAX_STORIES) for (const id of [...stories.keys()].slice(0, MAX_STORIES / 2)) forget(id)
    const story: Story = { wasToldDone: false, made: new Map() }
    stories.set(job.id, story)
    return story
  }
  const byItsClock = (job: Job): Job => {
    const skewMs = faults.skewMs()
    return skewMs === 0 ? job : { ...job, startedAtMs: job.startedAtMs + skewMs, readyAtMs: job.readyAtMs + skewMs }
  }
  const toldByItsClock = (state: Complete): Complete => {
    const skewMs = faults.skewMs()
    return { ...state, finishedAtMs: state.finishedAtMs + skewMs, expiresAtMs: state.expiresAtMs + skewMs }
  }
  const madeFor = (job: Job, key: string, make: () => readonly ExportFile[]): readonly ExportFile[] => {
    const story = storyOf(job)
    const known = story.made.get(key)
    if (known !== undefined) return known
    const files = make()
    story.made.set(key, files)
    for (const file of files) madeUp.set(file.id, { owner: job.owner, file })
    return files
  }
  const filesOf = (job: Job, files: readonly ExportFile[]): readonly ExportFile[] => {
    const fault = faults.take('status', ['many-files', 'huge-file'])
    if (fault === undefined) return files
    return fault.kind === 'many-files'
      ? madeFor(job, `many ${fault.files}`, () => tinyFiles(fault.files))
      : madeFor(job, `huge ${fault.bytes} ${fault.gzip}`, () => [hugeFile(fault.bytes, fault.gzip === true)])
  }

  /** Ends the job if it is to be done too early. */
  const hurry = (job: Job, story: Story): void => {
    if (story.freshAtMs !== undefined || !jobs.isPrepared(job)) return
    const early = faults.take('status', ['done-early'])
    if (early === undefined) return
    story.freshAtMs = elapsed() + early.ms
    jobs.finish(job)
  }

  return {
    ...jobs,
    find: (id, owner) => {
      const job = jobs.find(id, owner)
      // Not for a stranger's sake: the job may be somebody's.
      if (jobs.byId(id) === undefined) forget(id)
      return job === undefined ? undefined : byItsClock(job)
    },
    told: (job) => {
      const before = jobs.state(job)
      if (before.kind === 'cancelled' || before.kind === 'failed') return before
      if (faults.take('status', ['never-done']) !== undefined)
        return before.kind === 'running' ? before : { kind: 'running', fraction: NEARLY_DONE }
      const story = storyOf(job)
      hurry(job, story)
      const state = jobs.state(job)
      if (state.kind !== 'complete') return state
      if (story.wasToldDone && faults.take('status', ['back-to-running']) !== undefined)
        return { kind: 'running', fraction: NEARLY_DONE }
      story.wasToldDone = true
      const files = filesOf(job, state.files)
      if (story.freshAtMs !== undefined)
        for (const file of [...files, ...state.errors]) withheldUntilMs.set(file, story.freshAtMs)
      const isDouble = faults.take('status', ['duplicates']) !== undefined
      return toldByItsClock({
        ...state,
        files: isDouble ? twice(files) : files,
        errors: isDouble ? twice(state.errors) : state.errors,
      })
    },
    withheld,
    cancel: (job) => {
      forget(job.id)
      jobs.cancel(job)
    },
    file: (id, owner) => {
      const made = madeUp.get(id)
      const file = made === undefined ? jobs.file(id, owner) : made.owner === owner ? made.file : undefined
      return file === undefined || withheld(file) ? undefined : file
    },
    running: (owner) => (faults.peek('status', ['never-done']) === undefined ? jobs.running(owner) : jobs.unended(owner)),
  }
}
