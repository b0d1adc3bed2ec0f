import { writeFile } from 'node:fs/promises'
import { Agent, get } from 'node:http'
import { fileURLToPath } from 'node:url'
import { BulkClient, requestToken } from '../sandbox/bulk-client.ts'
import { build } from '../sandbox/build.ts'
import { startFacade } from '../sandbox/facade.ts'
import { sandboxKeys } from '../sandbox/state.ts'
import { startVendor } from './vendor.ts'
import { startYardstick } from './yardstick.ts'

const quick = process.argv.includes('--quick')
const CONNECTIONS = 32
const RUNS = quick ? 1 : 5
const POLL_SECONDS = quick ? 0.3 : 3
const MEGABYTES = quick ? 8 : 512
const JOBS = 64

interface Row {
  readonly what: string
  readonly unit: string
  readonly figure: number
  readonly yardstick: number
}

const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })

/** One request, its body read and counted. */
const request = (url: string, headers: Record<string, string>): Promise<{ status: number; bytes: number }> =>
  new Promise((resolve, reject) => {
    get(url, { agent, headers }, (response) => {
      let bytes = 0
      response.on('data', (chunk: Buffer) => (bytes += chunk.length))
      response.once('end', () => resolve({ status: response.statusCode ?? 0, bytes }))
      response.once('error', reject)
    }).once('error', reject)
  })

/** Requests per second over all connections; every answer must be 202. */
const pollRate = async (urls: readonly string[], headers: Record<string, string>): Promise<number> => {
  const untilMs = performance.now() + POLL_SECONDS * 1000
  let count = 0
  const connection = async (offset: number): Promise<void> => {
    for (let turn = offset; performance.now() < untilMs; turn += 1) {
      const { status } = await request(urls[turn % urls.length] ?? '', headers)
      if (status !== 202) throw new Error(`a poll was answered ${status}`)
      count += 1
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, offset) => connection(offset)))
  return count / POLL_SECONDS
}

/** Megabytes per second of one download; every byte must come. */
const throughput = async (url: string, headers: Record<string, string>, expected: number): Promise<number> => {
  const startMs = performance.now()
  const { status, bytes } = await request(url, headers)
  if (status !== 200 || bytes !== expected) throw new Error(`a download gave ${status} and ${bytes} bytes`)
  return bytes / 1_000 / (performance.now() - startMs)
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

/** Measures both in turn, so that what disturbs the machine disturbs both. */
const compare = async (ours: () => Promise<number>, theirs: () => Promise<number>): Promise<[number, number]> => {
  const figures: [number[], number[]] = [[], []]
  for (let run = 0; run < RUNS; run += 1) {
    figures[1].push(await theirs())
    figures[0].push(await ours())
  }
  return [median(figures[0]), median(figures[1])]
}

const keys = await sandboxKeys()
await build()
const vendor = await startVendor(MEGABYTES)
const facade = await startFacade({
  keys,
  sources: {
    bench: {
      adapter: 'generic',
      title: 'Bench',
      fhirBase: vendor.origin,
      types: ['Patient', 'Observation'],
      retention: 'none',
      credential: { kind: 'bearer', secret: 'BENCH_TOKEN' },
    },
  },
  secrets: { BENCH_TOKEN: 'bench' },
  limits: { statusRequestsPerMinute: 1_000_000_000, openExportsPerClient: 1_000_000 },
})
const objectCall = await startYardstick('object-call')
const proxy = await startYardstick('proxy')
const rows: Row[] = []
try {
  const client = new BulkClient(facade.base, 'demo', keys.demo, 20)
  const { token } = await requestToken(facade.base, 'demo', keys.demo)
  const headers = { Authorization: `Bearer ${token}` }

  const urls: string[] = []
  for (let job = 0; job < JOBS; job += 1) urls.push(await client.kickoff('/fhir/bench/Patient/$export'))
  vendor.statusRequests()
  const [polls, calls] = await compare(
    () => pollRate(urls, headers),
    () => pollRate([objectCall.base], {}),
  )
  const upstream = vendor.statusRequests()
  rows.push({ what: 'status poll, running jobs', unit: 'requests/s', figure: polls, yardstick: calls })

  const manifest = await client.manifest(await client.kickoff('/fhir/bench/Group/g/$export'))
  const fileUrl = manifest.output[0]?.url ?? ''
  const proxied = `${proxy.base}/?url=${encodeURIComponent(vendor.fileUrl)}`
  const [through, bare] = await compare(
    () => throughput(fileUrl, { ...headers, 'Accept-Encoding': 'identity' }, vendor.fileBytes),
    () => throughput(proxied, { 'X-Vendor-Authorization': 'Bearer bench' }, vendor.fileBytes),
  )
  rows.push({ what: 'file pass-through, identity', unit: 'MB/s', figure: through, yardstick: bare })

  console.log(`${'what'.padEnd(28)}  ${'figure'.padStart(10)}  ${'yardstick'.padStart(10)}  unit        ratio`)
  for (const { what, unit, figure, yardstick } of rows) {
    console.log(
      `${what.padEnd(28)}  ${figure.toFixed(0).padStart(10)}  ${yardstick.toFixed(0).padStart(10)}  ${unit.padEnd(10)}  ${(figure / yardstick).toFixed(2).padStart(5)}`,
    )
  }
  // Each job was asked for its status once, ten seconds after its kick-off at the latest; polls add nothing.
  console.log(`Requests that ${JOBS} polled jobs sent to the vendor: ${upstream}`)
  const results = fileURLToPath(new URL('results.json', import.meta.url))
  await writeFile(results, JSON.stringify({ quick, runs: RUNS, rows, upstream }, null, 2))
} finally {
  agent.destroy()
  await Promise.all([facade.close(), objectCall.close(), proxy.close(), vendor.close()])
}
