import { setTimeout as delay } from 'node:timers/promises'
import { canMeasureMemory, MEGABYTE, runtimeProcess } from '../../test/scale/worker-memory.ts'
import type { BenchRow } from '../bench.ts'
import { withFacade, type Measured } from '../facade.ts'
import type { Line } from '../line.ts'
import { download } from '../load.ts'
import { compare } from '../statistics.ts'
import { filesGroup } from '../vendor.ts'
import { startWorker } from '../worker.ts'

const FILE_BYTES = 1_000
const READS_AT_A_TIME = 4
const READS_OF_A_RUN = 20
const READS_FOR_MEMORY = 100
const FLAT_MEGABYTES = 64

/** Manifests per second. */
const rate = async (url: string, headers: Readonly<Record<string, string>>, reads: number): Promise<number> => {
  const startedMs = performance.now()
  const queue = Array.from({ length: reads }, () => url).values()
  const reader = async (): Promise<void> => {
    for (const one of queue) {
      const { status } = await download(one, headers)
      if (status !== 200) throw new Error(`a manifest was answered ${status}`)
    }
  }
  await Promise.all(Array.from({ length: READS_AT_A_TIME }, reader))
  return (1000 * reads) / (performance.now() - startedMs)
}

/** Milliseconds that one reading takes. */
const readingMs = async (url: string, headers: Readonly<Record<string, string>>): Promise<number> =>
  1_000 / (await rate(url, headers, 1))

/** Waits for the newest export without asking for its manifest. */
const completed = async ({ base, client }: Measured): Promise<void> => {
  for (;;) {
    const { jobs } = (await (await client.fetch(`${base}/jobs?limit=1`)).json()) as { jobs: readonly { state: string }[] }
    if (jobs[0]?.state === 'complete') return
    await delay(LOOK_EVERY_MS)
  }
}
const LOOK_EVERY_MS = 50

/** A manifest of many files, which is made of rows each time that it is asked for. */
export default {
  name: 'manifest',
  sabotage: [{ name: 'slow-bodies', options: { stepsPerKilobyte: 2_000, keeps: true } }],
  measure: ({ layers, files, runs }) =>
    withFacade({ retention: 'none', layers }, async (measured) => {
      const { kickOffs, exportOf, headers } = measured
      const group = filesGroup(files, FILE_BYTES)
      const { manifest } = await exportOf(group)
      const [url = ''] = await kickOffs(group, 1)
      await completed(measured)
      const authorization = await headers()
      const [first, again] = [await readingMs(url, authorization), await readingMs(url, authorization)]
      const lines: Line[] = [
        { what: '  one reading, the first beside the second', unit: 'ms', figure: first, yardstick: again, ratio: first / again },
      ]
      if (canMeasureMemory) {
        await rate(url, authorization, READS_AT_A_TIME)
        const { memory } = await runtimeProcess().measure(() => rate(url, authorization, READS_FOR_MEMORY))
        const lift = (memory.peakBytes - memory.idleBytes) / MEGABYTE
        const budget = { of: 'figure', atMost: FLAT_MEGABYTES } as const
        lines.push({ what: '  memory above idle', unit: 'MB', figure: lift, budget })
      }
      const yardstick = await startWorker('yardsticks/manifest')
      try {
        await fetch(yardstick.base, { method: 'POST', body: JSON.stringify(manifest) })
        const result = await compare(
          runs,
          () => rate(url, authorization, READS_OF_A_RUN),
          () => rate(yardstick.base, {}, READS_OF_A_RUN),
        )
        const what = `manifest of ${manifest.output.length.toLocaleString('en')} files`
        return [{ what, unit: 'manifests/s', ...result, budget: { of: 'ratio', atLeast: 0.7 } }, ...lines]
      } finally {
        await yardstick.close()
      }
    }),
} satisfies BenchRow as BenchRow
