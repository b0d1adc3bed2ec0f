import { tmpdir } from 'node:os'
import type { BenchRow } from '../bench.ts'
import { takeCounts, type Counts } from '../counts.ts'
import { withFacade } from '../facade.ts'
import type { Line } from '../line.ts'
import { canMeasureProcessor, processorMs } from '../processor.ts'
import { onLine } from '../statistics.ts'
import { filesGroup, runningGroup } from '../vendor.ts'
import type { Layer } from '../layer.ts'

/** What a patient's resources come to, and how much of them vendors put into a file. */
const BYTES_PER_PATIENT = 10_000
const BYTES_PER_FILE = 10_000_000
const TIMES = [1, 10, 100]
const LIVE_JOBS = [1, 10, 100, 1_000]
const MOST_ABOVE = 1.1
const NEVER_SECONDS = 3_600
const POLLS_OF_A_JOB = 3

interface Point {
  readonly size: number
  readonly counts: Counts
  readonly processorMs: number
}

const costOf = async (base: string, size: number, work: () => Promise<void>): Promise<Point> => {
  await takeCounts(base)
  const beforeMs = canMeasureProcessor ? processorMs() : NaN
  await work()
  const took = canMeasureProcessor ? processorMs() - beforeMs : NaN
  return { size, counts: await takeCounts(base), processorMs: took }
}

/** One number for what the platform bills of it; what each costs is another matter. */
const operations = ({ counts }: Point): number =>
  counts.workerRequests + counts.objectRequests + counts.rowsRead + counts.rowsWritten + counts.classA + counts.classB

/** The largest against the straight line through the first two. */
const straightness = (what: string, unit: string, points: readonly Point[], of: (point: Point) => number): Line | undefined => {
  const [first, second, last] = [points[0], points[1], points.at(-1)]
  if (first === undefined || second === undefined || last === undefined) return undefined
  const figure = of(last)
  const yardstick = onLine([first.size, of(first)], [second.size, of(second)], last.size)
  return { what, unit, figure, yardstick, ratio: figure / yardstick }
}

const counted = (line: Line | undefined): readonly Line[] =>
  line ? [{ ...line, budget: { of: 'ratio', atMost: MOST_ABOVE, isCounted: true } }] : []

const patientsLines = (layers: readonly Layer[], fewest: number): Promise<readonly Line[]> =>
  withFacade(
    { retention: 'r2', layers: [...layers, { name: 'counting' }], disk: tmpdir() },
    async ({ base, exportOf, kickOffs, client }) => {
      await exportOf(filesGroup(1, BYTES_PER_PATIENT))
      const points: Point[] = []
      for (const times of TIMES) {
        const files = times * Math.ceil((fewest * BYTES_PER_PATIENT) / BYTES_PER_FILE)
        const group = filesGroup(files, Math.ceil((times * fewest * BYTES_PER_PATIENT) / files))
        points.push(
          await costOf(base, times * fewest, async () => {
            // Few polls, so that how long it takes adds nothing.
            const [url = ''] = await kickOffs(group, 1)
            await client.manifest(url)
          }),
        )
      }
      const name = `export of ${(fewest * (TIMES.at(-1) ?? 0)).toLocaleString('en')} patients`
      return [
        ...counted(straightness(`${name}: billed operations`, 'operations', points, operations)),
        ...(canMeasureProcessor
          ? [straightness('  processor time', 'ms', points, (point) => point.processorMs)]
              .filter((line) => line !== undefined)
              .map((line): Line => ({ ...line, budget: { of: 'ratio', atMost: MOST_ABOVE } }))
          : []),
      ]
    },
  )

/** As many jobs as are live, from kick-off through some polls. */
const jobsLines = async (layers: readonly Layer[]): Promise<readonly Line[]> => {
  const points: Point[] = []
  for (const size of LIVE_JOBS) {
    const point = await withFacade(
      { retention: 'none', layers: [...layers, { name: 'counting' }] },
      async ({ base, kickOffs, client }) =>
        costOf(base, size, async () => {
          const urls = await kickOffs(runningGroup(NEVER_SECONDS), size)
          for (let poll = 0; poll < POLLS_OF_A_JOB; poll += 1)
            for (const url of urls) await (await client.fetch(url)).body?.cancel()
        }),
    )
    points.push(point)
  }
  const name = `${(LIVE_JOBS.at(-1) ?? 0).toLocaleString('en')} live jobs`
  const what = `${name}: billed operations, started and polled`
  const rate = straightness('  processor time', 'ms', points.slice(1), (point) => point.processorMs)
  return [
    ...counted(straightness(what, 'operations', points, operations)),
    ...(canMeasureProcessor && rate ? [{ ...rate, note: 'by the line through 10 and 100 jobs: that of 1 is noise' }] : []),
  ]
}

/** That cost grows with work, and with nothing else. */
export default {
  name: 'growth',
  sabotage: [{ name: 'wasteful-jobs' }, { name: 'wasteful-store', options: { grows: true } }],
  measure: async ({ layers, fewestPatients }) => [...(await patientsLines(layers, fewestPatients)), ...(await jobsLines(layers))],
} satisfies BenchRow as BenchRow
