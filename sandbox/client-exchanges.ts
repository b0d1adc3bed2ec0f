import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { constants, gunzipSync } from 'node:zlib'
import type { Canaries, Door, Passage } from './canaries.ts'
import { parseJson, stringOf } from './json.ts'

/** Of an answer's body; files are compared byte for byte elsewhere. */
const MAX_BODY_BYTES = 256 * 1024
const OPERATOR = 'operator'
const JOB_PATH = /\/jobs\/([\w-]{8,})/

/** As much of undici's request as is read here. https://undici.nodejs.org/#/docs/api/DiagnosticsChannel */
interface ClientRequest {
  readonly origin: string | URL
  readonly method: string
  readonly path: string
  readonly headers: readonly string[] | string
}

interface Message {
  readonly request: ClientRequest
  readonly response?: { readonly statusCode: number; readonly headers: readonly Uint8Array[] }
  readonly chunk?: string | Uint8Array
}

interface Exchange {
  readonly method: string
  readonly path: string
  readonly bearer: string
  readonly sent: Buffer[]
  status: number
  headers: readonly string[]
  readonly received: Buffer[]
  receivedBytes: number
}

const headerOf = (headers: readonly string[], name: string): string => {
  const at = headers.findIndex((each, index) => index % 2 === 0 && each.toLowerCase() === name)
  return at === -1 ? '' : (headers[at + 1] ?? '')
}

/** What of a token must not be seen: of a JWT the signature, since its head is everybody's. */
const secretPart = (token: string): string => {
  const parts = token.split('.')
  return parts.length === 3 ? (parts[2] ?? '') : token
}

/** Who speaks with a token, as the token says. */
const clientOf = (token: string): string => {
  const claims = parseJson(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  return stringOf(claims?.['client_id']) || stringOf(claims?.['sub'])
}

const doorOf = ({ path, status }: Exchange): Door => {
  if (status >= 300) return 'answer'
  if (path.startsWith('/auth/token')) return 'token answer'
  // An attachment is a part of a file that is fetched by itself.
  if (/\/jobs\/[^/]+\/(?:files|attachments)\//.test(path)) return 'file'
  return /^\/fhir\/[^/]+\/Group/.test(path) && !path.includes('export') ? 'group answer' : 'answer'
}

const bodyOf = ({ headers, received }: Exchange): string => {
  const bytes = Buffer.concat(received)
  if (headerOf(headers, 'content-encoding') !== 'gzip' || bytes.length === 0) return bytes.toString()
  try {
    // The end may be missing, because the client went or because enough was kept.
    return gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }).toString()
  } catch {
    return ''
  }
}

/** What the clients of this process sent to a facade with `fetch`, and what they were answered. */
export class ClientExchanges {
  #base: string | undefined
  readonly #exchanges: Exchange[] = []
  readonly #open = new WeakMap<ClientRequest, Exchange>()
  readonly #listeners: readonly [string, (message: unknown) => void][] = [
    ['undici:request:create', (message) => this.#created(message as Message)],
    ['undici:request:bodyChunkSent', (message) => this.#sent(message as Message)],
    ['undici:request:headers', (message) => this.#answered(message as Message)],
    ['undici:request:bodyChunkReceived', (message) => this.#received(message as Message)],
  ]

  watch(base: string): void {
    if (this.#base === undefined) for (const [channel, listener] of this.#listeners) subscribe(channel, listener)
    this.#base = base
  }

  close(): void {
    for (const [channel, listener] of this.#listeners) unsubscribe(channel, listener)
  }

  /** Learns the secrets of all exchanges, then tells what the clients saw. */
  passages(canaries: Canaries, shapeOf: (path: string) => string): Passage[] {
    const read = this.#exchanges.map((exchange) => ({ exchange, body: bodyOf(exchange) }))
    for (const { exchange, body } of read) learn(exchange, body, canaries)
    return read.flatMap(({ exchange, body }) => {
      const { path, method, status, headers, bearer } = exchange
      const isOperator = path.startsWith('/operator/')
      const party = isOperator ? OPERATOR : clientOf(bearer)
      const where = `${method} ${shapeOf(path)} ${status}`
      const own = isOperator || status >= 300 ? (JOB_PATH.exec(path)?.[1] ?? '') : ''
      // An id that stands in the request is no news in its refusal. In a success it is: that job was not the caller's to ask for.
      const without = (text: string): string => (own === '' ? text : text.replaceAll(own, ''))
      const asked = status < 300 && method !== 'OPTIONS' ? (JOB_PATH.exec(path)?.[1] ?? '') : ''
      return [
        { door: 'answer header', party, text: without(headers.join('\n')), where },
        { door: doorOf(exchange), party, text: `${asked}\n${without(body)}`, where },
      ]
    })
  }

  #created({ request }: Message): void {
    const { origin, method, path, headers } = request
    if (String(origin) !== this.#base) return
    const list = typeof headers === 'string' ? headers.split(/\r\n|: /) : headers
    const bearer = /^Bearer +(\S+)$/i.exec(headerOf(list, 'authorization'))?.[1] ?? ''
    const exchange: Exchange = { method, path, bearer, sent: [], status: 0, headers: [], received: [], receivedBytes: 0 }
    this.#open.set(request, exchange)
    this.#exchanges.push(exchange)
  }

  #sent({ request, chunk = '' }: Message): void {
    const exchange = this.#open.get(request)
    if (exchange?.path.startsWith('/auth/token') === true) exchange.sent.push(Buffer.from(chunk as string))
  }

  #answered({ request, response }: Message): void {
    const exchange = this.#open.get(request)
    if (exchange === undefined || response === undefined) return
    exchange.status = response.statusCode
    exchange.headers = response.headers.map((each) => Buffer.from(each).toString('latin1'))
  }

  #received({ request, chunk = '' }: Message): void {
    const exchange = this.#open.get(request)
    if (exchange === undefined || exchange.receivedBytes > MAX_BODY_BYTES) return
    const bytes = Buffer.from(chunk as string)
    exchange.receivedBytes += bytes.length
    exchange.received.push(bytes)
  }
}

/** Tokens, assertions and jobs of clients. */
const learn = ({ path, bearer, sent, status, headers }: Exchange, body: string, canaries: Canaries): void => {
  if (!canaries.has('operator token', bearer)) canaries.plant('client token', secretPart(bearer))
  if (path.startsWith('/auth/token')) {
    const form = new URLSearchParams(Buffer.concat(sent).toString())
    canaries.plant('client assertion', secretPart(form.get('client_assertion') ?? ''))
    const token = status < 300 ? parseJson(body)?.['access_token'] : undefined
    if (typeof token === 'string') canaries.plant('client token', secretPart(token))
  }
  if (status !== 202 || !path.includes('export')) return
  const job = JOB_PATH.exec(headerOf(headers, 'content-location'))?.[1]
  if (job !== undefined) canaries.plant('job id', job, clientOf(bearer), OPERATOR)
}
