import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request as a server got it. */
export interface Received {
  readonly method: string
  readonly url: string
  /** Names and values in turn, as they stood on the wire. */
  readonly headers: readonly string[]
}

type Answer = (response: ServerResponse, request: IncomingMessage) => void | Promise<void>

/** What a server does with the exchanges of one export; what is omitted is done as the specification says. */
export interface Play {
  readonly kickoff?: Answer
  readonly status?: Answer
  /** @param n What stands behind the last slash of the file's URL. */
  readonly file?: (response: ServerResponse, n: string, request: IncomingMessage) => void | Promise<void>
  /** An attachment of the export's patients. */
  readonly binary?: Answer
}

export interface Server {
  readonly origin: string
  readonly received: Received[]
  close(): Promise<void>
}

/** Serves on loopback and keeps every header that it gets. */
export const startServer = async (answer: Answer): Promise<Server> => {
  const received: Received[] = []
  const server = createServer((request, response) => {
    received.push({ method: request.method ?? '', url: request.url ?? '', headers: request.rawHeaders })
    // Whoever hangs up on us has had enough, which is what many of the tests want.
    response.on('error', () => undefined)
    void Promise.resolve(answer(response, request)).catch(() => response.destroy())
  })
  server.on('connection', (socket) => socket.on('error', () => undefined))
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export const json = (response: ServerResponse, body: unknown, status = 200): void => {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(typeof body === 'string' ? body : JSON.stringify(body))
}

export const redirect = (response: ServerResponse, location: string): void => {
  response.writeHead(307, { Location: location }).end()
}

export const patient = (id: string): string => `${JSON.stringify({ resourceType: 'Patient', id })}\n`

export interface HostileVendor extends Server {
  /** Status URL of an export. */
  statusUrl(play: string): string
  fileUrl(play: string, n?: number | string): string
  /** A manifest with these files of Patients. */
  manifest(urls: readonly string[], more?: object): object
  /** How exports of the group with this name go. */
  perform(name: string, play: Play): void
}

/** A FHIR server whose groups each misbehave in a way of their own. */
export const startHostileVendor = async (): Promise<HostileVendor> => {
  const plays = new Map<string, Play>()
  const server = await startServer((response, request) => {
    const path = request.url ?? ''
    const [, kickoff] = /^\/fhir\/Group\/([\w-]+)\/\$export/.exec(path) ?? []
    const [, status] = /^\/fhir\/jobs\/([\w-]+)/.exec(path) ?? []
    const [, file, n = ''] = /^\/fhir\/files\/([\w-]+)\/([\w-]+)/.exec(path) ?? []
    const [, binary] = /^\/fhir\/Binary\/([\w-]+)$/.exec(path) ?? []
    const play = plays.get(kickoff ?? status ?? file ?? binary ?? '') ?? {}
    if (request.method === 'DELETE') return void response.writeHead(202).end()
    if (kickoff !== undefined) {
      if (play.kickoff) return play.kickoff(response, request)
      return void response.writeHead(202, { 'Content-Location': vendor.statusUrl(kickoff) }).end()
    }
    if (status !== undefined) {
      if (play.status) return play.status(response, request)
      return json(response, vendor.manifest([vendor.fileUrl(status)]))
    }
    if (file !== undefined) {
      if (play.file) return play.file(response, n, request)
      return void response.writeHead(200, { 'Content-Type': 'application/fhir+ndjson' }).end(patient(n))
    }
    if (binary !== undefined && play.binary) return play.binary(response, request)
    response.writeHead(404).end()
  })
  const vendor: HostileVendor = {
    ...server,
    statusUrl: (play) => `${server.origin}/fhir/jobs/${play}`,
    fileUrl: (play, n = 1) => `${server.origin}/fhir/files/${play}/${n}`,
    manifest: (urls, more = {}) => ({
      transactionTime: '2026-11-21T10:00:00Z',
      request: `${server.origin}/fhir/$export`,
      requiresAccessToken: true,
      output: urls.map((url) => ({ type: 'Patient', url })),
      error: [],
      ...more,
    }),
    perform: (name, play) => plays.set(name, play),
  }
  return vendor
}

/** Sends chunks as fast as they are taken, until there are no more or nobody listens. @returns Bytes that were handed over. */
export const pour = async (response: ServerResponse, chunks: Iterable<Buffer>): Promise<number> => {
  const gone = new Promise<'gone'>((resolve) => response.once('close', () => resolve('gone')))
  let bytes = 0
  for (const chunk of chunks) {
    if (response.destroyed) return bytes
    bytes += chunk.length
    if (response.write(chunk)) continue
    const drained = new Promise<'drained'>((resolve) => response.once('drain', () => resolve('drained')))
    if ((await Promise.race([gone, drained])) === 'gone') return bytes
  }
  response.end()
  return bytes
}

/** One chunk over and over. @param times Omitted: without end. */
export function* repeated(chunk: Buffer, times = Infinity): Generator<Buffer> {
  for (let turn = 0; turn < times; turn += 1) yield chunk
}

/** A first chunk, then others. */
export function* after(first: string, rest: Iterable<Buffer>): Generator<Buffer> {
  yield Buffer.from(first)
  yield* rest
}
