import { createAdaptorServer } from '@hono/node-server'

export interface Listening {
  /** Such as `http://127.0.0.1:49152`. */
  readonly origin: string
  close(): Promise<void>
}

/** Serves on a free port of `host`. */
export const listen = async (fetch: (request: Request) => Response | Promise<Response>, host: string): Promise<Listening> => {
  const server = createAdaptorServer({ fetch })
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
