import { createServer, type ServerResponse } from 'node:http'
import { parentPort } from 'node:worker_threads'
import { contentOf, type Content } from './content.ts'

/*
 * A conformant server that costs next to nothing, in a thread of its own. What an export gives stands in the name of its group:
 * `running-SECONDS-NAME` never ends and asks to wait so long, `files-N-BYTES` has so many files of about so many bytes at once, and
 * `files-N-BYTES-gzip` sends them compressed.
 */

interface Counts {
  status: Record<string, number>
  files: number
  /** Epoch ms; null before the first. */
  firstFileMs: number | null
}

const zero = (): Counts => ({ status: {}, files: 0, firstFileMs: null })
let counts = zero()
let origin = ''

const contents = new Map<number, Content>()
const contentFor = (bytes: number): Content => {
  const known = contents.get(bytes)
  if (known) return known
  const made = contentOf(bytes)
  contents.set(bytes, made)
  return made
}

const send = (response: ServerResponse, pieces: Iterable<Buffer>): void => {
  const queue = pieces[Symbol.iterator]()
  const more = (): void => {
    for (let next = queue.next(); !next.done; next = queue.next()) if (!response.write(next.value)) return
    response.end()
  }
  response.on('drain', more)
  more()
}

const sendFile = (response: ServerResponse, [, , bytes, coding]: readonly string[]): void => {
  counts.files += 1
  counts.firstFileMs ??= Date.now()
  const content = contentFor(Number(bytes))
  const headers = { 'Content-Type': 'application/fhir+ndjson' }
  if (coding === 'gzip') {
    response.writeHead(200, { ...headers, 'Content-Encoding': 'gzip' })
    send(response, content.compressedPieces())
    return
  }
  response.writeHead(200, { ...headers, 'Content-Length': content.bytes })
  send(response, content.pieces())
}

const sendStatus = (response: ServerResponse, spec: string): void => {
  counts.status[spec] = (counts.status[spec] ?? 0) + 1
  const [kind, number] = spec.split('-')
  if (kind === 'running') {
    response.writeHead(202, { 'Retry-After': number ?? '', 'X-Progress': '10%' }).end()
    return
  }
  const output = Array.from({ length: Number(number) }, (_, index) => ({
    type: 'Observation',
    url: `${origin}/files/${spec}/${index}`,
  }))
  const manifest = { transactionTime: new Date().toISOString(), request: '', requiresAccessToken: true, output, error: [] }
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(manifest))
}

const server = createServer((request, response) => {
  const [, kind, spec = ''] = (request.url ?? '').split(/[/?]/)
  if (kind === '_counts') {
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(counts))
    counts = zero()
  } else if (kind === 'files') sendFile(response, spec.split('-'))
  else if (kind === 'jobs' && request.method === 'DELETE') response.writeHead(202).end()
  else if (kind === 'jobs') sendStatus(response, spec)
  else {
    const [state, seconds] = spec.split('-')
    // What is there at once may be asked for soon: without a wait it would be ten seconds.
    const waitSeconds = state === 'running' ? (seconds ?? '') : '1'
    response.writeHead(202, { 'Content-Location': `${origin}/jobs/${spec}`, 'Retry-After': waitSeconds }).end()
  }
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  origin = `http://127.0.0.1:${address.port}`
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin to aim at.
  parentPort?.postMessage(origin)
})
