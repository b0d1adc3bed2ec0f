import { createHash } from 'node:crypto'
import { BulkClient, requestToken } from '../../sandbox/bulk-client.ts'
import { hugeFileBytes, hugeFileContent } from '../../sandbox/faults/files.ts'
import { bounded, megabytes, seconds, tell, type Figure } from './figures.ts'
import { FAST_LIMITS, startUpstream, withDirectory, withFacade, type Served, type Upstream } from './stack.ts'
import { MEGABYTE, runtimeProcess, type MemoryFigures } from './worker-memory.ts'
import { startYardstick, type YardstickName } from './yardstick.ts'

/** What passing a file through may add to idle memory. */
const THROUGH_BYTES = 64 * MEGABYTE
/** What collecting a file may take beyond the bare Worker. */
const COLLECT_BYTES = 32 * MEGABYTE
/** A file like the huge one, so that idle is measured with all code loaded. */
const WARM_UP_BYTES = 16 * MEGABYTE

const huge = (bytes: number) => [{ on: 'status', kind: 'huge-file', bytes }] as const

const sha256OfHuge = async (bytes: number): Promise<string> => {
  const hash = createHash('sha256')
  for await (const chunk of hugeFileContent(bytes)) hash.update(chunk)
  return hash.digest('hex')
}

const lift = ({ idleBytes, peakBytes }: MemoryFigures): number => peakBytes - idleBytes

const described = (memory: MemoryFigures): string =>
  `${megabytes(lift(memory))} (${megabytes(memory.idleBytes)} → ${megabytes(memory.peakBytes)})`

/** Starts an export whose only file is that long. @returns The file's URL once the export is complete. */
const exportOf = async (upstream: Upstream, { bulk }: Served, source: string, bytes: number): Promise<string> => {
  upstream.vendor.faults.set(huge(bytes))
  const { output } = await bulk.manifest(await bulk.kickoff(`/fhir/${source}/Patient/$export`))
  const [file] = output
  if (file === undefined || output.length !== 1) throw new Error(`${output.length} files, not one`)
  return file.url
}

/** Runs work with a fresh fake EHR and a fresh Worker in front of it. */
const withSource = async <T>(retention: 'r2' | 'none', work: (upstream: Upstream, served: Served) => Promise<T>): Promise<T> => {
  const upstream = await startUpstream({ patients: 1, jobSeconds: 1 })
  const sources = { huge: { ...upstream.source, retention } }
  try {
    return await withFacade({ sources, secrets: upstream.sandbox.secrets, limits: FAST_LIMITS }, (served) =>
      work(upstream, served),
    )
  } finally {
    await upstream.sandbox.close()
  }
}

/** What the smallest Worker takes to do the same with the same file of the same vendor. */
const yardstickMemory = async (name: YardstickName, bytes: number): Promise<MemoryFigures> => {
  const { vendor, sandbox } = await startUpstream({ patients: 1, jobSeconds: 1 })
  try {
    return await withDirectory(async (stateDirectory) => {
      const { clientId, privateKeys } = vendor.clients.primary
      const { token } = await requestToken(vendor.origin, clientId, privateKeys.ES384)
      const client = new BulkClient(vendor.origin, clientId, privateKeys.ES384)
      const fileUrl = async (size: number): Promise<string> => {
        vendor.faults.set(huge(size))
        const { output } = await client.manifest(await client.kickoff('/fhir/Patient/$export'))
        return output[0]?.url ?? ''
      }
      const yardstick = await startYardstick(name, stateDirectory)
      try {
        await yardstick.take(await fileUrl(WARM_UP_BYTES), `Bearer ${token}`)
        const url = await fileUrl(bytes)
        const { result, memory } = await runtimeProcess().measure(() => yardstick.take(url, `Bearer ${token}`))
        if (result !== hugeFileBytes(bytes)) throw new Error(`the yardstick took ${result} bytes`)
        return memory
      } finally {
        await yardstick.close()
      }
    })
  } finally {
    await sandbox.close()
  }
}

