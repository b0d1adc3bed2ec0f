import { gzipSync } from 'node:zlib'
import { BROKEN, cut, html, json, outcome, SILENT, spoken, type Answer } from './answers.ts'
import type { Vendor } from './vendor.ts'
import type { VendorFile, VendorJob } from './vendor-job.ts'

type Bytes = Uint8Array<ArrayBuffer>

const NDJSON = { 'Content-Type': 'application/fhir+ndjson' }
/** How many pieces a body comes in. */
const PIECES = 2

/** What was asked for. */
export interface FileRequest {
  readonly index: number
  /** Of the URL's signature. */
  readonly key: number
  readonly headers: Headers
}

const piecesOf = (bytes: Bytes): Bytes[] => {
  const size = Math.max(1, Math.ceil(bytes.byteLength / PIECES))
  return Array.from({ length: Math.ceil(bytes.byteLength / size) }, (_, n) => bytes.slice(n * size, (n + 1) * size))
}

/** What comes before a body: its status and headers; and the body itself, from where it was asked for. */
const opened = (vendor: Vendor, job: VendorJob, file: VendorFile, { headers }: FileRequest) => {
  const { ranges } = vendor.plan
  const { bytes } = file
  const tag = `"${job.number}-${file.index}-${job.edition}"`
  const told = { ...NDJSON, ...(ranges === 'none' ? {} : { ETag: tag }) }
  const from = Number(/^bytes=(\d+)-$/.exec(headers.get('Range') ?? '')?.[1])
  const length = (count: number): Record<string, string> =>
    file.wrapping === 'no-length' ? {} : { 'Content-Length': `${count}` }
  const isPart = (ranges === 'kept' || ranges === 'mistaken') && from > 0 && headers.get('If-Range') === tag
  if (!isPart) return { status: 200, headers: { ...told, ...length(bytes.byteLength) }, bytes }
  if (from >= bytes.byteLength)
    return { status: 416, headers: { ...told, 'Content-Range': `bytes */${bytes.byteLength}` }, bytes: new Uint8Array(0) }
  const offset = ranges === 'mistaken' ? 0 : from
  const part = bytes.slice(offset)
  const range = `bytes ${offset}-${bytes.byteLength - 1}/${bytes.byteLength}`
  return { status: 206, headers: { ...told, ...length(part.byteLength), 'Content-Range': range }, bytes: part }
}

type Opened = ReturnType<typeof opened>

const whole = ({ status, headers, bytes }: Opened): Answer => spoken(status, headers, piecesOf(bytes))

/** Most of the bytes, then nothing any more. */
const most = ({ status, headers, bytes }: Opened, end: 'broken' | 'silent'): Answer =>
  spoken(status, headers, [bytes.slice(0, Math.ceil(bytes.byteLength * 0.8))], end)

/** Fewer bytes than announced, and an end that looks like one. The platform itself notices it in a body that is only passed on. */
const short = ({ plan }: Vendor, { wrapping }: VendorFile, { status, headers, bytes }: Opened): Answer => {
  const half = bytes.slice(0, Math.floor(bytes.byteLength / 2))
  return spoken(status, headers, [half], wrapping === 'plain' && !plan.streams ? 'whole' : 'broken')
}

const mistyped = (): Answer => spoken(200, NDJSON, '{"resourceType":"Device","id":"of another type"}\n')

/** What can go wrong with one request for a file. */
const FAULTS: readonly ((vendor: Vendor, job: VendorJob, file: VendorFile, opened: Opened) => Answer)[] = [
  (_, __, ___, open) => whole(open),
  (_, __, ___, open) => most(open, 'broken'),
  (vendor, _, file, open) => short(vendor, file, open),
  (_, __, ___, open) => most(open, 'silent'),
  () => BROKEN,
  () => SILENT,
  () => spoken(404),
  () => spoken(403),
  () => spoken(500),
  () => spoken(503, { 'Retry-After': '90' }),
  () => html(),
  () => mistyped(),
  (_, __, file) => cut(spoken(200, NDJSON, new Uint8Array(gzipSync(file.text)))),
  (_, __, file) => {
    const bytes = new Uint8Array(gzipSync(file.text))
    bytes[Math.floor(bytes.byteLength / 2)] = 0
    return spoken(200, NDJSON, bytes)
  },
  () => json(200, { resourceType: 'Bundle', type: 'searchset', entry: [] }),
  (vendor) => {
    vendor.tokens.revoke()
    return outcome(401, 'login')
  },
  (_, job) => {
    job.generation += 1
    return spoken(410)
  },
  (_, job, __, open) => {
    // The same bytes under another tag, from the next request on.
    job.edition += 1
    return most(open, 'broken')
  },
]

export const fileAnswer = (vendor: Vendor, job: VendorJob, request: FileRequest, fault: number): Answer => {
  const file = job.files[request.index]
  if (!file || !job.isDone) return spoken(404)
  if (request.key !== job.generation) return spoken([400, 401, 403, 410][job.generation % 4] ?? 403)
  const open = opened(vendor, job, file, request)
  const isFirst = request.index === 0
  const { habit } = vendor.plan
  if (habit === 'gives-no-files') return spoken(404)
  if (habit === 'gives-one-page-of-html' && isFirst) return html()
  if (habit === 'mistypes-one-file' && isFirst) return mistyped()
  if (habit === 'cuts-one-file' && isFirst && file.lines > 0) return short(vendor, file, open)
  if (habit === 'breaks-off' && !job.broken.has(request.index)) {
    job.broken.add(request.index)
    return most(open, fault % 2 === 0 ? 'broken' : 'silent')
  }
  // One reading for each signature.
  if (habit === 'signs-briefly') job.generation += 1
  return (FAULTS[fault % FAULTS.length] ?? FAULTS[0])?.(vendor, job, file, open) ?? BROKEN
}
