import { tmpdir } from 'node:os'
import { withDirectory } from '../../test/scale/stack.ts'
import type { BenchRow } from '../bench.ts'
import { contentOf } from '../content.ts'
import { takeCounts } from '../counts.ts'
import { withFacade, type Measured } from '../facade.ts'
import type { Budget, Line } from '../line.ts'
import { compare } from '../statistics.ts'
import { fileUrl, filesGroup, type BenchVendor } from '../vendor.ts'
import { startWorker, type SmallWorker } from '../worker.ts'

/** As collecting does. */
const FILES_AT_A_TIME = 2
const PART_BYTES = 5 * 1024 * 1024
/** A longer file goes to R2 in parts. */
const MOST_BYTES_OF_A_PUT = 64 * 1024 * 1024

interface Lot {
  readonly files: number
  /** Of all files. */
  readonly bytes: number
}

/** R2 operations that this many files cannot do without: one put each, or an upload that is begun, filled and completed. */
const operationsFor = ({ files, bytes }: Lot): number => {
  const each = contentOf(Math.floor(bytes / files)).bytes
  return each <= MOST_BYTES_OF_A_PUT ? files : files * (Math.ceil(each / PART_BYTES) + 2)
}

const bareSpeed = async ({ base }: SmallWorker, vendor: BenchVendor, group: string, { files, bytes }: Lot): Promise<number> => {
  const startedMs = performance.now()
  const urls = Array.from({ length: files }, (_, index) => fileUrl(vendor, group, index))
  const response = await fetch(base, { method: 'POST', body: JSON.stringify({ urls, atATime: FILES_AT_A_TIME }) })
  if (!response.ok) throw new Error(`the yardstick answered ${response.status}`)
  return bytes / 1_000 / (performance.now() - startedMs)
}

const counted = (atMost: number): Budget => ({ of: 'figure', atMost, isCounted: true })

const lotLines = async (lot: Lot, measured: Measured, yardstick: SmallWorker, runs: number): Promise<readonly Line[]> => {
  const { files, bytes } = lot
  const { vendor, exportOf, base } = measured
  const group = filesGroup(files, Math.floor(bytes / files))
  let operations = 0
  let requests = 0
  const result = await compare(
    runs,
    async () => {
      await vendor.counts()
      await takeCounts(base)
      const { manifest, endedMs } = await exportOf(group)
      const { firstFileMs, files: asked } = await vendor.counts()
      operations = (await takeCounts(base)).classA
      requests = asked
      if (manifest.output.length !== files) throw new Error(`${manifest.output.length} files came instead of ${files}`)
      return bytes / 1_000 / (endedMs - (firstFileMs ?? NaN))
    },
    () => bareSpeed(yardstick, vendor, group, lot),
  )
  const many = files === 1 ? '1 file' : `${files.toLocaleString('en')} files`
  return [
    { what: `collecting into local R2, ${many}`, unit: 'MB/s', ...result, budget: { of: 'ratio', atLeast: 0.9 } },
    { what: '  requests to the vendor', unit: 'requests', figure: requests, budget: counted(files) },
    { what: '  R2 class A operations', unit: 'operations', figure: operations, budget: counted(operationsFor(lot)) },
  ]
}

/** Whole collections into the R2 simulator, which is what takes the time, and takes long. */
export default {
  name: 'collect-stored',
  sabotage: [
    { name: 'wasteful-store', options: { times: 20 } },
    { name: 'slow-reads', options: { stepsPerKilobyte: 20_000 } },
    { name: 'repeated-work' },
  ],
  measure: ({ layers, bytes, files, slowRuns }) =>
    withFacade({ retention: 'r2', layers: [...layers, { name: 'counting' }], disk: tmpdir() }, async (measured) => {
      const lines: Line[] = []
      for (const many of new Set([1, Math.min(100, files), files])) {
        await withDirectory(async (stateDirectory) => {
          const yardstick = await startWorker('yardsticks/stored', { stateDirectory })
          try {
            lines.push(...(await lotLines({ files: many, bytes }, measured, yardstick, slowRuns)))
          } finally {
            await yardstick.close()
          }
        })
      }
      return lines
    }),
} satisfies BenchRow as BenchRow
