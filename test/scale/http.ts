import { Agent, request as send, type IncomingHttpHeaders, type RequestOptions } from 'node:http'
import type { JWK } from 'jose'
import { requestToken } from '../../sandbox/bulk-client.ts'

const TOKEN_MARGIN_MS = 60_000
/** The server closes connections that were idle for five seconds; who uses one in that very moment is reset. */
const IDLE_MS = 2_000

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Empty when chunks were taken as they came. */
  readonly body: string
}

export interface ScaleRequest {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly onChunk?: (chunk: Buffer) => void
}

/** One request, its answer read to the end. @param onChunk Takes the body as it comes. */
export const exchange = (url: string, options: RequestOptions, onChunk?: (chunk: Buffer) => void): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = send(url, options, (response) => {
      const chunks: Buffer[] = []
      response.on('data', onChunk ?? ((chunk: Buffer) => chunks.push(chunk)))
      response.once('error', reject)
      response.once('end', () => {
        const { statusCode = 0, headers } = response
        resolve({ status: statusCode, headers, body: Buffer.concat(chunks).toString() })
      })
    })
    request.once('error', reject)
    request.end()
  })

/** A registered app with few connections for many exports, which it uses again and again. */
export class ScaleClient {
  readonly base: string
  readonly #clientId: string
  readonly #key: JWK
  readonly #agent: Agent
  #token: Promise<{ token: string; expiresMs: number }> | undefined
  #expiresMs = 0

  /** @param connections At most so many at a time. */
  constructor(base: string, clientId: string, key: JWK, connections: number) {
    this.base = base
    this.#clientId = clientId
    this.#key = key
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections, timeout: IDLE_MS })
  }

  /** `Bearer …`, renewed in time and once for all who wait for it. */
  async authorization(): Promise<string> {
    if (this.#expiresMs - TOKEN_MARGIN_MS < Date.now()) {
      this.#expiresMs = Infinity
      this.#token = requestToken(this.base, this.#clientId, this.#key)
      this.#token.then(
        ({ expiresMs }) => (this.#expiresMs = expiresMs),
        () => (this.#expiresMs = 0),
      )
    }
    return `Bearer ${(await this.#token)?.token}`
  }

  /** One request, its answer read to the end. @param onChunk Takes the body as it comes. */
  async request(path: string, { method = 'GET', headers = {}, onChunk }: ScaleRequest = {}): Promise<Answer> {
    const usual = { Authorization: await this.authorization(), 'Accept-Encoding': 'identity', Prefer: 'respond-async' }
    return exchange(new URL(path, this.base).href, { method, agent: this.#agent, headers: { ...usual, ...headers } }, onChunk)
  }

  close(): void {
    this.#agent.destroy()
  }
}
