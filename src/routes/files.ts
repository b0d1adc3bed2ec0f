import type { Context } from 'hono'
import { configOf } from '../config.ts'
import { ExportError } from '../errors.ts'
import { accepts, mediaTypeIn } from '../fhir/accept.ts'
import { outwardRetryAfterSeconds } from '../fhir/retry-after.ts'
import { parseEncodings } from '../fhir/accept-encoding.ts'
import { RESOURCE_TYPES } from '../fhir/resource-types.ts'
import type { FileAnswer } from '../job/answers.ts'
import { bodyOf, cleanStream } from '../job/file-stream.ts'
import { RowPrograms } from '../job/row-context.ts'
import { objectKey } from '../job/storage.ts'
import { log, nameOf } from '../log.ts'
import { vendorClientOf } from '../source/gate.ts'
import { mostDecodedBytes } from '../vendor/capped-body.ts'
import type { FileAnswer as VendorFileAnswer } from '../vendor/client.ts'
import { blockMsOf, subjectOf, type Source } from '../vendor/source.ts'
import { jobCallerOf, jobNotFound, jobOf, sourceOf, type App } from './context.ts'
import { matchesTag, parseRange } from './range.ts'
import { jobIdOf } from './status.ts'

const NDJSON = 'application/fhir+ndjson'
const FILE_MEDIA_TYPES = [NDJSON, 'application/ndjson', 'application/x-ndjson']

const RETRY_SECONDS = 30

/** That the vendor does not give what is asked of it now. */
export const unavailable = (answer?: VendorFileAnswer): ExportError => {
  const waitMs = answer?.kind === 'unavailable' ? answer.retryAfterMs : undefined
  return new ExportError(
    'vendor_file_unavailable',
    'The source could not give this file now. Try again; after Expires it is gone.',
    {
      retryAfterSeconds: outwardRetryAfterSeconds(waitMs ?? RETRY_SECONDS * 1000, { minSeconds: 1, maxSeconds: 120 }),
    },
  )
}

/** A file that is not kept cannot be parted: what is passed on of it must not look whole. */
class MixedFile extends Error {
  override readonly name = 'MixedFile'
}

const headersFor = (name: string): Record<string, string> => ({
  'Content-Type': NDJSON,
  'Content-Disposition': `attachment; filename="${name}"`,
  'Cache-Control': 'no-store, private',
  Vary: 'Accept-Encoding',
})

/** A body that is gzip already. */
const encoded = (body: ReadableStream<Uint8Array>, headers: Record<string, string>): Response =>
  new Response(body, { headers: { ...headers, 'Content-Encoding': 'gzip' }, encodeBody: 'manual' })

/** A body that is compressed on its way out has another tag and no length. */
const compressed = (body: ReadableStream<Uint8Array>, headers: Record<string, string>): Response =>
  encoded(body.pipeThrough(new CompressionStream('gzip')), headers)

/** A file that rests with us: identity with `Range`, or gzip [FI-10], [FI-15]. */
const fromStore = async (
  c: Context<App>,
  name: string,
  jobId: string,
  file: Extract<FileAnswer, { kind: 'stored' }>,
): Promise<Response> => {
  const gzip = wantsGzip(c)
  const etag = `"${file.sha256}${gzip ? '-gzip' : ''}"`
  const headers = { ...headersFor(name), ETag: etag }
  if (matchesTag(c.req.header('If-None-Match') ?? null, etag)) return new Response(null, { status: 304, headers })
  const range = gzip
    ? ({ kind: 'full' } as const)
    : parseRange(c.req.header('Range') ?? null, c.req.header('If-Range') ?? null, etag, file.bytes)
  const identity = { ...headers, 'Accept-Ranges': 'bytes' }
  if (range.kind === 'unsatisfiable' && c.req.method === 'GET') {
    return new Response(null, { status: 416, headers: { ...identity, 'Content-Range': `bytes */${file.bytes}` } })
  }
  if (c.req.method === 'HEAD') {
    return new Response(null, {
      headers: gzip ? { ...headers, 'Content-Encoding': 'gzip' } : { ...identity, 'Content-Length': `${file.bytes}` },
    })
  }
  const part = range.kind === 'part' ? { offset: range.offset, length: range.length } : undefined
  const object = await c.env.FILES.get(objectKey(jobId, file.n), part ? { range: part } : {})
  if (!object) throw jobNotFound()
  if (gzip) return compressed(object.body, headers)
  if (!part) return new Response(object.body, { headers: { ...identity, 'Content-Length': `${file.bytes}` } })
  const contentRange = `bytes ${part.offset}-${part.offset + part.length - 1}/${file.bytes}`
  return new Response(object.body, {
    status: 206,
    headers: { ...identity, 'Content-Length': `${part.length}`, 'Content-Range': contentRange },
  })
}

/** Whether the vendor calls it what it should be: a login page, a Binary or an archive is something else. */
const isNdjson = ({ headers }: Response): boolean => FILE_MEDIA_TYPES.includes(mediaTypeIn(headers.get('Content-Type')))

