import type { ServerResponse } from 'node:http'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { json, patient, pour, repeated, type Play } from './servers.ts'
import { useStage, type Ending } from './stage.ts'

const stage = useStage({
  hostile: {},
  streamed: { retention: 'none' },
  headers: { limits: { deadlineSeconds: 2, responseSeconds: 1 } },
  trickling: { limits: { deadlineSeconds: 3, responseSeconds: 1 } },
})

const INVALID = (diagnostics: RegExp): unknown =>
  expect.objectContaining({
    kind: 'failed',
    status: 502,
    code: 'processing',
    diagnostics: expect.stringMatching(diagnostics) as unknown,
  })
const TOO_LARGE = expect.objectContaining({ kind: 'failed', status: 500, code: 'too-costly' }) as unknown

const DEEP = '['.repeat(100_000) + ']'.repeat(100_000)
const CHUNK = 64 * 1024
/** What a sender can have handed over before it notices that nobody listens: the cap, and what sockets hold. */
const MOST_SENT_BYTES = 32 * 1024 * 1024
const ENTRY = JSON.stringify({ type: 'Patient', url: 'http://127.0.0.1:1/fhir/files/1' })

/** Sends JSON whose end is out of reach. */
const endless = (response: ServerResponse, start: string, chunk: string, status = 200): Promise<number> => {
  response.writeHead(status, { 'Content-Type': 'application/json' }).write(start)
  return pour(response, repeated(Buffer.from(chunk.repeat(Math.ceil(CHUNK / chunk.length)))))
}

/** Compressed once, before anyone waits. */
const BOMBS = {
  gzip: gzipSync(Buffer.alloc(12 * 1024 * 1024, ' ')),
  br: brotliCompressSync(Buffer.alloc(100 * 1024 * 1024, ' '), { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
}

const encoded = (response: ServerResponse, encoding: keyof typeof BOMBS): void => {
  const body = BOMBS[encoding]
  response.writeHead(200, { 'Content-Encoding': encoding, 'Content-Length': body.length }).end(body)
}

const ANSWERS: readonly (readonly [string, string, Play['status'], unknown])[] = [
  ['lists within lists', 'deep', (response) => json(response, `{"output":[],"x":${DEEP}}`), INVALID(/nested/)],
  ['objects within objects', 'deep-objects', (response) => json(response, '{"a":'.repeat(200_000)), INVALID(/nested/)],
  [
    'millions of empty objects',
    'values',
    (response) => json(response, `{"output":[${'{},'.repeat(3_000_000)}{}]}`),
    INVALID(/values/),
  ],
  [
    'a URL of a million characters',
    'long',
    (response) => json(response, stage().vendor.manifest([`http://x/${'a'.repeat(1_000_000)}`])),
    INVALID(/string/),
  ],
  ['spaces that were compressed', 'gzip', (response) => encoded(response, 'gzip'), INVALID(/decompressed/)],
  [
    'a hundred megabytes that were compressed to nothing',
    'brotli',
    (response) => encoded(response, 'br'),
    INVALID(/decompressed/),
  ],
  [
    'a header of 100,000 bytes',
    'long-header',
    (response) => void response.writeHead(200, { 'X-Long': 'a'.repeat(100_000) }).end('{}'),
    INVALID(/header/),
  ],
  [
    '10,000 headers',
    'many-headers',
    (response) =>
      void response.writeHead(200, Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`X-${n}`, 'a']))).end('{}'),
    INVALID(/header/),
  ],
]

it.concurrent.each(ANSWERS)('a status of %s ends its export', async (_, name, status, expected) => {
  const { vendor, run } = stage()
  vendor.perform(name, { status: status ?? (() => undefined) })
  expect(await run('hostile', name)).toEqual(expected)
})

