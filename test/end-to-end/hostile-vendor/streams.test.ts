import { beforeAll, expect, it } from 'vitest'
import { bomb, bounded, compressed, MEBIBYTE, MEGABYTE } from './measures.ts'
import { after, json, pour, repeated } from './servers.ts'
import { useStage, type Ending } from './stage.ts'

const stage = useStage({ hostile: {}, streamed: { retention: 'none' } })

/** What the runtime may take beyond what it takes at rest while bytes pass through. */
const MOST_STREAMING_BYTES = 150 * MEGABYTE
/** The local R2 lives in the same process and takes memory with what it is given, whoever gives it. */
const MOST_STORING_BYTES = 400 * MEGABYTE
const LINE_BYTES = 500 * MEGABYTE
const LINE_START = '{"resourceType":"Patient","id":"1","language":"'
const LINE_END = '"}\n'

const ZEROS = compressed(Buffer.alloc(MEBIBYTE))
const LETTERS = compressed(Buffer.alloc(MEBIBYTE, 'a'))

function* line(): Generator<Buffer> {
  yield* after(LINE_START, repeated(Buffer.alloc(MEBIBYTE, 'a'), Math.ceil(LINE_BYTES / MEBIBYTE)))
  yield Buffer.from(LINE_END)
}

/** Reads a body up to a number of bytes, and hangs up. */
const readUpTo = async (response: Response, mostBytes: number): Promise<number> => {
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes >= mostBytes) break
  }
  return bytes
}

const only = (ending: Ending): string => {
  if (ending.kind !== 'complete') throw new Error(`the export failed: ${ending.diagnostics}`)
  return ending.manifest.output[0]?.url ?? ''
}

beforeAll(async () => {
  for (const source of ['hostile', 'streamed']) await stage().run(source, 'warm-up')
})

it('a line of 500 MB, and a file that decompresses to no end, are streamed in bounded memory for as long as a client listens', async () => {
  const { vendor, run, fetch } = stage()
  let sent: Promise<number> | undefined
  vendor.perform('line', { file: (response) => void pour(response, line()) })
  vendor.perform('bomb', {
    file: (response) => {
      response.writeHead(200, { 'Content-Encoding': 'gzip' })
      sent = pour(response, bomb(LINE_START, LETTERS))
    },
  })
  const urls = [only(await run('streamed', 'line')), only(await run('streamed', 'bomb'))] as const
  const bytes = await bounded(MOST_STREAMING_BYTES, async () => [
    await readUpTo(await fetch(urls[0]), Infinity),
    await readUpTo(await fetch(urls[1]), 300 * MEGABYTE),
  ])
  expect(bytes[0]).toBeGreaterThan(LINE_BYTES)
  // The vendor was hung up on as soon as the client had gone.
  expect(await sent).toBeLessThan(MEBIBYTE * 128)
})

it('a line of 500 MB rests with us, counted and hashed, and takes no more memory than the store does', async () => {
  const { vendor, run } = stage()
  vendor.perform('stored-line', { file: (response) => void pour(response, line()) })
  const ending = await bounded(MOST_STORING_BYTES, () => run('hostile', 'stored-line'))
  expect(ending).toMatchObject({ kind: 'complete', manifest: { output: [{ type: 'Patient', count: 1 }] }, problems: [] })
})

it('a file without end that is no NDJSON is refused by its first bytes, compressed or not [ST-09]', async () => {
  const { vendor, run } = stage()
  const asked: string[] = []
  const poured: Promise<number>[] = []
  let bytes = 0
  const counted = function* (chunks: Iterable<Buffer>): Generator<Buffer> {
    for (const chunk of chunks) {
      bytes += chunk.length
      yield chunk
    }
  }
  vendor.perform('zeros', {
    status: (response) => json(response, vendor.manifest(['plain', 'gzip', 'good'].map((n) => vendor.fileUrl('zeros', n)))),
    file: (response, n) => {
      asked.push(n)
      if (n === 'good') return void response.end(`${LINE_START}${LINE_END}`)
      if (n === 'gzip') response.writeHead(200, { 'Content-Encoding': 'gzip' })
      poured.push(pour(response, counted(n === 'gzip' ? bomb('', ZEROS) : repeated(Buffer.alloc(MEBIBYTE)))))
    },
  })
  const ending = await run('hostile', 'zeros')
  expect(ending).toMatchObject({ kind: 'complete', manifest: { output: [{ count: 1 }] } })
  expect(ending.kind === 'complete' && ending.problems.length).toBe(2)
  expect(bytes / asked.length).toBeLessThan(32 * MEBIBYTE)
  // Nobody holds on to a connection whose file is refused.
  await Promise.all(poured)
})
