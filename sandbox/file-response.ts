import type { ExportFile } from './export-files.ts'
import { toStream, type Chunks } from './ndjson.ts'

const NDJSON = 'application/fhir+ndjson'
/** Files with more resources than this are sent chunked unless asked for by range: to know their length is to make them twice. */
const MAX_MEASURED_RESOURCES = 20_000

/** The bytes `from..to` (not included) of a stream. */
export async function* cut(chunks: Chunks, from: number, to: number): AsyncGenerator<Uint8Array> {
  let at = 0
  for await (const chunk of chunks) {
    const part = chunk.subarray(Math.max(0, from - at), Math.max(0, to - at))
    if (part.length > 0) yield part
    at += chunk.length
    if (at >= to) return
  }
}

/**
 * A single byte range (RFC 9110 §14.1.2).
 *
 * @returns `undefined` when the header is to be ignored, `'unsatisfiable'` when it lies behind the end.
 */
export const parseRange = (header: string, length: number): { from: number; to: number } | 'unsatisfiable' | undefined => {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  if (first === '') return Number(last) === 0 ? 'unsatisfiable' : { from: Math.max(0, length - Number(last)), to: length }
  if (last !== '' && Number(last) < Number(first)) return undefined
  if (Number(first) >= length) return 'unsatisfiable'
  return { from: Number(first), to: last === '' ? length : Math.min(length, Number(last) + 1) }
}

/** Whether a file's length is told: one that has to be found by reading only where that is little work. */
const tellsLength = (file: ExportFile): boolean => file.bytes !== undefined || file.resources <= MAX_MEASURED_RESOURCES

const bodyOf = (request: Request, chunks: Chunks): ReadableStream<Uint8Array> | null =>
  request.method === 'HEAD' ? null : toStream(chunks)

/** A file that is sent compressed whatever is asked for: without a length, whole. */
const compressedFile = (request: Request, chunks: Chunks): Response =>
  new Response(bodyOf(request, chunks), { headers: { 'Content-Type': NDJSON, 'Content-Encoding': 'gzip' } })

/** A file as any server without extras sends it: whole, its length known or not. */
export const plainFile = async (request: Request, file: ExportFile, withLength: boolean): Promise<Response> => {
  if (file.openCompressed !== undefined) return compressedFile(request, file.openCompressed())
  const headers: Record<string, string> = { 'Content-Type': file.contentType ?? NDJSON }
  if (file.bytes !== undefined || (withLength && tellsLength(file))) headers['Content-Length'] = String(await file.measure())
  return new Response(bodyOf(request, file.open()), { headers })
}

/** A file with a strong `ETag`, `If-None-Match`, `Range` and `If-Range`. */
export const rangedFile = async (request: Request, file: ExportFile): Promise<Response> => {
  if (file.openCompressed !== undefined) return compressedFile(request, file.openCompressed())
  const etag = `"${file.version}"`
  const headers: Record<string, string> = { 'Content-Type': file.contentType ?? NDJSON, ETag: etag, 'Accept-Ranges': 'bytes' }
  if (request.headers.get('If-None-Match') === etag) return new Response(null, { status: 304, headers })
  const asked = request.headers.get('Range')
  const condition = request.headers.get('If-Range')
  if (asked === null || request.method === 'HEAD' || (condition !== null && condition !== etag)) {
    if (tellsLength(file)) headers['Content-Length'] = String(await file.measure())
    return new Response(bodyOf(request, file.open()), { headers })
  }
  const length = await file.measure()
  const range = parseRange(asked, length)
  if (range === 'unsatisfiable')
    return new Response(null, { status: 416, headers: { ...headers, 'Content-Range': `bytes */${length}` } })
  const { from, to } = range ?? { from: 0, to: length }
  headers['Content-Length'] = String(to - from)
  if (range !== undefined) headers['Content-Range'] = `bytes ${from}-${to - 1}/${length}`
  return new Response(bodyOf(request, cut(file.open(), from, to)), { status: range === undefined ? 200 : 206, headers })
}
