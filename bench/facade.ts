import { setTimeout as delay } from 'node:timers/promises'
import { BulkClient, requestToken, type Manifest } from '../sandbox/bulk-client.ts'
import { startFacade } from '../sandbox/facade.ts'
import { sandboxKeys, type SandboxKeys } from '../sandbox/state.ts'
import { QUICK_DISK, withDirectory } from '../test/scale/stack.ts'
import type { Layer } from './layer.ts'
import type { Headers } from './load.ts'
import { startVendor, type BenchVendor } from './vendor.ts'
import { layeredBuild } from './worker.ts'

const KICKOFFS_AT_A_TIME = 24
const POLL_EVERY_MS = 20

export interface Measured {
  readonly vendor: BenchVendor
  readonly base: string
  readonly keys: SandboxKeys
  readonly client: BulkClient
  /** A token that lives for some minutes. */
  readonly headers: () => Promise<Headers>
  /** Status URLs of exports of a group. */
  readonly kickOffs: (group: string, jobs: number) => Promise<readonly string[]>
  /** The manifest of an export of a group, and the epoch ms of when it was there. */
  readonly exportOf: (group: string) => Promise<{ readonly manifest: Manifest; readonly endedMs: number }>
}

export interface MeasuredOptions {
  readonly retention: 'r2' | 'none'
  readonly layers: readonly Layer[]
  /** Files pass as the vendor sends them. */
  readonly trustsFiles?: boolean
  readonly limits?: Readonly<Record<string, number>>
  /** Where rows and objects rest: in memory where that is possible, unless they are too large for it. */
  readonly disk?: string
}

/** Waits that do not wait, and clients that may poll at will: what is measured is not what a vendor takes. */
const LIMITS = {
  vendorPollFloorSeconds: 0.05,
  retryAfterMinSeconds: 1,
  openExportsPerClient: 1_000_000,
  statusRequestsPerMinute: 1_000_000_000,
}

/** As it is deployed. */
export const USUAL_STATUS_REQUESTS = { statusRequestsPerMinute: 60 }

/** Tells the first of what the Worker complains of: a measurement of failures is none. */
const complaints = (): ((line: string) => void) => {
  let told = 0
  return (line) => {
    if (line.startsWith('{"level":"info"') || told === MOST_COMPLAINTS) return
    told += 1
    process.stderr.write(`  logged: ${line.slice(0, 300)}\n`)
  }
}
const MOST_COMPLAINTS = 3

/** Runs work with the built Worker in front of a vendor that costs nothing. */
export const withFacade = async <T>(
  { retention, layers, trustsFiles = false, limits = {}, disk = QUICK_DISK }: MeasuredOptions,
  work: (measured: Measured) => Promise<T>,
): Promise<T> =>
  withDirectory(async (stateDirectory) => {
    const keys = await sandboxKeys()
    const vendor = await startVendor()
    const facade = await startFacade({
      keys,
      stateDirectory,
      sources: {
        bench: {
          adapter: 'generic',
          title: 'Bench',
          fhirBase: vendor.origin,
          types: ['Patient', 'Observation'],
          retention,
          trust: { files: trustsFiles },
          credential: { kind: 'bearer', secret: 'BENCH_TOKEN' },
        },
      },
      secrets: { BENCH_TOKEN: 'bench' },
      limits: { ...LIMITS, ...limits },
      onLog: complaints(),
      ...(layers.length === 0 ? {} : { modules: await layeredBuild(layers) }),
    }).catch(async (error: unknown) => {
      await vendor.close()
      throw error
    })
    const client = new BulkClient(facade.base, 'demo', keys.demo)
    const kickoff = (group: string) => client.kickoff(`/fhir/bench/Group/${group}/$export`)
    const exportOf: Measured['exportOf'] = async (group) => {
      const url = await kickoff(group)
      for (;;) {
        const response = await client.fetch(url)
        if (response.status === 200) return { endedMs: Date.now(), manifest: (await response.json()) as Manifest }
        if (response.status !== 202) throw new Error(`status: ${response.status} ${await response.text()}`)
        await response.body?.cancel()
        await delay(POLL_EVERY_MS)
      }
    }
    try {
      return await work({
        vendor,
        base: facade.base,
        keys,
        client,
        headers: async () => ({ Authorization: `Bearer ${(await requestToken(facade.base, 'demo', keys.demo)).token}` }),
        kickOffs: async (group, jobs) => {
          const urls: string[] = []
          const queue = Array.from({ length: jobs }, () => group).values()
          const starter = async (): Promise<void> => {
            for (const one of queue) urls.push(await kickoff(one))
          }
          await Promise.all(Array.from({ length: KICKOFFS_AT_A_TIME }, starter))
          return urls
        },
        exportOf,
      })
    } finally {
      await Promise.all([facade.close(), vendor.close()])
    }
  }, disk)