/** A huge file that stays at the vendor and is streamed to the client. */
export const passThrough = async (bytes: number): Promise<Figure[]> => {
  tell('  the bare Worker')
  const proxy = await yardstickMemory('proxy', bytes)
  tell('  the facade')
  return withSource('none', async (upstream, served) => {
    const download = async (url: string) => {
      const hash = createHash('sha256')
      let received = 0
      const { status } = await served.client.request(url, {
        onChunk: (chunk) => {
          received += chunk.length
          hash.update(chunk)
        },
      })
      return { status, received, sha256: hash.digest('hex') }
    }
    await download(await exportOf(upstream, served, 'huge', WARM_UP_BYTES))
    const url = await exportOf(upstream, served, 'huge', bytes)
    const startedMs = performance.now()
    const { result, memory } = await runtimeProcess().measure(() => download(url))
    const elapsedMs = performance.now() - startedMs
    tell(`  streamed in ${seconds(elapsedMs)}; comparing`)
    const isSame = result.status === 200 && result.sha256 === (await sha256OfHuge(bytes))
    const total = hugeFileBytes(bytes)
    return [
      bounded(
        `a file of ${megabytes(total)} streamed through`,
        `${megabytes(result.received)}, sha256 ${isSame ? 'equal' : 'DIFFERENT'}`,
        'identical',
        isSame,
      ),
      bounded('  memory above idle', described(memory), `at most ${megabytes(THROUGH_BYTES)}`, lift(memory) <= THROUGH_BYTES),
      { what: '  bare Worker', figure: described(proxy) },
      { what: '  in', figure: seconds(elapsedMs) },
    ]
  })
}

/** Whether what rests with us is that file: by the length and digest recorded, and by its last bytes as they are read back. */
const isStored = async ({ client }: Served, url: string, bytes: number): Promise<boolean> => {
  const total = hugeFileBytes(bytes)
  const { headers } = await client.request(url, { method: 'HEAD' })
  const tail = await client.request(url, { headers: { Range: 'bytes=-512' } })
  let last: Uint8Array = new Uint8Array()
  for await (const chunk of hugeFileContent(bytes)) last = chunk
  return (
    headers['content-length'] === String(total) &&
    headers.etag === `"${await sha256OfHuge(bytes)}"` &&
    tail.status === 206 &&
    tail.body === Buffer.from(last.subarray(-512)).toString()
  )
}

/** A huge file brought to R2. Locally R2 is a simulator in the same process, so that only a comparison says something of our code. */
export const collected = async (bytes: number): Promise<Figure[]> => {
  tell('  the bare Worker, one put')
  const pipe = await yardstickMemory('pipe', bytes)
  tell('  the bare Worker, parts')
  const parts = await yardstickMemory('parts', bytes)
  tell('  the facade')
  return withSource('r2', async (upstream, served) => {
    await exportOf(upstream, served, 'huge', WARM_UP_BYTES)
    const startedMs = performance.now()
    const { result: url, memory } = await runtimeProcess().measure(() => exportOf(upstream, served, 'huge', bytes))
    const elapsedMs = performance.now() - startedMs
    tell(`  collected in ${seconds(elapsedMs)}; comparing`)
    const isSame = await isStored(served, url, bytes)
    const bound = pipe.peakBytes + COLLECT_BYTES
    return [
      bounded(
        `a file of ${megabytes(hugeFileBytes(bytes))} collected`,
        isSame ? 'length, sha256 and end equal' : 'DIFFERENT',
        'identical',
        isSame,
      ),
      bounded('  peak memory', described(memory), `at most ${megabytes(bound)}`, memory.peakBytes <= bound),
      { what: '  bare Worker, one put of the body', figure: described(pipe) },
      { what: '  bare Worker, 5 MiB parts', figure: described(parts) },
      { what: '  in', figure: seconds(elapsedMs) },
    ]
  })
}
