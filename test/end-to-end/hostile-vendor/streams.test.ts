import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { beforeAll, expect, it } from 'vitest'
import { bomb, bounded, compressed, MEBIBYTE, MEGABYTE } from './measures.ts'
import { after, json, pour, repeated, type Play } from './servers.ts'
import { useStage, type Ending } from './stage.ts'

const stage = useStage({
  hostile: {},
  streamed: { retention: 'none' },
  emulated: { supports: { params: [] } },
  'streamed-emulated': { retention: 'none', supports: { params: [] } },
})

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

/** A good file beside a bad one, so that the export ends well. */
const beside = (name: string, bad: (response: ServerResponse) => void): Play => ({
  status: (response) => json(response, stage().vendor.manifest(['bad', 'good'].map((n) => stage().vendor.fileUrl(name, n)))),
  file: (response, n) => (n === 'bad' ? bad(response) : void response.end(GOOD)),
})
const GOOD = '{"resourceType":"Patient","id":"good","meta":{"lastUpdated":"2026-06-01T00:00:00Z"},"active":true}\n'
const ONE_BAD = { kind: 'complete', manifest: { output: [{ count: 1 }] }, problems: [expect.any(String)] }

it.each([
  ['_elements', '_elements=gender'],
  ['_typeFilter', '_typeFilter=Patient%3Factive%3Dtrue'],
  ['_since', '_since=2026-01-01T00:00:00Z'],
])(
  'a line of 500 MB that a row program has to look into for %s ends as an error entry, after its first megabytes [ST-09]',
  async (name, query) => {
    const { vendor, run } = stage()
    let sent: Promise<number> | undefined
    const play = `long-line-${name}`
    vendor.perform(
      play,
      beside(play, (response) => {
        sent = pour(response, line())
      }),
    )
    const ending = await bounded(MOST_STORING_BYTES, () => run('emulated', play, query))
    expect(ending).toMatchObject(ONE_BAD)
    expect(await sent).toBeLessThan(MEBIBYTE * 128)
  },
)

it('a line of 500 MB whose time is told at its start passes a row program as it comes, its references rewritten, in bounded memory', async () => {
  const { vendor, run, fetch } = stage()
  const start = `{"resourceType":"Patient","id":"1","meta":{"lastUpdated":"2026-06-01T00:00:00Z"},"link":[{"other":{"reference":"`
  const reference = `${vendor.origin}/fhir/Patient/2`
  vendor.perform('timed-line', {
    file: (response) => {
      const letters = repeated(Buffer.alloc(MEBIBYTE, 'a'), Math.ceil(LINE_BYTES / MEBIBYTE))
      void pour(response, after(`${start}${reference}"}}],"language":"`, [...letters, Buffer.from(LINE_END)]))
    },
  })
  const url = only(await run('streamed-emulated', 'timed-line', '_since=2026-01-01T00:00:00Z'))
  const bytes = await bounded(MOST_STREAMING_BYTES, async () => readUpTo(await fetch(url), Infinity))
  expect(bytes).toBe(
    start.length + 'Patient/2"}}],"language":"'.length + Math.ceil(LINE_BYTES / MEBIBYTE) * MEBIBYTE + LINE_END.length,
  )
})

it('millions of tiny rows pass all of a row program in bounded memory', async () => {
  const { vendor, run, fetch } = stage()
  const rows = Buffer.from('{"resourceType":"Patient","id":"1"}\n{"resourceType":"Patient","id":"2"}\n'.repeat(10_000))
  vendor.perform('tiny', { file: (response) => void pour(response, repeated(rows, 100)) })
  const url = only(await run('streamed-emulated', 'tiny', '_elements=gender&_typeFilter=Patient%3F_id%3D1'))
  const bytes = await bounded(MOST_STREAMING_BYTES, async () => readUpTo(await fetch(url), Infinity))
  // Every other of two million, with the tag that says that it is not whole.
  expect(bytes % 1_000_000).toBe(0)
  expect(bytes).toBeGreaterThan(100_000_000)
})

it('a bomb in base64 in a Binary, in a bomb, ends as an error entry in bounded memory [N-27, ST-09]', async () => {
  const { vendor, run } = stage()
  const inner = Buffer.concat([...innerBomb()]).toString('base64')
  const body = gzipSync(`{"resourceType":"Binary","contentType":"application/fhir+ndjson","data":"${inner}"}`)
  vendor.perform(
    'nested',
    beside('nested', (response) => void response.end(body)),
  )
  const ending = await bounded(MOST_STORING_BYTES, () => run('hostile', 'nested'))
  expect(ending).toMatchObject(ONE_BAD)
})

/** A hundred megabytes, of a hundred kilobytes. */
function* innerBomb(): Generator<Buffer> {
  const pieces = bomb(LINE_START, LETTERS)
  for (let count = 0; count < 100; count += 1) yield pieces.next().value as Buffer
}
