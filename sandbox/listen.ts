import type { IncomingMessage, ServerResponse } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'

export interface Listening {
  /** Such as `http://127.0.0.1:49152`. */
  readonly origin: string
  /** Ends every connection, those under way too. */
  close(): Promise<void>
}

/** Node's side of a request, for answers that no `Response` can express. */
export interface Wire {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
}

/** Answers requests; may write on the wire itself, and must then never resolve. */
export type Serve = (request: Request, wire: Wire) => Response | Promise<Response>

/** Serves on a free port of `host`. */
export const listen = async (serve: Serve, host: string): Promise<Listening> => {
  // Without TLS it is always Node's HTTP/1.1.
  const server = createAdaptorServer({ fetch: (request, wire) => serve(request, wire as Wire) })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, host, () => resolve())
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('Not listening on a port')
  return {
    origin: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        if ('closeAllConnections' in server) server.closeAllConnections()
      }),
  }
}
