import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { HOST } from '../sandbox/facade.ts'

/** Answers every request with the same block over and over. */
export interface Repeater {
  readonly origin: string
  /** @returns How many bytes that will be: whole blocks, and as many as asked for at least. */
  serve(block: Buffer, bytes: number): number
  close(): Promise<void>
}

export const startRepeater = async (): Promise<Repeater> => {
  let current: Buffer = Buffer.alloc(0)
  let repeats = 0
  const server = createServer((_, response) => {
    const [block, times] = [current, repeats]
    let sent = 0
    const more = (): void => {
      while (sent < times) {
        sent += 1
        if (!response.write(block)) return
      }
      response.end()
    }
    response.on('drain', more)
    more()
  })
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://${HOST}:${port}/`,
    serve: (block, bytes) => {
      current = block
      repeats = Math.ceil(bytes / block.length)
      return repeats * block.length
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
