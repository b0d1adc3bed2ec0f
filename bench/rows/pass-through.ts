import { get } from 'node:http'
import { gunzipSync } from 'node:zlib'
import type { BenchRow } from '../bench.ts'
import { contentOf } from '../content.ts'
import { withFacade, type Measured } from '../facade.ts'
import type { Line } from '../line.ts'
import { download, type Headers } from '../load.ts'
import { compare } from '../statistics.ts'
import { fileUrl, filesGroup } from '../vendor.ts'
import { startWorker, type SmallWorker } from '../worker.ts'

interface Case {
  readonly what: string
  readonly vendor: 'identity' | 'gzip'
  readonly client: 'identity' | 'gzip'
}

const CASES: readonly Case[] = [
  { what: 'identity', vendor: 'identity', client: 'identity' },
  { what: 'gzip', vendor: 'gzip', client: 'gzip' },
  { what: 'gzip from the vendor, identity to the client', vendor: 'gzip', client: 'identity' },
]
/** Every byte of a file is looked at, unless its vendor's files are trusted. */
const LOOKS = [
  { what: 'file pass-through', trustsFiles: false },
  { what: '  of trusted files', trustsFiles: true },
]
/** Enough to warm up with, and little enough to be held in memory. */
const SMALL_BYTES = 32_000_000

/** Megabytes of rows per second, however they travel. @param sentBytes What comes over the wire; `undefined`: whatever it is. */
const speed = async (url: string, headers: Headers, rowBytes: number, sentBytes: number | undefined): Promise<number> => {
  const startedMs = performance.now()
  const { status, bytes } = await download(url, headers)
  if (status !== 200 || bytes === 0 || (sentBytes ?? bytes) !== bytes)
    throw new Error(`a download gave ${status} and ${bytes} bytes`)
  return rowBytes / 1_000 / (performance.now() - startedMs)
}

/** What comes over the wire is what the vendor has, once it is decoded. */
const isWhole = async (url: string, headers: Headers, rowBytes: number, client: Case['client']): Promise<void> => {
  const sent = await new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = []
    get(url, { headers }, (response) => {
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).once('end', () => resolve(Buffer.concat(chunks)))
      response.once('error', reject)
    }).once('error', reject)
  })
  const rows = client === 'gzip' ? gunzipSync(sent) : sent
  if (rows.length !== rowBytes) throw new Error(`${rows.length} bytes of rows came instead of ${rowBytes}`)
}

const measured = async (
  { what, vendor: sent, client }: Case,
  { exportOf, headers, vendor }: Measured,
  { yardstick, bytes, runs }: { readonly yardstick: SmallWorker; readonly bytes: number; readonly runs: number },
): Promise<Line> => {
  const authorization = await headers()
  const wanted = { ...authorization, 'Accept-Encoding': client }
  const bare = (group: string): Headers => ({
    'X-Vendor-Url': fileUrl(vendor, group),
    'X-Vendor-Authorization': 'Bearer bench',
    ...(client === 'identity' ? { 'X-Decoded': 'yes' } : {}),
    'Accept-Encoding': client,
  })
  const small = filesGroup(1, SMALL_BYTES, sent)
  const first = (await exportOf(small)).manifest.output[0]?.url ?? ''
  // That both give everything is seen by what warms them up.
  await isWhole(first, wanted, contentOf(SMALL_BYTES).bytes, client)
  await isWhole(yardstick.base, bare(small), contentOf(SMALL_BYTES).bytes, client)
  const group = filesGroup(1, bytes, sent)
  const url = (await exportOf(group)).manifest.output[0]?.url ?? ''
  const rowBytes = contentOf(bytes).bytes
  const sentBytes = client === 'identity' ? rowBytes : undefined
  const result = await compare(
    runs,
    () => speed(url, wanted, rowBytes, sentBytes),
    () => speed(yardstick.base, bare(group), rowBytes, sentBytes),
  )
  return { what, unit: 'MB/s', ...result, budget: { of: 'ratio', atLeast: 0.9 } }
}

/** Files that stay at the vendor. */
export default {
  name: 'pass-through',
  sabotage: [
    { name: 'slow-bodies', options: { stepsPerKilobyte: 5_000 } },
    // What is compressed again has few bytes on its way out.
    { name: 'slow-reads', options: { stepsPerKilobyte: 5_000 } },
  ],
  async measure({ layers, bytes, runs, slowRuns, rateRuns }) {
    const lines: Line[] = []
    const yardstick = await startWorker('yardsticks/proxy')
    try {
      for (const { what, trustsFiles } of LOOKS) {
        await withFacade({ retention: 'none', layers, trustsFiles }, async (facade) => {
          for (const one of CASES) {
            // What is decoded takes a core its time, and what passes as it is takes none.
            const isPassedOn = trustsFiles && one.client === 'gzip'
            const times = isPassedOn ? rateRuns : one.vendor === 'gzip' ? slowRuns : runs
            lines.push(await measured({ ...one, what: `${what}, ${one.what}` }, facade, { yardstick, bytes, runs: times }))
          }
        })
      }
      return lines
    } finally {
      await yardstick.close()
    }
  },
} satisfies BenchRow as BenchRow
