import type { ResumeFrom } from '../../src/vendor/client.ts'
import { MIN_PART_BYTES } from '../../src/job/part-size.ts'
import { bindings, sha256Of } from './support.ts'

/* Large files of a vendor that breaks off, and a bucket that is watched. */

export const PART_BYTES = MIN_PART_BYTES
const utf8 = new TextEncoder()
/** Does not divide a part, so that every boundary of parts cuts a line. */
const LINE_BYTES = 1000

/** Clean NDJSON of exactly so many bytes. Other marks, other bytes. */
export const linesOf = (size: number, mark = 'a', type = 'Patient'): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(size).fill(mark.charCodeAt(0))
  const start = utf8.encode(`{"resourceType":"${type}","id":"1","text":"`)
  const end = utf8.encode('"}\n')
  for (let at = 0; at < size; at += LINE_BYTES) {
    const isLast = at + 2 * LINE_BYTES > size
    bytes.set(start, at)
    bytes.set(end, (isLast ? size : at + LINE_BYTES) - end.length)
    if (isLast) break
  }
  return bytes
}

export const joined = (...parts: (Uint8Array | string)[]): Uint8Array<ArrayBuffer> => {
  const chunks = parts.map((part) => (typeof part === 'string' ? utf8.encode(part) : part))
  const whole = new Uint8Array(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.byteLength
  }
  return whole
}

export const newlinesIn = (bytes: Uint8Array): number => {
  let lines = 0
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) lines += 1
  return lines
}

/** The `Range` that asks for what follows so many stored bytes, from where the line that they end in begins. */
export const rangeBehind = (bytes: Uint8Array, storedBytes: number): string =>
  `bytes=${bytes.lastIndexOf(10, storedBytes - 1) + 1}-`

/** What a file of these clean bytes is once it rests with us. */
export const storedAs = async (bytes: Uint8Array<ArrayBuffer>) => ({
  bytes: bytes.byteLength,
  lines: newlinesIn(bytes),
  sha256: await sha256Of(bytes),
})

/** What lies in R2. */
export const objectAt = async (key: string): Promise<{ bytes: number; sha256: string } | null> => {
  const object = await bindings.FILES.get(key)
  if (!object) return null
  const bytes = new Uint8Array(await object.arrayBuffer())
  return { bytes: bytes.byteLength, sha256: await sha256Of(bytes) }
}

/** The bytes, in chunks, and an error instead of those from `cutAt` on. */
const streamOf = (bytes: Uint8Array<ArrayBuffer>, cutAt: number) => {
  let at = 0
  const end = Math.min(cutAt, bytes.byteLength)
  return new ReadableStream({
    type: 'bytes',
    pull(controller) {
      if (at < end) {
        const next = Math.min(end, at + 1024 * 1024)
        controller.enqueue(bytes.slice(at, next))
        at = next
        if (at < end || end < bytes.byteLength) return
      }
      if (end >= bytes.byteLength) controller.close()
      else controller.error(new Error('Network connection lost.'))
    },
  })
}

export interface Asked {
  readonly range: string | null
  readonly ifRange: string | null
}

/** How a file is served. What is not said is as a good server does it. */
export interface Serving {
  /** `ETag`; null for none. */
  readonly etag?: string | null
  /** The length is announced. */
  readonly isSized?: boolean
  readonly hasRanges?: boolean
  /** Where in the file this answer breaks off. */
  readonly cutAt?: number
  readonly headers?: Readonly<Record<string, string>>
}

/** A file as a vendor's server has it, and what was asked of it. */
export class ServedFile {
  readonly asked: Asked[] = []
  bytes: Uint8Array<ArrayBuffer>
  serving: Serving

  constructor(bytes: Uint8Array<ArrayBuffer>, serving: Serving = {}) {
    this.bytes = bytes
    this.serving = serving
  }

