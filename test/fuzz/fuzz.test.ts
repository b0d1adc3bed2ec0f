import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { Network } from '../doors/network.ts'
import { giveBack, takeOver } from '../doors/setup.ts'
import { Fuzz } from './fuzz.ts'

vi.mock('cloudflare:workers', () => import('../simulation/workers.ts'))

const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 20_000)
const SEED = Number(process.env.FUZZ_SEED ?? 1)
const PATH = process.env.FUZZ_PATH
const DAY_MS = 86_400_000
const TOLD_EVERY = 20_000
/** What Node itself, its compiler and the runner come to while it goes on. */
const MOST_GROWTH_BYTES = 48 * 1024 * 1024
/** Answers that the run must have come to, or its promises would be kept for want of an occasion. */
const EXPECTED = [200, 202, 204, 206, 304, 400, 401, 403, 404, 405, 406, 413, 415, 416, 429, 500, 502]
const ENOUGH = 20_000

/** A machine that is busy with other things takes its time to make keys. */
const SETUP_MS = 60_000
let network: Network
let fuzz: Fuzz
const logged: string[] = []

beforeAll(async () => {
  takeOver(
    () => network,
    (line) => void logged.push(line),
  )
  fuzz = await Fuzz.make(logged, (deployment) => void ({ network } = deployment))
}, SETUP_MS)
afterAll(giveBack)

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
const heapBytes = (): number => {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

it(
  `${PATH === undefined ? REQUESTS : 'some'} hostile requests: no 500, no hang, nothing upstream without a right to it, and "not yours" is "not there" [AU-16, AU-17, AU-19, AU-20, N-33, KO-12]`,
  { timeout: DAY_MS },
  async () => {
    const warm: { bytes: number | undefined } = { bytes: undefined }
    let nextTold = TOLD_EVERY
    const fuzzed = await fuzz.run({
      seed: SEED,
      requests: REQUESTS,
      ...(PATH === undefined ? {} : { path: PATH }),
      progress: (done) => {
        if (warm.bytes === undefined && done > REQUESTS / 4) warm.bytes = heapBytes()
        if (done < nextTold || process.env.FUZZ_TOLD !== '1') return
        nextTold += TOLD_EVERY
        process.stdout.write(`${done} requests, ${Math.round(heapBytes() / 1_048_576)} MiB\n`)
      },
    })
    if (process.env.FUZZ_TOLD === '1') {
      const { requests, twins, upstream, statuses } = fuzzed
      process.stdout.write(
        `${requests} requests, ${twins} pairs compared, ${upstream} that reached an EHR: ${JSON.stringify(Object.fromEntries(statuses))}\n`,
      )
    }
    if (PATH !== undefined || REQUESTS < ENOUGH) return
    expect([...fuzzed.statuses.keys()]).toEqual(expect.arrayContaining(EXPECTED))
    expect(fuzzed.twins).toBeGreaterThan(REQUESTS / 20)
    expect(fuzzed.upstream).toBeGreaterThan(REQUESTS / 50)
    expect(heapBytes() - (warm.bytes ?? 0)).toBeLessThan(MOST_GROWTH_BYTES)
  },
)
