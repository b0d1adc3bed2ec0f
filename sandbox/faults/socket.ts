import { STATUS_CODES, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Chunks } from '../ndjson.ts'

/** What was sent is read before the reset arrives, which would discard it. */
const BEFORE_RESET_MS = 20

/** A promise for a handler that wrote its answer itself: the server must not write another. */
export const handled = (): Promise<never> => new Promise(() => undefined)

const quiet = (outgoing: ServerResponse): void => {
  // The client may hang up at any moment; that is what these answers are for.
  outgoing.on('error', () => undefined)
}

const written = (outgoing: ServerResponse, chunk: Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    if (outgoing.destroyed) {
      resolve()
      return
    }
    const done = (): void => {
      outgoing.off('close', done)
      resolve()
    }
    outgoing.once('close', done)
    outgoing.write(chunk, done)
  })

/** @param length `undefined`: chunked. */
export const sendHeader = (outgoing: ServerResponse, response: Response, length: number | undefined): void => {
  quiet(outgoing)
  const headers = new Headers(response.headers)
  headers.delete('Content-Length')
  if (length !== undefined) headers.set('Content-Length', String(length))
  outgoing.writeHead(response.status, Object.fromEntries(headers))
  outgoing.flushHeaders()
}

/** Sends what there is at the client's pace; stops when it hangs up. */
export const sendBody = async (outgoing: ServerResponse, chunks: Chunks): Promise<void> => {
  for await (const chunk of chunks) {
    if (outgoing.destroyed) return
    await written(outgoing, chunk)
  }
}

/** A TCP reset. */
export const reset = async (outgoing: ServerResponse): Promise<void> => {
  await delay(BEFORE_RESET_MS)
  outgoing.socket?.resetAndDestroy()
}

/** An orderly end of the connection, whatever was announced. */
export const hangUp = (outgoing: ServerResponse): void => {
  outgoing.socket?.destroySoon()
}

/** The status line and a header cut within its name. */
export const sendHalfHeader = (outgoing: ServerResponse, response: Response): Promise<void> =>
  new Promise((resolve) => {
    const { socket } = outgoing
    if (socket === null || socket.destroyed) {
      resolve()
      return
    }
    socket.on('error', () => undefined)
    socket.once('close', () => resolve())
    socket.write(`HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? ''}\r\nContent-Ty`, () => resolve())
  })
