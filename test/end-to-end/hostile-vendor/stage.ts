import { afterAll, beforeAll } from 'vitest'
import { BulkClient, type Manifest } from '../../../sandbox/bulk-client.ts'
import type { SourceConfig } from '../../../sandbox/config.ts'
import { startFacade, type Facade } from '../../../sandbox/facade.ts'
import { sandboxKeys } from '../../../sandbox/state.ts'
import type { Outcome } from '../support.ts'
import { patient, startHostileVendor, startServer, type HostileVendor, type Server } from './servers.ts'

/** What the vendor may see of us, and nobody else. */
export const VENDOR_TOKEN = 'canary-vendor-token'
/** What a client sends along and nobody is to see. */
const CLIENT_HEADERS = {
  'X-Canary': 'canary-client-header',
  Cookie: 'session=canary-client-cookie',
  'X-Forwarded-For': '203.0.113.99',
  Referer: 'https://canary-client-referer.example/',
}

/** The engine's waits, a thousandth of those deployed; rules hold at any pace. */
const SERVICE = { vendorPollFloorSeconds: 0.1, retrySeconds: 0.001, retryAfterMinSeconds: 1, statusRequestsPerMinute: 10_000 }
const LIMITS = { pollSeconds: 0.1, maxPollSeconds: 1, deadlineSeconds: 20, stallSeconds: 20 }

/** How an export ended for its client. */
export type Ending =
  | { readonly kind: 'complete'; readonly manifest: Manifest; readonly problems: readonly string[] }
  | { readonly kind: 'failed'; readonly status: number; readonly code: string; readonly diagnostics: string }

export interface Stage {
  readonly vendor: HostileVendor
  /** Listed as a place of files, without the token. */
  readonly store: Server
  /** Listed nowhere. */
  readonly third: Server
  readonly facade: Facade
  readonly client: BulkClient
  readonly log: string[]
  /** Names and values of the headers of every answer that a client got. */
  readonly answered: string[]
  readonly fetch: (url: string, init?: RequestInit) => Promise<Response>
  /** An export of a group, from kick-off to its end. */
  readonly run: (source: string, group: string, query?: string) => Promise<Ending>
}

/** What is special about a source, in which other exports than those of its own test do not take part. */
export type Sources = Readonly<
  Record<
    string,
    {
      readonly retention?: 'r2' | 'none'
      readonly limits?: Readonly<Record<string, number>>
      /** Omitted: all that its adapter does. */
      readonly supports?: SourceConfig['supports']
      readonly trustsFiles?: boolean
    }
  >
>

const startStage = async (sources: Sources): Promise<Stage & { close(): Promise<void> }> => {
  const keys = await sandboxKeys()
  const [vendor, store, third] = await Promise.all([
    startHostileVendor(),
    startServer((response) => void response.end(patient('stored'))),
    startServer((response) => void response.end(patient('third'))),
  ])
  const configured = ({ retention = 'r2', limits = {}, supports, trustsFiles = false }: Sources[string]): SourceConfig => ({
    adapter: 'generic',
    title: 'Hostile',
    fhirBase: `${vendor.origin}/fhir`,
    types: ['Patient'],
    retention,
    credential: { kind: 'bearer', secret: 'HOSTILE_TOKEN' },
    trust: { fileOrigins: [store.origin], files: trustsFiles },
    limits: { ...LIMITS, ...limits },
    ...(supports ? { supports } : {}),
  })
  const log: string[] = []
  const answered: string[] = []
  const facade = await startFacade({
    keys,
    sources: Object.fromEntries(Object.entries(sources).map(([id, source]) => [id, configured(source)])),
    secrets: { HOSTILE_TOKEN: VENDOR_TOKEN },
    limits: SERVICE,
    onLog: (line) => log.push(line),
  })
  const client = new BulkClient(facade.base, 'demo', keys.demo)
  const stage: Stage = {
    vendor,
    store,
    third,
    facade,
    client,
    log,
    answered,
    async fetch(url, init = {}) {
      const headers = {
        ...CLIENT_HEADERS,
        'Accept-Encoding': 'identity',
        ...(init.headers as Record<string, string> | undefined),
      }
      const response = await client.fetch(url, { ...init, headers })
      answered.push(...[...response.headers].flat())
      return response
    },
    run: (source, group, query = '') => run(stage, `/fhir/${source}/Group/${group}/$export?${query}`),
  }
  return {
    ...stage,
    close: async () => {
      await facade.close()
      await Promise.all([vendor.close(), store.close(), third.close()])
    },
  }
}

const POLL_MS = 100

const failed = async (response: Response): Promise<Ending> => {
  const { issue } = (await response.json()) as Outcome
  return { kind: 'failed', status: response.status, code: issue[0]?.code ?? '', diagnostics: issue[0]?.diagnostics ?? '' }
}

const run = async (stage: Stage, path: string): Promise<Ending> => {
  const started = await stage.fetch(path)
  if (started.status !== 202) return failed(started)
  const statusUrl = started.headers.get('Content-Location') ?? ''
  for (;;) {
    const response = await stage.fetch(statusUrl)
    if (response.status === 200) {
      const manifest = (await response.json()) as Manifest
      const files = await Promise.all(manifest.error.map(async ({ url }) => (await stage.fetch(url)).text()))
      const outcomes = files.flatMap((text) => text.trim().split('\n')).map((line) => JSON.parse(line) as Outcome)
      return { kind: 'complete', manifest, problems: outcomes.map(({ issue }) => issue[0]?.diagnostics ?? '') }
    }
    if (response.status !== 202) return failed(response)
    await response.body?.cancel()
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS)
    })
  }
}

/** The built Worker between a client and three servers, as hooks: up before the tests of a file, down after them. */
export const useStage = (sources: Sources): (() => Stage) => {
  let stage: Awaited<ReturnType<typeof startStage>> | undefined
  beforeAll(async () => {
    stage = await startStage(sources)
  })
  afterAll(() => stage?.close())
  return () => {
    if (!stage) throw new Error('the stage is not up')
    return stage
  }
}

/** All header names and values that servers got, in lower case. */
export const headersAt = (server: Server): string =>
  server.received
    .flatMap(({ headers }) => headers)
    .join('\n')
    .toLowerCase()
