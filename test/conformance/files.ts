import { send, type Exchange } from './exchange.ts'
import { isJson, keyOf, objects, textOf, type Json } from './fhir.ts'
import type { Server } from './server.ts'

export type FileList = 'output' | 'deleted' | 'error'

/** One file of a manifest, fetched. */
export interface File {
  readonly list: FileList
  readonly item: Json
  readonly url: string
  readonly exchange: Exchange
  /** Resources of the lines that are some; only the first of a file that is larger than what is read. */
  readonly resources: readonly Json[]
  /** What is wrong with its lines; empty when nothing is. */
  readonly malformed: readonly string[]
}

export const MAX_FILES = 500

const NEWLINE = 10

/** A file whose lines are its resources. */
export const linesOf = ({ body, isCut }: Exchange): { resources: Json[]; malformed: string[] } => {
  const whole = isCut ? body.subarray(0, body.lastIndexOf(NEWLINE) + 1) : body
  const malformed: string[] = []
  const resources: Json[] = []
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(whole)
  } catch {
    return { resources, malformed: ['it is not UTF-8'] }
  }
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    try {
      const value: unknown = JSON.parse(line)
      if (isJson(value) && typeof value['resourceType'] === 'string') resources.push(value)
      else malformed.push(`line ${index + 1} is no resource`)
    } catch {
      malformed.push(`line ${index + 1} is no JSON`)
    }
  }
  return { resources, malformed }
}

/** The token goes to another origin only where the manifest asks for it. */
export const fetchFile = async (
  server: Server,
  url: string,
  needsToken: boolean,
  headers: Readonly<Record<string, string>> = {},
): Promise<Exchange> => {
  const sent = { url, headers: { Accept: 'application/fhir+ndjson', 'Accept-Encoding': 'identity', ...headers } }
  return send(needsToken ? { ...sent, headers: { ...sent.headers, ...(await server.authorization()) } } : sent)
}

/** Every file that the pages list, one after the other, each URL once. */
export const downloadAll = async (server: Server, pages: readonly Json[]): Promise<readonly File[]> => {
  const files: File[] = []
  const seen = new Set<string>()
  for (const page of pages) {
    for (const list of ['output', 'deleted', 'error'] as const) {
      for (const item of objects(page[list])) {
        const url = textOf(item['url'])
        if (!/^https?:\/\//.test(url) || seen.has(list + url) || files.length >= MAX_FILES) continue
        seen.add(list + url)
        const exchange = await fetchFile(server, url, page['requiresAccessToken'] !== false)
        files.push({
          list,
          item,
          url,
          exchange,
          ...(exchange.status === 200 ? linesOf(exchange) : { resources: [], malformed: [] }),
        })
      }
    }
  }
  return files
}

export const filesIn = (run: { readonly files: readonly File[] }, list: FileList): readonly File[] =>
  run.files.filter((file) => file.list === list)

/** What an export delivered. */
export const resourcesOf = (run: { readonly files: readonly File[] }): readonly Json[] =>
  filesIn(run, 'output').flatMap(({ resources }) => resources)

/** `Type/id` of what an export delivered, without what a server adds about the export itself. */
export const keysOf = (run: { readonly files: readonly File[] }): ReadonlySet<string> => new Set(resourcesOf(run).map(keyOf))

export const sameKeys = (one: ReadonlySet<string>, other: ReadonlySet<string>): boolean =>
  one.size === other.size && [...one].every((key) => other.has(key))
