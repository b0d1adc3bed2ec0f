import { Agent, get, type IncomingHttpHeaders } from 'node:http'
import { connect, type Socket } from 'node:net'

export type Headers = Readonly<Record<string, string>>

/** What to ask for again and again. */
export interface Polled {
  readonly urls: readonly string[]
  readonly headers?: Headers
  readonly seconds: number
  /** Every answer must be this. */
  readonly status: number
}

export const CONNECTIONS = 32

const HEAD_END = '\r\n\r\n'

/** Length of the first whole answer in a text; `undefined` while it is not whole. */
const answerLength = (text: string): number | undefined => {
  const headEnd = text.indexOf(HEAD_END)
  if (headEnd === -1) return undefined
  const bodyStart = headEnd + HEAD_END.length
  const head = text.slice(0, headEnd)
  if (/\r\ntransfer-encoding: chunked/i.test(head)) {
    const end = text.indexOf(`0${HEAD_END}`, bodyStart)
    return end === -1 ? undefined : end + 1 + HEAD_END.length
  }
  const length = bodyStart + Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
  return text.length >= length ? length : undefined
}

/** One request after the other on one connection: Node's own client would be what is measured. */
class Poller {
  readonly #socket: Socket
  #text = ''
  #answered: ((status: number) => void) | undefined
  #failed: ((error: Error) => void) | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', (data: string) => this.#take(data))
    socket.on('error', (error) => this.#failed?.(error))
    socket.on('close', () => this.#failed?.(new Error('the connection was closed')))
  }

  static open({ hostname, port }: URL): Promise<Poller> {
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => resolve(new Poller(socket)))
      socket.once('error', reject)
    })
  }

  /** @returns The status of the answer. */
  ask(request: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve
      this.#failed = reject
      this.#socket.write(request, 'latin1')
    })
  }

  close(): void {
    this.#failed = undefined
    this.#socket.destroy()
  }

  #take(data: string): void {
    this.#text += data
    const length = answerLength(this.#text)
    if (length === undefined) return
    const status = Number(this.#text.slice(9, 12))
    this.#text = this.#text.slice(length)
    this.#answered?.(status)
  }
}

let turn = 0

/** Requests per second over `CONNECTIONS` connections, spread evenly over the URLs. @throws when one is answered otherwise. */
export const pollRate = async ({ urls, headers = {}, seconds, status }: Polled): Promise<number> => {
  const requests = urls.map((url) => {
    const { pathname, search, host } = new URL(url)
    const lines = Object.entries({ Host: host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
    return `GET ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`
  })
  const pollers = await Promise.all(Array.from({ length: CONNECTIONS }, () => Poller.open(new URL(urls[0] ?? ''))))
  let count = 0
  const startedMs = performance.now()
  const connection = async (poller: Poller): Promise<void> => {
    while (performance.now() < startedMs + 1000 * seconds) {
      const request = requests[(turn += 1) % requests.length] ?? ''
      const answer = await poller.ask(request)
      if (answer !== status) throw new Error(`a request was answered ${answer} instead of ${status}`)
      count += 1
    }
  }
  try {
    await Promise.all(pollers.map(connection))
    return (1000 * count) / (performance.now() - startedMs)
  } finally {
    for (const poller of pollers) poller.close()
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 })

export interface Download {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: number
}

/** One request, its body read and dropped. */
export const download = (url: string, headers: Headers = {}): Promise<Download> =>
  new Promise((resolve, reject) => {
    get(url, { agent, headers }, (response) => {
      let bytes = 0
      response.on('data', (chunk: Buffer) => (bytes += chunk.length))
      response.once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes }))
      response.once('error', reject)
    }).once('error', reject)
  })

/** Megabytes per second of files that are downloaded so many at a time. @throws unless all of them come whole. */
export const throughput = async (
  urls: readonly string[],
  { headers = {}, bytes, streams = 1 }: { headers?: Headers; bytes: number; streams?: number },
): Promise<number> => {
  const startedMs = performance.now()
  const queue = urls.values()
  let received = 0
  const stream = async (): Promise<void> => {
    for (const url of queue) {
      const answer = await download(url, headers)
      if (answer.status !== 200) throw new Error(`a download was answered ${answer.status}`)
      received += answer.bytes
    }
  }
  await Promise.all(Array.from({ length: streams }, stream))
  if (received !== bytes) throw new Error(`downloads gave ${received} bytes instead of ${bytes}`)
  return bytes / 1_000 / (performance.now() - startedMs)
}
