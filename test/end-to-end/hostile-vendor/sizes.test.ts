import { expect, it } from 'vitest'
import { bomb, bounded, compressed, MEBIBYTE, MEGABYTE } from './measures.ts'
import { after, json, pour, repeated } from './servers.ts'
import { useStage, type Ending } from './stage.ts'

const stage = useStage({ hostile: {}, streamed: { retention: 'none' } })

/** What the runtime may take beyond what it takes at rest for bodies that are parsed one after the other: 16 MiB each, what is made of them, and garbage that nobody needed to collect. */
const MOST_PARSING_BYTES = 300 * MEGABYTE
const SPACES = compressed(Buffer.alloc(MEBIBYTE, ' '))

it('bodies that are parsed take bounded memory, whatever they expand to, and a page of 100,000 files is taken [N-23]', async () => {
  const { vendor, run } = stage()
  await run('streamed', 'warm-up')
  const entry = `${JSON.stringify({ type: 'Patient', url: vendor.fileUrl('x'), count: 1 })},`
  const endlessly = Buffer.from(entry.repeat(1000))
  vendor.perform('gzip', {
    status: (response) => {
      response.writeHead(200, { 'Content-Encoding': 'gzip' })
      void pour(response, bomb('{"output":[', SPACES))
    },
  })
  vendor.perform('entries', { status: (response) => void pour(response, after('{"output":[', repeated(endlessly))) })
  vendor.perform('values', { status: (response) => json(response, `{"output":[${'{},'.repeat(5_500_000)}{}]}`) })
  vendor.perform('strings', { status: (response) => json(response, `["${'\\u00e9","'.repeat(1_700_000)}"]`) })
  const urls = Array.from({ length: 100_000 }, (_, n) => vendor.fileUrl('page', `${n}-${'a'.repeat(70)}`))
  const page = JSON.stringify(vendor.manifest(urls))
  expect(page.length).toBeGreaterThan(13 * MEBIBYTE)
  vendor.perform('page', { status: (response) => json(response, page) })
  const endings = await bounded(MOST_PARSING_BYTES, async () => {
    const ended: Ending[] = []
    for (const name of ['gzip', 'entries', 'values', 'strings']) ended.push(await run('hostile', name))
    return [...ended, await run('streamed', 'page')]
  })
  expect(endings).toMatchObject([
    { code: 'too-costly' },
    { code: 'too-costly' },
    { code: 'processing' },
    { code: 'processing' },
    { kind: 'complete' },
  ])
  expect(endings.map((ending) => ending.kind === 'complete' && ending.manifest.output.length).at(-1)).toBe(urls.length)
})
