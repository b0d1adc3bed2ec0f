import { hash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { Pipe, SimulatedStream, streamOfChunks } from './streams.ts'

/* The Workers APIs that the engine uses, without threads: what they promise is settled before the current step is over. */

type Bytes = Uint8Array<ArrayBuffer>
type Body = string | Bytes | ArrayBuffer | SimulatedStream | null | undefined

const streamOf = (body: Body): SimulatedStream | null => {
  if (body === null || body === undefined) return null
  if (body instanceof SimulatedStream) return body
  return streamOfChunks([typeof body === 'string' ? new Uint8Array(new TextEncoder().encode(body)) : new Uint8Array(body)])
}

const textOf = async (stream: SimulatedStream | null): Promise<string> => {
  const decoder = new TextDecoder()
  let text = ''
  if (stream) for await (const chunk of stream) text += decoder.decode(chunk, { stream: true })
  return text + decoder.decode()
}

type HeadersGiven = Iterable<readonly [string, string]> | Readonly<Record<string, string>>

/** Headers without the checks that a browser owes to pages. */
class SimulatedHeaders {
  readonly #values = new Map<string, string>()

  constructor(given: HeadersGiven = {}) {
    for (const [name, value] of Symbol.iterator in given ? given : Object.entries(given)) this.append(name, value)
  }

  get(name: string): string | null {
    return this.#values.get(name.toLowerCase()) ?? null
  }

  has(name: string): boolean {
    return this.#values.has(name.toLowerCase())
  }

  set(name: string, value: string): void {
    this.#values.set(name.toLowerCase(), value)
  }

  append(name: string, value: string): void {
    const known = this.get(name)
    this.set(name, known === null ? value : `${known}, ${value}`)
  }

  delete(name: string): void {
    this.#values.delete(name.toLowerCase())
  }

  entries(): Iterable<readonly [string, string]> {
    return this.#values.entries()
  }

  forEach(visit: (value: string, name: string) => void): void {
    for (const [name, value] of this.#values) visit(value, name)
  }

  [Symbol.iterator](): Iterator<readonly [string, string]> {
    return this.#values.entries()
  }
}

export class SimulatedResponse {
  readonly status: number
  readonly headers: Headers
  readonly #given: Body
  #body: SimulatedStream | null | undefined

  constructor(body?: Body, init: { status?: number; headers?: HeadersInit } = {}) {
    this.status = init.status ?? 200
    this.headers = new Headers(init.headers)
    if (typeof body === 'string' && !this.headers.has('Content-Type'))
      this.headers.set('Content-Type', 'text/plain;charset=UTF-8')
    this.#given = body
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300
  }

  get body(): SimulatedStream | null {
    return (this.#body ??= streamOf(this.#given))
  }

  async text(): Promise<string> {
    return textOf(this.body)
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text()) as unknown
  }
}

/** Refuses to end with another length than was announced. */
class FixedLengthStream extends Pipe {
  #leftBytes: number

  constructor(bytes: number) {
    super()
    this.#leftBytes = bytes
  }

  protected override through(chunk: Bytes): Bytes[] {
    this.#leftBytes -= chunk.byteLength
    if (this.#leftBytes < 0) throw new TypeError('more bytes than announced')
    return [chunk]
  }

  protected override last(): Bytes[] {
    if (this.#leftBytes > 0) throw new TypeError('fewer bytes than announced')
    return []
  }
}

class DecompressionStream extends Pipe {
  readonly #taken: Bytes[] = []

  protected override through(chunk: Bytes): Bytes[] {
    this.#taken.push(chunk.slice())
    return []
  }

  protected override last(): Bytes[] {
    return [new Uint8Array(gunzipSync(Buffer.concat(this.#taken)))]
  }
}

const digest = async (_algorithm: unknown, bytes: Bytes): Promise<ArrayBuffer> =>
  new Uint8Array(hash('sha256', bytes, 'buffer')).buffer

export const sha256Of = (bytes: Uint8Array | string): string => hash('sha256', bytes, 'hex')

/** The globals that stand in for the platform's. */
export const platformGlobals = (uuid: () => string): Record<string, unknown> => ({
  Headers: SimulatedHeaders,
  Response: SimulatedResponse,
  ReadableStream: SimulatedStream,
  FixedLengthStream,
  IdentityTransformStream: Pipe,
  DecompressionStream,
  crypto: { subtle: { digest }, randomUUID: uuid, getRandomValues: (bytes: Bytes): Bytes => bytes.fill(1) },
})
