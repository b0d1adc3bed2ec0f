import { tmpdir } from 'node:os'
import { withDirectory } from '../../test/scale/stack.ts'
import type { BenchRow } from '../bench.ts'
import { contentOf } from '../content.ts'
import { withFacade } from '../facade.ts'
import { throughput } from '../load.ts'
import { compare } from '../statistics.ts'
import { fileUrl, filesGroup } from '../vendor.ts'
import { startWorker } from '../worker.ts'

/** Each file is one put then: what the simulator makes of an upload in parts it reads back many times slower than anything of ours. */
const FILES = 16
const WARM_UPS = 1

/** Files that are taken in turn, those of one stream: `of` gives the next of them each time. */
const oneByOne = (urls: readonly string[], of: (url: string) => Promise<number>): (() => Promise<number>) => {
  let turn = 0
  return () => of(urls[turn++ % urls.length] ?? '')
}

/** Files that rest in R2, one after the other and all at once. */
export default {
  name: 'download',
  sabotage: [{ name: 'slow-bodies', options: { stepsPerKilobyte: 5_000 } }],
  measure: ({ layers, bytes, runs, slowRuns }) =>
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
          const ours = manifest.output.map(({ url }) => url)
          const theirs = urls.map((_, index) => `${yardstick.base}/${index}`)
          const wanted = { ...(await headers()), 'Accept-Encoding': 'identity' }
          const each = contentOf(perFile).bytes
          const total = FILES * each
          const one = await compare(
            // File by file, each beside that of the yardstick: all of them, and as often as all of them are worth a run.
            FILES * slowRuns,
            oneByOne(ours, (url) => throughput([url], { headers: wanted, bytes: each })),
            oneByOne(theirs, (url) => throughput([url], { bytes: each })),
            FILES * WARM_UPS,
          )
          const all = await compare(
            runs,
            () => throughput(ours, { headers: wanted, bytes: total, streams: FILES }),
            () => throughput(theirs, { bytes: total, streams: FILES }),
            WARM_UPS,
          )
          const line = { unit: 'MB/s', budget: { of: 'ratio', atLeast: 0.95 } } as const
          return [
            { what: 'file download from R2, 1 stream', ...line, ...one },
            { what: `file download from R2, ${FILES} streams`, ...line, ...all },
          ]
        } finally {
          await yardstick.close()
        }
      }),
    ),
} satisfies BenchRow as BenchRow
