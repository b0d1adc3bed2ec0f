import { statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { build } from '../../sandbox/build.ts'
import { bounded, isMissed, seconds, table, tell, type Figure } from './figures.ts'
import { collected, passThrough } from './huge-file.ts'
import { manyFiles } from './many-files.ts'
import { manyJobs, polledAndNot, USUAL_INTERVAL_SECONDS } from './many-jobs.ts'
import { removeDirectories } from './stack.ts'
import { canMeasureMemory } from './worker-memory.ts'

const USAGE = `Options:
  --only PART    files, through, collect, jobs or polls; all of them by default
  --files N      files of the one job (default 20000)
  --bytes N      length of the huge file (default 5000000000)
  --jobs N       jobs at once (default 5000)
  --interval N   seconds between two status requests to the vendor of one job (default ${USUAL_INTERVAL_SECONDS})`

/** How long the vendor works on each of many jobs, at least: all must be started before the first ends. */
const JOBS_MS = 200_000
const COMPARED_ASKS = 5
const COMPARED_SHARE = 10
/** Of the free disk, the file and its copies in temporary places of the simulator must not take more. */
const DISK_COPIES = 2.2

const refuse = (problem: string): never => {
  process.stderr.write(`${problem}\n\n${USAGE}\n`)
  process.exit(2)
}

const wholeNumber = (value: string, name: string): number =>
  /^[1-9]\d{0,10}$/.test(value) ? Number(value) : refuse(`--${name}: a whole number`)

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    files: { type: 'string', default: '20000' },
    bytes: { type: 'string', default: '5000000000' },
    jobs: { type: 'string', default: '5000' },
    interval: { type: 'string', default: String(USUAL_INTERVAL_SECONDS) },
  },
})
const files = wholeNumber(values.files, 'files')
const asked = wholeNumber(values.bytes, 'bytes')
const jobs = wholeNumber(values.jobs, 'jobs')
const intervalMs = 1_000 * wholeNumber(values.interval, 'interval')

/** The huge file must fit on the disk, on its own. */
const bytesThatFit = async (): Promise<number> => {
  const { bavail, bsize } = await statfs(tmpdir())
  const fitting = Math.floor((bavail * bsize) / DISK_COPIES)
  if (fitting >= asked) return asked
  tell(`  ${tmpdir()} has room for ${fitting} bytes only: collecting those instead of ${asked}`)
  return fitting
}

const NO_MEMORY = 'skipped: this system does not tell the memory of another process'

const parts: Readonly<Record<string, () => Promise<Figure[]>>> = {
  files: () => manyFiles(files),
  through: async () => (canMeasureMemory ? passThrough(asked) : [{ what: 'a huge file streamed through', figure: NO_MEMORY }]),
  collect: async () =>
    canMeasureMemory ? collected(await bytesThatFit()) : [{ what: 'a huge file collected', figure: NO_MEMORY }],
  jobs: () => manyJobs({ jobs, intervalMs, asks: Math.ceil(JOBS_MS / intervalMs) }),
  polls: () => polledAndNot({ jobs: Math.max(1, Math.round(jobs / COMPARED_SHARE)), intervalMs, asks: COMPARED_ASKS }),
}
const { only } = values
if (only !== undefined && !Object.hasOwn(parts, only)) refuse(`--only: one of ${Object.keys(parts).join(', ')}`)

process.once('exit', removeDirectories)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const startedMs = performance.now()
await build()
const figures: Figure[] = []
for (const [name, part] of Object.entries(parts)) {
  if (only !== undefined && name !== only) continue
  tell(`${name}:`)
  try {
    figures.push(...(await part()))
  } catch (error) {
    figures.push(bounded(name, error instanceof Error ? error.message : String(error), 'runs to its end', false))
  }
}
process.stdout.write(`${table(figures)}\n\nAll in ${seconds(performance.now() - startedMs)}\n`)
process.exitCode = figures.some(isMissed) ? 1 : 0
