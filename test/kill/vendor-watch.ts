import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Sandbox } from '../../sandbox/sandbox.ts'
import type { Signals, VendorRequestKind } from './signals.ts'

/** One request as a fake EHR saw it. Epoch milliseconds. */
export interface SeenRequest {
  readonly source: string
  readonly kind: VendorRequestKind
  readonly path: string
  /** What tells exports apart: the `_type` of a kick-off. */
  readonly tag: string | undefined
  readonly askedMs: number
  endedMs?: number
  /** Absent when the asker was gone before the answer. */
  status?: number
  location?: string
}

interface Started {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly socket: Socket
  readonly server: Server
}

// Node's own hook into every HTTP server of this process: the fake EHRs need not know that they are watched.
// https://nodejs.org/api/diagnostics_channel.html#http
const CHANNEL = 'http.server.request.start'

const kindOf = (method: string, path: string): VendorRequestKind => {
  if (path.includes('$export')) return 'kickoff'
  if (method === 'DELETE') return 'cancel'
  if (method === 'POST') return 'token'
  if (/\/(jobs|bulk-data-status|export)\/[^/]+$/.test(path)) return 'status'
  return /\/(files?|bulk-data-file|storage|bulk-export)\//.test(path) ? 'file' : 'other'
}

/** Sees every request to the fake EHRs in the moment that it arrives, and when its answer is out. */
export class VendorWatch {
  readonly seen: SeenRequest[] = []
  readonly #sourceOfPort: ReadonlyMap<number, string>
  readonly #signals: Signals
  readonly #listener = (message: unknown): void => this.#started(message as Started)

  constructor(sandbox: Sandbox, signals: Signals) {
    this.#signals = signals
    this.#sourceOfPort = new Map(
      sandbox.vendors.flatMap(({ id, origin }) =>
        [origin, ...(sandbox.sources[id]?.trust?.fileOrigins ?? [])].map((each) => [Number(new URL(each).port), id] as const),
      ),
    )
    subscribe(CHANNEL, this.#listener)
  }

  close(): void {
    unsubscribe(CHANNEL, this.#listener)
  }

  /** Kick-offs of one export that the vendor did not refuse. */
  kickoffsOf(tag: string): SeenRequest[] {
    return this.seen.filter((one) => one.kind === 'kickoff' && one.tag === tag && (one.status ?? 0) < 400)
  }

  /** Whether the vendor was asked to cancel the job that this kick-off began. */
  cancelled({ source, location }: SeenRequest): boolean {
    const path = location === undefined ? undefined : new URL(location).pathname
    return this.seen.some((one) => one.kind === 'cancel' && one.source === source && one.path === path)
  }

  /** What a vendor is answering right now. */
  open(): SeenRequest[] {
    return this.seen.filter((one) => one.endedMs === undefined)
  }

  #started({ request, response, socket }: Started): void {
    const source = this.#sourceOfPort.get(socket.localPort ?? 0)
    if (source === undefined) return
    const url = new URL(request.url ?? '/', 'http://vendor')
    const kind = kindOf(request.method ?? 'GET', decodeURIComponent(url.pathname))
    const one: SeenRequest = {
      source,
      kind,
      path: url.pathname,
      tag: url.searchParams.get('_type') ?? undefined,
      askedMs: Date.now(),
    }
    this.seen.push(one)
    response.once('close', () => {
      one.endedMs = Date.now()
      if (!response.writableFinished) return
      one.status = response.statusCode
      // Headers given to writeHead are kept in no other place.
      const location = /^content-location: (.+)$/im.exec(String(Reflect.get(response, '_header')))?.[1]?.trim()
      if (location !== undefined) one.location = location
      this.#signals.emit({ at: 'vendor-answered', source, kind, status: response.statusCode })
    })
    this.#signals.emit({ at: 'vendor-asked', source, kind })
  }
}