/** A file that stays at the vendor, streamed through; a URL that ran out is had anew once [N-25]. */
const fromVendor = async (
  c: Context<App>,
  source: Source,
  name: string,
  jobId: string,
  file: Extract<FileAnswer, { kind: 'vendor' }>,
): Promise<Response> => {
  const headers = { ...headersFor(name), 'Accept-Ranges': 'none' }
  if (c.req.method === 'HEAD') return new Response(null, { headers })
  const client = vendorClientOf(c.env, source)
  const { type, fileKind, job } = file
  if (subjectOf(source) !== file.subject) throw unavailable()
  let { url } = file
  const opened = async (ask: (url: string) => Promise<VendorFileAnswer>): Promise<Response> => {
    let answer = await ask(url)
    if (answer.kind === 'gone') {
      const fresh = await jobOf(c.env, jobId).freshFile(jobCallerOf(c, source), name)
      if (fresh.kind !== 'vendor') throw jobNotFound()
      ;({ url } = fresh)
      answer = await ask(url)
    }
    if (answer.kind !== 'open' || !answer.response.body) throw unavailable(answer)
    return answer.response
  }
  const brokeOff = (error: unknown): undefined => {
    log('warn', { event: 'file.broke_off', jobId, sourceId: source.id, error: nameOf(error) })
  }
  const programs = new RowPrograms(job, source, client, configOf(c.env).settings.publicBase)
  if (source.dialect.trust?.files && programs.passesWhole(fileKind)) {
    const mayBeGzip = wantsGzip(c)
    const sent = await opened((at) => client.fileAsSent(at, mayBeGzip))
    const coding = sent.headers.get('Content-Encoding')
    if (isNdjson(sent) && (coding === null || (coding === 'gzip' && mayBeGzip))) {
      const body = bodyOf(sent)
      if (coding !== null) return encoded(body, headers)
      return mayBeGzip ? compressed(body, headers) : new Response(body, { headers })
    }
    await sent.body?.cancel()
  }
  const response = await opened((at) => client.file(at))
  const program = programs.of(fileKind, type)
  let isMixed = false
  const stopWhenMixed = (): void => {
    if (fileKind !== 'output' || isMixed) return
    isMixed = [...program.otherTypes].some((other) => job.types?.includes(other) ?? RESOURCE_TYPES.has(other))
    if (!isMixed) return
    const error = new MixedFile()
    brokeOff(error)
    throw error
  }
  const isOrganized = fileKind === 'output' && job.organizedBy !== undefined
  const options = {
    stalledMs: blockMsOf(source),
    maxBytes: mostDecodedBytes(response),
    program,
    isMixed: isOrganized,
  }
  // Before its first block the client can still be told.
  const body = await cleanStream(bodyOf(response), type, options, stopWhenMixed).catch((error: unknown) =>
    error instanceof MixedFile ? undefined : brokeOff(error),
  )
  if (!body) throw unavailable()
  return wantsGzip(c) ? compressed(body, headers) : new Response(body, { headers })
}

const fromText = (c: Context<App>, name: string, file: Extract<FileAnswer, { kind: 'text' }>): Response => {
  const gzip = wantsGzip(c)
  const etag = `"${file.sha256}${gzip ? '-gzip' : ''}"`
  const headers = { ...headersFor(name), ETag: etag }
  if (matchesTag(c.req.header('If-None-Match') ?? null, etag)) return new Response(null, { status: 304, headers })
  return gzip ? compressed(new Blob([file.text]).stream(), headers) : new Response(file.text, { headers })
}

/** A range is of the identity bytes, so who asks for one gets those where they are acceptable. */
const wantsGzip = (c: Context<App>): boolean => {
  const { coding, identity } = parseEncodings(acceptEncodingOf(c))
  return coding === 'gzip' && !(identity && c.req.header('Range') !== undefined)
}

/** The platform rewrites `Accept-Encoding` and keeps what the client sent beside the request. */
const acceptEncodingOf = (c: Context<App>): string | null => {
  const sent = c.req.raw.cf?.clientAcceptEncoding
  return typeof sent === 'string' ? sent : (c.req.header('Accept-Encoding') ?? null)
}

/**
 * One output file.
 *
 * @see Bulk Data Output File Request, FI-01 to FI-10, AU-17
 */
export const outputFile = async (c: Context<App>): Promise<Response> => {
  const source = await sourceOf(c)
  const jobId = jobIdOf(c)
  const name = c.req.param('file') ?? ''
  if (!accepts(c.req.header('Accept') ?? null, FILE_MEDIA_TYPES)) {
    throw new ExportError('not_acceptable', 'Output files are application/fhir+ndjson; accept it, or send no Accept header.')
  }
  if (parseEncodings(acceptEncodingOf(c)).coding === 'none') {
    throw new ExportError(
      'not_acceptable',
      'Output files are sent as they are or with gzip; accept one of the two, or send no Accept-Encoding header.',
    )
  }
  const file = await jobOf(c.env, jobId).file(jobCallerOf(c, source), name)
  if (file.kind === 'absent') throw jobNotFound()
  if (file.kind === 'forbidden')
    throw new ExportError(
      'scope_insufficient',
      'The token does not cover what this file holds. Use one with the scopes of the kick-off.',
    )
  switch (file.kind) {
    case 'stored':
      return fromStore(c, name, jobId, file)
    case 'vendor':
      return fromVendor(c, source, name, jobId, file)
    case 'text':
      return fromText(c, name, file)
  }
}
