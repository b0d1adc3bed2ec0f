import type { BenchRow } from '../bench.ts'
import { contentOf } from '../content.ts'
import { compare } from '../statistics.ts'
import { fileUrl, filesGroup, startVendor } from '../vendor.ts'
import { startWorker, type SmallWorker } from '../worker.ts'

const WARM_UPS = 1

const speed = async ({ base }: SmallWorker, url: string, expectedBytes: number): Promise<number> => {
  const startedMs = performance.now()
  const response = await fetch(base, { method: 'POST', body: JSON.stringify({ url, type: 'Observation' }) })
  if (!response.ok) throw new Error(`the Worker answered ${response.status}`)
  const { bytes } = (await response.json()) as { bytes: number }
  if (bytes !== expectedBytes) throw new Error(`${bytes} bytes were read instead of ${expectedBytes}`)
  return bytes / 1_000 / (performance.now() - startedMs)
}

/** What collecting does to every byte: cleaned, looked at by the rows' program, counted, hashed, cut into parts. R2 takes no time. */
export default {
  name: 'collect-discarded',
  sabotage: [{ name: 'slow-reads', options: { stepsPerKilobyte: 5_000 } }],
  async measure({ layers, bytes, runs }) {
    const vendor = await startVendor()
    const ours = await startWorker('workers/collect', { layers })
    const yardstick = await startWorker('yardsticks/drop')
    try {
      const url = fileUrl(vendor, filesGroup(1, bytes))
      const expected = contentOf(bytes).bytes
      const result = await compare(
        runs,
        () => speed(ours, url, expected),
        () => speed(yardstick, url, expected),
        WARM_UPS,
      )
      const budget = { of: 'ratio', atLeast: 0.35 } as const
      return [{ what: 'collecting into a sink that discards', unit: 'MB/s', ...result, budget }]
    } finally {
      await Promise.all([ours.close(), yardstick.close(), vendor.close()])
    }
  },
} satisfies BenchRow as BenchRow
