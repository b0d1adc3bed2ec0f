import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** How a transcript came to be: seen on the wire, shown by the vendor's documentation, or neither. */
export type Provenance = 'recorded' | 'documented' | 'assumed'

const PROVENANCES: readonly string[] = ['recorded', 'documented', 'assumed'] satisfies Provenance[]

export interface TranscriptRequest {
  readonly method: string
  readonly url: string
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

export interface TranscriptResponse {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** One request and its answer. `name` is `<phase>: <what was asked>`; what follows a redirect has ` / 2` behind it. */
export interface Exchange {
  readonly name: string
  /** `# evidence:` of the exchange: the page or server that is known to answer like this. */
  readonly evidence?: string
  readonly request: TranscriptRequest
  readonly response: TranscriptResponse
}

export interface Transcript {
  readonly file: string
  readonly provenance: Provenance
  /** Where it was recorded or is documented. */
  readonly where: string
  readonly exchanges: readonly Exchange[]
}

const FIXTURES = join(import.meta.dirname, '../fixtures')

/** Header lines up to the first blank one, then the body; blank lines around the body are layout. */
const messageOf = (lines: readonly string[], where: string): { headers: Map<string, string>; body: string } => {
  const blank = lines.indexOf('')
  const head = blank === -1 ? lines : lines.slice(0, blank)
  const headers = new Map<string, string>()
  for (const line of head) {
    const [, name, value] = /^([\w-]+):\s*(.*)$/.exec(line) ?? []
    if (name === undefined || value === undefined) throw new Error(`${where}: not a header line: ${line}`)
    headers.set(name.toLowerCase(), value)
  }
  const body = blank === -1 ? '' : lines.slice(blank + 1).join('\n')
  return { headers, body: body.replace(/^\n+|\s+$/g, '') }
}

const exchangeOf = (block: string, file: string): Exchange => {
  const [name = '', ...rest] = block.split('\n')
  const where = `${file}, ${name}`
  const comments = rest.filter((line) => line.startsWith('# '))
  const lines = rest.filter((line) => !line.startsWith('# '))
  const evidence = comments.find((line) => line.startsWith('# evidence: '))?.slice('# evidence: '.length)
  const answer = lines.findIndex((line) => line.startsWith('HTTP/1.1 '))
  if (answer === -1) throw new Error(`${where}: has no answer`)
  const [, method, url] = /^([A-Z]+) (\S+)$/.exec(lines[0] ?? '') ?? []
  const [, status] = /^HTTP\/1\.1 (\d{3})(?: .*)?$/.exec(lines[answer] ?? '') ?? []
  if (method === undefined || url === undefined || status === undefined) throw new Error(`${where}: malformed first line`)
  return {
    name: name.trim(),
    ...(evidence === undefined ? {} : { evidence }),
    request: { method, url, ...messageOf(lines.slice(1, answer), where) },
    response: { status: Number(status), ...messageOf(lines.slice(answer + 1), where) },
  }
}

/**
 * Reads one transcript.
 *
 * @throws Error for a text without provenance, or an exchange that cannot be read.
 */
export const parseTranscript = (text: string, file: string): Transcript => {
  const [, provenance, where] = /^# source: (\w+) (\S.*)\n/.exec(text) ?? []
  if (provenance === undefined || where === undefined || !PROVENANCES.includes(provenance)) {
    throw new Error(`${file}: the first line must be "# source: recorded|documented|assumed <where>"`)
  }
  const blocks = text.split(/^### /m).slice(1)
  return { file, provenance: provenance as Provenance, where, exchanges: blocks.map((block) => exchangeOf(block, file)) }
}

/** Every transcript of one adapter. */
export const transcriptsOf = (adapterId: string): Transcript[] => {
  const folder = join(FIXTURES, adapterId)
  return readdirSync(folder)
    .filter((name) => name.endsWith('.http'))
    .toSorted((a, b) => a.localeCompare(b))
    .map((name) => parseTranscript(readFileSync(join(folder, name), 'utf8'), `${adapterId}/${name}`))
}

/** An exchange and those that its redirects lead to; empty when the adapter has none of that name. */
export const sequence = (transcripts: readonly Transcript[], name: string): Exchange[] =>
  transcripts.flatMap(({ exchanges }) => exchanges).filter((one) => one.name === name || one.name.startsWith(`${name} / `))

/** The reasons that a folder's README gives, by case: lines such as ``- `file: presigned`: no page says where files lie``. */
export const skipReasons = (adapterId: string): ReadonlyMap<string, string> => {
  const text = readFileSync(join(FIXTURES, adapterId, 'README.md'), 'utf8')
  const [, section = ''] = text.split(/^## Skipped.*$/m)
  const lines = section.split(/^## /m)[0] ?? ''
  return new Map([...lines.matchAll(/^- `([^`]+)`: (.{10,})$/gm)].map(([, name = '', reason = '']) => [name, reason]))
}
