import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { ExportFile } from './export-files.ts'
import { parseRange, rangedFile } from './file-response.ts'
import { listen, type Serve } from './listen.ts'
import { urlSigner } from './signed-urls.ts'
import type { TrafficRecorder } from './traffic.ts'

/** A store on an origin of its own, whose objects are read by presigned URLs, as S3's are. */
export interface PresignedStore {
  readonly origin: string
  /** A URL that reads this file for a short time. */
  presign(file: ExportFile): string
  close(): Promise<void>
}

const BUCKET = 'bulk-export'
/** Source: `docs/vendors.md`, Oracle Health: the number is assumed. */
export const URL_LIFETIME_SECONDS = 60
/** Objects presigned lately stay known; older ones can be presigned again. */
const MAX_OBJECTS = 200_000

const compress = promisify(gzip)

// S3's error body: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
export const storeError = (status: number, code: string, message: string): Response =>
  new Response(`<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`, {
    status,
    headers: { 'Content-Type': 'application/xml' },
  })

const contents = async (file: ExportFile): Promise<Buffer> => {
  const chunks: Uint8Array[] = []
  // A slice of one file, small by construction; compressed whole because a store knows every object's length.
  for await (const chunk of file.open()) chunks.push(chunk)
  return compress(Buffer.concat(chunks), { level: 1 })
}

export const presignedStore = async (options: {
  readonly host: string
  readonly now: () => number
  readonly traffic: TrafficRecorder
  /** How long a URL made now lives. */
  readonly urlLifetimeSeconds: () => number
  /** What the store's answers pass through. */
  readonly around: (serve: Serve) => Serve
}): Promise<PresignedStore> => {
  const { host, now, traffic, urlLifetimeSeconds, around } = options
  const signer = urlSigner()
  const objects = new Map<string, ExportFile>()

  const serve = async (request: Request): Promise<Response> => {
    const { pathname, searchParams } = new URL(request.url)
    traffic.count('storeRequests')
    if (request.headers.has('Authorization')) {
      traffic.count('bearersAtStore')
      return storeError(400, 'InvalidArgument', 'Only one auth mechanism allowed')
    }
    const date = searchParams.get('X-Amz-Date') ?? ''
    const lifetime = searchParams.get('X-Amz-Expires') ?? ''
    // The signature covers the method: a URL made for GET answers 403 to HEAD.
    if (!signer.verify(`${request.method} ${pathname} ${date} ${lifetime}`, searchParams.get('X-Amz-Signature') ?? '')) {
      return storeError(
        403,
        'SignatureDoesNotMatch',
        'The request signature we calculated does not match the signature you provided.',
      )
    }
    if (Number(date) + Number(lifetime) * 1000 < now()) return storeError(403, 'AccessDenied', 'Request has expired')
    const file = objects.get(pathname)
    if (file === undefined) return storeError(404, 'NoSuchKey', 'The specified key does not exist.')
    // Too large to be compressed whole: as it is.
    if (file.bytes !== undefined) return rangedFile(request, file)
    const bytes = await contents(file)
    const headers = {
      'Content-Type': file.contentType ?? 'application/fhir+ndjson',
      // Stored compressed, so sent so whatever `Accept-Encoding` says.
      'Content-Encoding': 'gzip',
      'Accept-Ranges': 'bytes',
      ETag: `"${file.version}"`,
    }
    const range = parseRange(request.headers.get('Range') ?? '', bytes.length)
    if (range === 'unsatisfiable') return storeError(416, 'InvalidRange', 'The requested range is not satisfiable')
    if (range === undefined)
      return new Response(new Uint8Array(bytes), { headers: { ...headers, 'Content-Length': String(bytes.length) } })
    const { from, to } = range
    return new Response(new Uint8Array(bytes.subarray(from, to)), {
      status: 206,
      headers: { ...headers, 'Content-Length': String(to - from), 'Content-Range': `bytes ${from}-${to - 1}/${bytes.length}` },
    })
  }

  const server = await listen(around(serve), host)
  return {
    origin: server.origin,
    presign: (file) => {
      const path = `/${BUCKET}/${file.id}.ndjson`
      const oldest = objects.size >= MAX_OBJECTS ? objects.keys().next().value : undefined
      if (oldest !== undefined) objects.delete(oldest)
      objects.set(path, file)
      const date = String(now())
      const lifetime = urlLifetimeSeconds()
      const signature = signer.sign(`GET ${path} ${date} ${lifetime}`)
      return `${server.origin}${path}?X-Amz-Date=${date}&X-Amz-Expires=${lifetime}&X-Amz-Signature=${signature}`
    },
    close: () => server.close(),
  }
}