it.concurrent.each<[string, string, string, number]>([
  ['one string', '{"output":["', 'a', 200],
  ['a manifest', '{"output":[', `${ENTRY},`, 200],
  ['an error', '{"resourceType":"OperationOutcome","issue":[', '{"code":"transient"},', 503],
  ['no JSON', '', 'spam and ', 200],
])('a status of %s without an end is hung up on at its cap, and ends its export [N-23]', async (what, start, chunk, code) => {
  const { vendor, run } = stage()
  const name = `endless-${what.replaceAll(' ', '-')}`
  const sent: Promise<number>[] = []
  vendor.perform(name, { status: (response) => void sent.push(endless(response, start, chunk, code)) })
  expect(await run('hostile', name)).toEqual(TOO_LARGE)
  const bytes = await Promise.all(sent)
  expect(bytes).toHaveLength(1)
  expect(bytes[0]).toBeLessThan(MOST_SENT_BYTES)
})

it.concurrent('a status that announces ten gigabytes is not read at all', async () => {
  const { vendor, run } = stage()
  let sent: Promise<number> | undefined
  vendor.perform('announced', {
    status: (response) => {
      response.writeHead(200, { 'Content-Length': 10_000_000_000 })
      sent = pour(response, repeated(Buffer.alloc(CHUNK, ' ')))
    },
  })
  expect(await run('hostile', 'announced')).toEqual(TOO_LARGE)
  expect(await sent).toBeLessThan(MOST_SENT_BYTES / 4)
})

it.concurrent.each<[string, Play['kickoff']]>([
  ['without an end', (response) => void endless(response, '[', '{},')],
  ['of lists within lists', (response) => json(response, DEEP, 202)],
])('a kick-off whose answer is JSON %s is ambiguous, and is sent once [N-06]', async (what, kickoff) => {
  const { vendor, run } = stage()
  const name = `kickoff-${what.replaceAll(' ', '-')}`
  vendor.perform(name, { kickoff: kickoff ?? (() => undefined) })
  const ending = await run('hostile', name)
  expect(ending).toMatchObject({ kind: 'failed', status: 502, diagnostics: expect.stringContaining('not sent twice') as unknown })
  expect(vendor.received.filter(({ url }) => url.includes(name))).toHaveLength(1)
})

it.concurrent('headers without an end end an export as late as its deadline, and not later', async () => {
  const { vendor, run } = stage()
  let sent = 0
  vendor.perform('endless-header', {
    status: (response) => {
      const { socket } = response
      socket?.write('HTTP/1.1 200 OK\r\n')
      const more = (): void => {
        while (!response.destroyed) {
          const chunk = `X-${sent}: ${'a'.repeat(1000)}\r\n`
          sent += chunk.length
          if (socket?.write(chunk) !== true) return void socket?.once('drain', more)
        }
      }
      more()
    },
  })
  expect(await run('headers', 'endless-header')).toMatchObject({ kind: 'failed', code: 'timeout' })
  expect(sent).toBeLessThan(MOST_SENT_BYTES)
})

it.concurrent('a status that trickles for ever, byte by byte, ends an export as late as its deadline', async () => {
  const { vendor, run } = stage()
  vendor.perform('trickle', {
    status: (response) => {
      response.writeHead(200).write('{')
      const timer = setInterval(() => response.write(' '), 50)
      response.once('close', () => clearInterval(timer))
    },
  })
  const startedMs = Date.now()
  expect(await run('trickling', 'trickle')).toMatchObject({ kind: 'failed', code: 'timeout' })
  expect(Date.now() - startedMs).toBeLessThan(10_000)
})

