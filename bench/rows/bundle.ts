import { readFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { BUILD_DIRECTORY } from '../../sandbox/build.ts'
import { COMPATIBILITY_DATE, COMPATIBILITY_FLAGS } from '../../sandbox/compatibility.ts'
import type { BenchRow } from '../bench.ts'
import { deviation, median } from '../statistics.ts'
import type { Layer } from '../layer.ts'

const MOST_KILOBYTES = 80
/** What it has come to, and is not to grow beyond unnoticed: docs/decisions/0018. */
const REACHED_KILOBYTES = 120
const MOST_START_MS = 15
/** Starting is quick and noisy. */
const RUNS_FOR_ONE = 5
/** As many as may be asked for at once; of what cannot be compressed there is more in the end. */
const PADDING_BYTES = 65_536

/**
 * The time that a Worker's code takes to run for the first time, in ms. Inside the runtime the clock stands still while code runs, so that
 * it is the runtime that is timed, from its start until it has answered, with the Worker as it is and with an empty one.
 */
const startMs = async (text: string): Promise<number> => {
  const startedMs = performance.now()
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      name: 'start',
      modules: [
        { type: 'ESModule', path: 'index.js', contents: `import './worker.js'\nexport default { fetch: () => new Response() }` },
        { type: 'ESModule', path: 'worker.js', contents: text },
      ],
      compatibilityDate: COMPATIBILITY_DATE,
      compatibilityFlags: COMPATIBILITY_FLAGS,
    }),
  )
  try {
    await miniflare.ready
    await miniflare.dispatchFetch('http://localhost/')
    return performance.now() - startedMs
  } finally {
    await miniflare.dispose()
  }
}

/** Text that no compression makes short, and a start that takes its time. */
const spoilt = (text: string, layers: readonly Layer[]): string => {
  if (layers.length === 0) return text
  const padding = Buffer.from(crypto.getRandomValues(new Uint8Array(PADDING_BYTES))).toString('base64')
  return `${text}\nconst padding = '${padding}'; let sum = padding.length; for (let i = 0; i < 1e8; i += 1) sum = (sum * 31 + i) % 1000003`
}

/** What is uploaded, and what starting it takes. */
export default {
  name: 'bundle',
  sabotage: [{ name: 'slow-requests' }],
  async measure({ layers, runs }) {
    const text = spoilt(await readFile(`${BUILD_DIRECTORY}/index.js`, 'utf8'), layers)
    const kilobytes = gzipSync(text, { level: 9 }).length / 1_000
    await startMs(text)
    const starts: [number[], number[]] = [[], []]
    for (let run = 0; run < RUNS_FOR_ONE * runs; run += 1) {
      starts[0].push(await startMs(text))
      starts[1].push(await startMs('export default {}'))
    }
    const noise = deviation(starts[0].map((start, run) => start - (starts[1][run] ?? NaN)))
    return [
      {
        what: 'Worker, minified and gzip',
        unit: 'kB',
        figure: kilobytes,
        budget: { of: 'figure', atMost: MOST_KILOBYTES },
      },
      {
        what: '  the same, held to what it has come to',
        unit: 'kB',
        figure: kilobytes,
        budget: { of: 'figure', atMost: REACHED_KILOBYTES, isCounted: true },
      },
      {
        what: 'start of the runtime, with the Worker and with an empty one',
        unit: 'ms',
        figure: median(starts[0]),
        yardstick: median(starts[1]),
        noise,
        budget: { of: 'difference', atMost: MOST_START_MS },
      },
    ]
  },
} satisfies BenchRow as BenchRow
