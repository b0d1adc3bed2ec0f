import { connect } from 'node:net'

/** How an answer ended: an orderly end, a TCP reset, or not at all for as long as was waited. */
export type Ending = 'end' | 'reset' | 'open'

export interface RawAnswer {
  readonly ended: Ending
  /** Every byte that came, as Latin-1. */
  readonly text: string
  /** 0: there was no whole header. */
  readonly status: number
  readonly headers: Headers
  /** Without the framing of chunks. */
  readonly body: Buffer
  /** Whether the body is as long as was announced. */
  readonly isComplete: boolean
}

const dechunked = (text: string): { body: string; isComplete: boolean } => {
  let [rest, body] = [text, '']
  for (;;) {
    const [line, size] = /^([0-9a-f]+)\r\n/i.exec(rest) ?? []
    if (line === undefined || size === undefined) return { body, isComplete: false }
    const length = Number.parseInt(size, 16)
    if (length === 0) return { body, isComplete: rest.startsWith(`${line}\r\n`) }
    body += rest.slice(line.length, line.length + length)
    rest = rest.slice(line.length + length + 2)
  }
}

const parsed = (text: string, ended: Ending): RawAnswer => {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return { ended, text, status: 0, headers: new Headers(), body: Buffer.alloc(0), isComplete: false }
  const [start = '', ...fields] = text.slice(0, end).split('\r\n')
  const headers = new Headers(
    fields.map((field): [string, string] => [field.slice(0, field.indexOf(':')), field.slice(field.indexOf(':') + 1).trim()]),
  )
  const rest = text.slice(end + 4)
  const length = headers.get('Content-Length')
  const { body, isComplete } =
    headers.get('Transfer-Encoding') === 'chunked' ? dechunked(rest) : { body: rest, isComplete: rest.length === Number(length) }
  return { ended, text, status: Number(start.split(' ')[1]), headers, body: Buffer.from(body, 'latin1'), isComplete }
}

/**
 * One request on a connection of its own, with everything that comes back as it stands on the wire.
 *
 * @param quietMs After so long without a byte the answer counts as `open`.
 */
export const rawRequest = async (request: Request, quietMs = 5000): Promise<RawAnswer> => {
  const { hostname, port, pathname, search } = new URL(request.url)
  const body = Buffer.from(await request.arrayBuffer())
  const fields = [...request.headers].map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const framing = `host: ${hostname}:${port}\r\nconnection: close\r\ncontent-length: ${body.length}\r\n`
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    let text = ''
    const finish = (ended: Ending): void => {
      socket.destroy()
      resolve(parsed(text, ended))
    }
    socket.setTimeout(quietMs, () => finish('open'))
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    socket.once('error', () => finish('reset'))
    socket.once('end', () => finish('end'))
    socket.write(`${request.method} ${pathname}${search} HTTP/1.1\r\n${framing}${fields}\r\n`)
    socket.write(body)
  })
}