it.concurrent('keys that would change what an object inherits are keys like any other [N-24]', async () => {
  const { vendor, run } = stage()
  const evil = JSON.stringify(vendor.manifest([`${stage().third.origin}/x`]))
  const good = JSON.stringify(vendor.manifest([vendor.fileUrl('proto', 'good')])).slice(1)
  vendor.perform('proto', {
    status: (response) => json(response, `{"__proto__":${evil},"constructor":{"prototype":${evil}},"prototype":${evil},${good}`),
  })
  const ending = await run('hostile', 'proto')
  expect(ending).toMatchObject({ kind: 'complete', problems: [], manifest: { error: [] } })
  vendor.perform('proto-only', { status: (response) => json(response, `{"__proto__":${evil}}`, 400) })
  expect(await run('hostile', 'proto-only')).toMatchObject({ kind: 'failed' })
  expect(stage().third.received).toEqual([])
})

const CANARY = 'canary\r\nSet-Cookie: canary=1\r\n\r\n\u0000\u001b[31m\u2028"canary'

it.concurrent('line breaks and control characters in every string reach no header, log or manifest of ours [N-33]', async () => {
  const { vendor, run } = stage()
  const entry = {
    type: CANARY,
    url: vendor.fileUrl('crlf', 'odd'),
    count: CANARY,
    continuesInFile: CANARY,
    extension: { [CANARY]: CANARY },
  }
  const manifest = {
    transactionTime: CANARY,
    request: CANARY,
    requiresAccessToken: CANARY,
    outputOrganizedBy: '',
    output: [entry, { type: 'Patient', url: vendor.fileUrl('crlf', 'good') }, { type: 'Patient', url: CANARY }],
    error: [
      { type: 'OperationOutcome', url: CANARY },
      { type: CANARY, url: vendor.fileUrl('crlf', 'err') },
    ],
    link: [{ relation: CANARY, url: CANARY }],
    extension: { [CANARY]: CANARY },
    [CANARY]: CANARY,
  }
  vendor.perform('crlf', { status: (response) => json(response, manifest) })
  const endings = [await run('hostile', 'crlf'), await run('streamed', 'crlf')]
  for (const ending of endings) expect(ending).toMatchObject({ kind: 'complete' })
  const issue = { severity: CANARY, code: CANARY, diagnostics: CANARY, details: { text: CANARY } }
  vendor.perform('crlf-outcome', {
    status: (response) => json(response, { resourceType: 'OperationOutcome', issue: [issue] }, 400),
  })
  endings.push(await run('hostile', 'crlf-outcome'))
  expect(endings.at(-1)).toMatchObject({ kind: 'failed', status: 500 })
  expect(JSON.stringify(endings)).not.toContain('canary')
})

it.concurrent('nor do the headers of a status that is under way [N-33]', async () => {
  const { vendor, run } = stage()
  let polls = 0
  vendor.perform('progress', {
    status: (response) => {
      polls += 1
      if (polls > 2) return json(response, vendor.manifest([vendor.fileUrl('progress')]))
      const headers = {
        'X-Progress': 'canary 20%',
        'Retry-After': 'canary',
        'X-Request-Id': 'canary',
        Expires: 'canary',
        'Set-Cookie': 'canary=1',
      }
      return void response.writeHead(202, headers).end()
    },
  })
  expect(await run('hostile', 'progress')).toMatchObject({ kind: 'complete' })
})

it.concurrent('a file with a header of 100,000 bytes is reported, and the rest is delivered [ST-09]', async () => {
  const { vendor, run } = stage()
  vendor.perform('file-header', {
    status: (response) => json(response, vendor.manifest(['bad', 'good'].map((n) => vendor.fileUrl('file-header', n)))),
    file: (response, n) => void response.writeHead(200, n === 'bad' ? { 'X-Long': 'a'.repeat(100_000) } : {}).end(patient(n)),
  })
  const ending: Ending = await run('hostile', 'file-header')
  expect(ending).toMatchObject({
    kind: 'complete',
    manifest: { output: [{ type: 'Patient', count: 1 }] },
    problems: [expect.any(String)],
  })
})

it('throughout, nothing of what the vendor said is in a log or a header of ours', () => {
  const { log, answered } = stage()
  expect([...log, ...answered].join('\n')).not.toMatch(/canary/)
})
