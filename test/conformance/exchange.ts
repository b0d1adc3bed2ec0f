import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'

/** What is sent. Nothing is added to the headers: what is not there is not sent. */
export interface Sent {
  readonly method?: string
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** One request with its answer, as they were on the wire: nothing followed, nothing decoded. */
export interface Exchange {
  readonly method: string
  readonly url: string
  readonly requestHeaders: Readonly<Record<string, string>>
  readonly status: number
  /** Lower-case name → value; several of one name are joined by commas. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** The body went on, and was not read to its end. */
  readonly isCut: boolean
}

/** Longest silence of a server before an exchange is given up. */
const IDLE_MS = 60_000
export const MAX_BODY_BYTES = 32 * 1024 * 1024

const headersOf = (answer: IncomingMessage): Record<string, string> =>
  Object.fromEntries(
    Object.entries(answer.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')]),
  )

/** A request whose answer's head has come, and whose body waits to be read. */
export interface Opened {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Reads what is left, up to the cap. */
  readonly rest: () => Promise<{ readonly body: Buffer; readonly isCut: boolean }>
}

/** Sends a request and stops at the body. @throws when no answer comes. */
export const open = ({ method = 'GET', url, headers = {}, body }: Sent, maxBytes = MAX_BODY_BYTES): Promise<Opened> =>
  new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? httpsRequest : httpRequest
    const length = body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }
    const outgoing = send(url, { method, headers: { ...headers, ...length } }, (answer) => {
      resolve({ status: answer.statusCode ?? 0, headers: headersOf(answer), rest: () => readBody(answer, maxBytes) })
    })
    outgoing.setTimeout(IDLE_MS, () => outgoing.destroy(new Error(`no answer within ${IDLE_MS / 1000} seconds`)))
    outgoing.once('error', reject)
    outgoing.end(body)
  })

const readBody = async (answer: IncomingMessage, maxBytes: number): Promise<{ body: Buffer; isCut: boolean }> => {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    bytes += chunk.length
    // Leaving the loop ends the connection.
    if (bytes >= maxBytes) break
  }
  return { body: Buffer.concat(chunks), isCut: !answer.complete }
}

/** @throws when no answer comes, or it breaks off. */
export const send = async (sent: Sent, maxBytes = MAX_BODY_BYTES): Promise<Exchange> => {
  const { status, headers, rest } = await open(sent, maxBytes)
  return {
    method: sent.method ?? 'GET',
    url: sent.url,
    requestHeaders: sent.headers ?? {},
    status,
    headers,
    ...(await rest()),
  }
}

/** Parsed JSON, when it is JSON. */
export const jsonOf = (exchange: { readonly body: Buffer }): unknown => {
  try {
    return JSON.parse(exchange.body.toString('utf8')) as unknown
  } catch {
    return undefined
  }
}

const SHOWN_BYTES = 600
const SHOWN_HEADERS = [
  'content-type',
  'content-location',
  'content-encoding',
  'content-range',
  'retry-after',
  'x-progress',
  'x-export-status',
  'preference-applied',
  'expires',
  'etag',
  'location',
  'www-authenticate',
]
const SHOWN_REQUEST_HEADERS = new Set(['accept', 'accept-encoding', 'content-type', 'prefer', 'range'])
/** What opens something: in a body, and in the query of a signed URL. */
const SECRETS = [
  /("(?:access_token|refresh_token|id_token|client_assertion|client_secret|accessToken)"\s*:\s*")[^"]*/g,
  /([?&](?:X-Amz-[\w-]+|Signature|Key-Pair-Id|Policy|AWSAccessKeyId|token|sig|se|sv)=)[^&"\s\\]*/gi,
  /(Bearer\s+)[\w.~+/-]{8,}=*/g,
  /\b(eyJ)[\w-]+\.[\w-]+\.[\w-]*/g,
]

/** A text without tokens and signatures. */
export const masked = (text: string): string => SECRETS.reduce((shown, secret) => shown.replace(secret, '$1***'), text)

const shownBody = ({ body, headers }: Exchange): string => {
  if (body.length === 0) return '(no body)'
  const type = headers['content-type'] ?? ''
  // What stands in a file or a resource is about patients.
  if (!/json/.test(type) || /ndjson/.test(type) || /"resourceType":\s*"(Group|Bundle|Binary)"/.test(body.toString('utf8')))
    return `(${body.length} bytes of ${headers['content-type'] ?? 'no content type'})`
  const text = body.toString('utf8')
  return text.length > SHOWN_BYTES ? `${text.slice(0, SHOWN_BYTES)}…` : text
}

/** An exchange as a report shows it: no token, no signature, nothing out of a file, a long body cut. */
export const shown = (exchange: Exchange): string =>
  masked(
    [
      `${exchange.method} ${exchange.url}`,
      ...Object.entries(exchange.requestHeaders)
        .filter(([name]) => SHOWN_REQUEST_HEADERS.has(name.toLowerCase()))
        .map(([name, value]) => `${name}: ${value}`),
      '',
      `HTTP ${exchange.status}`,
      ...SHOWN_HEADERS.flatMap((name) => (exchange.headers[name] === undefined ? [] : [`${name}: ${exchange.headers[name]}`])),
      '',
      shownBody(exchange),
    ].join('\n'),
  )