  answer(request: { readonly headers: Headers }): Response {
    const { etag = '"v1"', isSized = false, hasRanges = true, cutAt = Infinity, headers = {} } = this.serving
    const range = request.headers.get('Range')
    const ifRange = request.headers.get('If-Range')
    this.asked.push({ range, ifRange })
    const size = this.bytes.byteLength
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
    const isPart = range !== null && hasRanges && (ifRange === null || ifRange === etag)
    const tag: Record<string, string> = etag === null ? {} : { ETag: etag }
    if (isPart && from >= size) {
      return new Response(null, { status: 416, headers: { ...tag, 'Content-Range': `bytes */${size}` } })
    }
    const offset = isPart ? from : 0
    return new Response(streamOf(this.bytes.subarray(offset), cutAt - offset), {
      status: isPart ? 206 : 200,
      headers: {
        ...tag,
        ...(isSized ? { 'Content-Length': `${size - offset}` } : {}),
        ...(isPart ? { 'Content-Range': `bytes ${offset}-${size - 1}/${size}` } : {}),
        ...headers,
      },
    })
  }

  /** As collecting asks for it. */
  readonly open = async (from?: ResumeFrom): Promise<Response> =>
    this.answer({
      headers: new Headers(from && { Range: `bytes=${from.offset}-`, 'If-Range': from.validator, 'Accept-Encoding': 'identity' }),
    })
}

export type BucketCall = 'put' | 'get' | 'head' | 'list' | 'create' | 'uploadPart' | 'complete' | 'abort'

/** The test's R2, whose calls are counted, and can be made to fail before or after they have done their work. */
export class WatchedBucket {
  /** Numbers of the parts that were uploaded, in order. */
  readonly uploaded: number[] = []
  readonly calls: BucketCall[] = []
  /** Uploads that were begun and neither completed nor aborted. */
  readonly unfinished = new Set<string>()
  /** Called before each; what it throws is what R2 answers. */
  before: (call: BucketCall, part?: number) => void | Promise<void> = () => undefined
  after: (call: BucketCall, part?: number) => void | Promise<void> = () => undefined
  readonly bucket: R2Bucket

  constructor(inner: R2Bucket) {
    const names: Record<string, BucketCall> = { put: 'put', get: 'get', head: 'head', list: 'list' }
    this.bucket = new Proxy(inner, {
      get: (target, key) => {
        if (key === 'createMultipartUpload') {
          return (name: string, options?: R2MultipartOptions) =>
            this.#run('create', async () => {
              const upload = await target.createMultipartUpload(name, options)
              this.unfinished.add(upload.uploadId)
              return upload
            })
        }
        if (key === 'resumeMultipartUpload')
          return (name: string, id: string) => this.#upload(target.resumeMultipartUpload(name, id))
        const value = Reflect.get(target, key) as unknown
        if (typeof value !== 'function') return value
        const call = names[String(key)]
        const bound = value.bind(target) as (...parameters: unknown[]) => Promise<unknown>
        return call ? (...parameters: unknown[]) => this.#run(call, () => bound(...parameters)) : bound
      },
    })
  }

  count(call: BucketCall): number {
    return this.calls.filter((one) => one === call).length
  }

  #upload(upload: R2MultipartUpload): R2MultipartUpload {
    const { uploadId } = upload
    return {
      key: upload.key,
      uploadId,
      uploadPart: (n, value) =>
        this.#run(
          'uploadPart',
          async () => {
            const part = await upload.uploadPart(n, value)
            this.uploaded.push(n)
            return part
          },
          n,
        ),
      complete: (parts) =>
        this.#run('complete', async () => {
          const object = await upload.complete(parts)
          this.unfinished.delete(uploadId)
          return object
        }),
      abort: () =>
        this.#run('abort', async () => {
          await upload.abort()
          this.unfinished.delete(uploadId)
        }),
    }
  }

  async #run<T>(call: BucketCall, work: () => Promise<T>, part?: number): Promise<T> {
    this.calls.push(call)
    await this.before(call, part)
    const result = await work()
    await this.after(call, part)
    return result
  }
}
