import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { SandboxVendor } from '../../sandbox/sandbox.ts'

// Node's own hook into every HTTP server of this process: the fake EHRs need not know that they are watched.
// https://nodejs.org/api/diagnostics_channel.html#http
const CHANNEL = 'http.server.request.start'
const STATUS = /^\/fhir\/jobs\/([^/?]+)$/

interface Started {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly socket: Socket
}

/** When each job of one fake EHR was asked for its status, as that EHR saw it. Milliseconds of a monotonic clock. */
export class StatusWatch {
  readonly #timesMs = new Map<string, number[]>()
  readonly #port: number
  readonly #listener = (message: unknown): void => this.#started(message as Started)

  constructor(vendor: SandboxVendor) {
    this.#port = Number(new URL(vendor.origin).port)
    subscribe(CHANNEL, this.#listener)
  }

  close(): void {
    unsubscribe(CHANNEL, this.#listener)
  }

  /** Status requests of each job that had any, in ascending order. */
  counts(): number[] {
    return [...this.#timesMs.values()].map((times) => times.length).toSorted((a, b) => a - b)
  }

  /** From one status request of a job to its next, of all jobs, in ascending order. */
  gapsMs(): number[] {
    return [...this.#timesMs.values()]
      .flatMap((times) => times.slice(1).map((time, index) => time - (times[index] ?? time)))
      .toSorted((a, b) => a - b)
  }

  /** Status requests in the second that had most of them. */
  busiestSecond(): number {
    const seconds = [...this.#timesMs.values()].flat().map((timeMs) => Math.floor(timeMs / 1000))
    return Math.max(0, ...[...Map.groupBy(seconds, (second) => second).values()].map(({ length }) => length))
  }

  #started({ request, response, socket }: Started): void {
    if (socket.localPort !== this.#port) return
    // The runtime keeps a connection for each job; idle ones would take the files that its databases need.
    response.setHeader('Connection', 'close')
    const id = STATUS.exec(request.url ?? '')?.[1]
    if (id === undefined || request.method !== 'GET') return
    const known = this.#timesMs.get(id)
    if (known === undefined) this.#timesMs.set(id, [performance.now()])
    else known.push(performance.now())
  }
}
