import { tmpdir } from 'node:os'
import { withDirectory } from '../../test/scale/stack.ts'
import type { BenchRow } from '../bench.ts'
import { contentOf } from '../content.ts'
import { withFacade } from '../facade.ts'
import type { Line } from '../line.ts'
import { throughput } from '../load.ts'
import { compare } from '../statistics.ts'
import { fileUrl, filesGroup } from '../vendor.ts'
import { startWorker } from '../worker.ts'

/** Each file is one put then: what the simulator makes of an upload in parts it reads back many times slower than anything of ours. */
const FILES = 16
const STREAMS = [1, 16]

/** Files that rest in R2, one after the other and all at once. */
export default {
  name: 'download',
  sabotage: [{ name: 'slow-bodies', options: { stepsPerKilobyte: 5_000 } }],
  measure: ({ layers, bytes, runs }) =>
    withFacade({ retention: 'r2', layers, disk: tmpdir() }, async ({ exportOf, headers, vendor }) =>
      withDirectory(async (stateDirectory) => {
        const perFile = Math.floor(bytes / FILES)
        const group = filesGroup(FILES, perFile)
        const { manifest } = await exportOf(group)
        const yardstick = await startWorker('yardsticks/stored', { stateDirectory })
        try {
          const urls = Array.from({ length: FILES }, (_, index) => fileUrl(vendor, group, index))
          const stored = await fetch(yardstick.base, { method: 'POST', body: JSON.stringify({ urls, atATime: 2 }) })
          if (!stored.ok) throw new Error(`the yardstick could not store: ${stored.status}`)
          const total = FILES * contentOf(perFile).bytes
          const ours = manifest.output.map(({ url }) => url)
          const theirs = urls.map((_, index) => `${yardstick.base}/${index}`)
          const lines: Line[] = []
          for (const streams of STREAMS) {
            const authorization = { ...(await headers()), 'Accept-Encoding': 'identity' }
            const result = await compare(
              runs,
              () => throughput(ours, { headers: authorization, bytes: total, streams }),
              () => throughput(theirs, { bytes: total, streams }),
            )
            const what = `file download from R2, ${streams === 1 ? '1 stream' : `${streams} streams`}`
            lines.push({ what, unit: 'MB/s', ...result, budget: { of: 'ratio', atLeast: 0.95 } })
          }
          return lines
        } finally {
          await yardstick.close()
        }
      }),
    ),
} satisfies BenchRow as BenchRow
