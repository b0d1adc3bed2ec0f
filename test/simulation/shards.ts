import { afterAll, beforeAll, expect, it } from 'vitest'
import { takeOver } from './globals.ts'
import { simulate } from './simulate.ts'

/** As many test files run at the same time as there are shards. */
const SHARDS = 2
const HISTORIES = Number(process.env.SIMULATION_HISTORIES ?? 20_000)
const SEED = Number(process.env.SIMULATION_SEED ?? 1)
const PATH = process.env.SIMULATION_PATH
const DAY_MS = 86_400_000
const TOLD_EVERY = 25_000

/** Were one of these never reached, the promises would be kept for want of an occasion. */
const ENDS = [
  'complete',
  'cancelled',
  'files_unavailable',
  'job_deadline_passed',
  'kickoff_ambiguous',
  'vendor_answer_invalid',
  'vendor_failed',
  'vendor_job_failed',
  'vendor_job_lost',
  'vendor_refused_credential',
  'vendor_rejected',
]
/** So many histories reach all of them. */
const ENOUGH = 2_000

const tell = (done: number): void => {
  if (done % TOLD_EVERY === 0)
    process.stdout.write(`${done} histories, ${Math.round(process.memoryUsage().rss / 1_048_576)} MiB\n`)
}

/** One part of the histories, as a test. */
export const runShard = (shard: number): void => {
  const size = Math.ceil(HISTORIES / SHARDS)
  let giveBack: (() => void) | undefined
  beforeAll(() => {
    giveBack = takeOver()
  })
  afterAll(() => giveBack?.())

  it.skipIf(PATH !== undefined && shard > 0)(
    `keeps every promise in ${PATH === undefined ? size : 'one'} random histories [N-05, N-06, N-16, N-31, N-33, DL-02, ST-09]`,
    { timeout: DAY_MS },
    async () => {
      const { ends, steps } = await simulate({
        seed: SEED + (PATH === undefined ? shard * size : 0),
        histories: size,
        progress: tell,
        ...(PATH === undefined ? {} : { path: PATH }),
      })
      if (process.env.SIMULATION_TOLD === '1')
        process.stdout.write(`${size} histories, ${steps} steps: ${JSON.stringify(Object.fromEntries(ends))}\n`)
      if (PATH === undefined && size >= ENOUGH) expect([...ends.keys()]).toEqual(expect.arrayContaining(ENDS))
    },
  )
}
