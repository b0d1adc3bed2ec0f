import { tmpdir } from 'node:os'
import { withDirectory } from '../../test/scale/stack.ts'
import { canMeasureMemory, MEGABYTE, OpenFiles, runtimeProcess, type MemoryFigures } from '../../test/scale/worker-memory.ts'
import type { BenchRow } from '../bench.ts'
import { withFacade, type Measured } from '../facade.ts'
import type { Line } from '../line.ts'
import { download } from '../load.ts'
import { fileUrl, filesGroup, runningGroup, startVendor } from '../vendor.ts'
import type { Layer } from '../layer.ts'
import { startWorker, type SmallWorker } from '../worker.ts'

/* One Workers runtime at a time: its memory is that of its process. */

/** So that idle is measured with all code loaded. */
const WARM_UP_BYTES = 16 * MEGABYTE
const WARM_UP_JOBS = 32
const NEVER_SECONDS = 3_600
/** A job's database, and what else is open while it is written to. */
const FILES_PER_JOB = 2
/** Connections, and what else a runtime has open. */
const SPARE_FILES = 1_000
const WHOLE_MEGABYTES = 64
const STORED_MEGABYTES = 32

const liftOf = ({ idleBytes, peakBytes }: MemoryFigures): number => (peakBytes - idleBytes) / MEGABYTE

/** Memory above idle in MB while work is done, after the same was done on a small scale. */
const lift = async (work: (bytes: number) => Promise<void>, bytes: number): Promise<number> => {
  await work(WARM_UP_BYTES)
  const { memory } = await runtimeProcess().measure(() => work(bytes))
  return liftOf(memory)
}

const passed = (layers: readonly Layer[], bytes: number): Promise<number> =>
  withFacade({ retention: 'none', layers }, ({ exportOf, headers }: Measured) =>
    lift(async (size) => {
      const { manifest } = await exportOf(filesGroup(1, size))
      await download(manifest.output[0]?.url ?? '', { ...(await headers()), 'Accept-Encoding': 'identity' })
    }, bytes),
  )

const stored = (layers: readonly Layer[], bytes: number): Promise<number> =>
  withFacade({ retention: 'r2', layers, disk: tmpdir() }, ({ exportOf }) =>
    lift(async (size) => {
      await exportOf(filesGroup(1, size))
    }, bytes),
  )

const posted = async ({ base }: SmallWorker, body: object): Promise<void> => {
  const response = await fetch(base, { method: 'POST', body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`the Worker answered ${response.status}`)
}

/** @param bodyOf What the Worker is asked to take of the vendor's file. */
const small = async (path: string, layers: readonly Layer[], bytes: number, bodyOf: (url: string) => object): Promise<number> =>
  withDirectory(async (stateDirectory) => {
    const vendor = await startVendor()
    const worker = await startWorker(path, { layers, stateDirectory })
    try {
      return await lift((size) => posted(worker, bodyOf(fileUrl(vendor, filesGroup(1, size)))), bytes)
    } finally {
      await Promise.all([worker.close(), vendor.close()])
    }
  })

/** Memory of jobs that are all live, by the job. */
const jobsLine = (layers: readonly Layer[], count: number): Promise<Line> =>
  withFacade({ retention: 'none', layers }, async ({ kickOffs }) => {
    const line = { what: `  ${count.toLocaleString('en')} live jobs`, unit: 'kB per job' }
    await kickOffs(runningGroup(NEVER_SECONDS), WARM_UP_JOBS)
    const runtime = runtimeProcess()
    const wanted = FILES_PER_JOB * count + SPARE_FILES
    if (Number(runtime.openFilesLimit) < wanted)
      return { ...line, note: `${runtime.openFilesLimit} files may be open and ${wanted} are wanted: raise it with ulimit -n` }
    const openFiles = new OpenFiles(runtime)
    try {
      const { memory } = await runtime.measure(() => kickOffs(runningGroup(NEVER_SECONDS), count))
      const figure = (memory.peakBytes - memory.idleBytes) / count / 1_000
      return { ...line, figure, note: `${openFiles.most} of ${openFiles.limit} open files` }
    } finally {
      openFiles.close()
    }
  })

/** The most memory that the runtime's process takes, above what it takes at rest. */
export default {
  name: 'memory',
  sabotage: [
    { name: 'slow-bodies', options: { keeps: true } },
    // Twice, for what collecting takes without it is about as much as a small file.
    { name: 'slow-reads', options: { keeps: 2 } },
    { name: 'hoarding-jobs', options: { bytes: 1_000_000 } },
  ],
  async measure({ layers, memoryBytes, liveJobs }) {
    if (!canMeasureMemory)
      return [{ what: 'peak memory', unit: 'MB', note: 'this system does not tell the memory of another process' }]
    const size = `${Math.round(memoryBytes / MEGABYTE).toLocaleString('en')} MB`
    // Only the facade has objects to hoard.
    const forSmall = layers.filter(({ name }) => name !== 'hoarding-jobs')
    const whole = { of: 'figure', atMost: WHOLE_MEGABYTES } as const
    const lines: Line[] = []
    const through = await passed(layers, memoryBytes)
    lines.push({ what: `peak memory above idle, ${size} passed through`, unit: 'MB', figure: through, budget: whole })
    const discarded = await small('workers/collect', forSmall, memoryBytes, (url) => ({ url, type: 'Observation' }))
    lines.push({ what: `  ${size} collected into a sink that discards`, unit: 'MB', figure: discarded, budget: whole })
    const yardstick = await small('yardsticks/stored', [], memoryBytes, (url) => ({ urls: [url], atATime: 1 }))
    lines.push({
      what: `  ${size} collected into local R2`,
      unit: 'MB',
      figure: await stored(layers, memoryBytes),
      yardstick,
      budget: { of: 'difference', atMost: STORED_MEGABYTES },
    })
    lines.push(await jobsLine(layers, liveJobs))
    return lines
  },
} satisfies BenchRow as BenchRow
