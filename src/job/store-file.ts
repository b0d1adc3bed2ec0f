import { cleanBlocks, equalParts, MalformedFile, newReading } from './file-stream.ts'

/** R2 wants parts of at least this, save the last. */
export const MIN_PART_BYTES = 5 * 1024 * 1024
const MAX_PARTS = 10_000
/** A file of known length up to here is one put; a longer one would be lost whole with a connection that breaks near its end. */
export const MAX_SINGLE_PUT_BYTES = 64 * 1024 * 1024
const PUT_BLOCK_BYTES = 256 * 1024

const HTTP_METADATA = { contentType: 'application/fhir+ndjson' }

/** What is known of a file once it rests with us. */
export interface StoredFile {
  readonly bytes: number
  readonly lines: number
  /** Lower-case hex, of the stored bytes. */
  readonly sha256: string
  readonly type: string | undefined
}

/** R2 did not take what it was given; the file itself may be well. */
export class BucketError extends Error {}

/** Runs an R2 operation. @throws BucketError */
const bucketed = async <T>(operation: Promise<T>): Promise<T> => {
  try {
    return await operation
  } catch (cause) {
    throw new BucketError('R2 failed', { cause })
  }
}

/** Thrown when a file of known length turns out to need cleaning, which changes its length. */
class NeedsCleaning extends Error {}

const partBytesFor = (length: number | undefined): number => Math.max(MIN_PART_BYTES, Math.ceil((length ?? 0) / MAX_PARTS))

/** The length of the bytes that will be read; `undefined` when unknown or of the encoded form. */
export const knownLength = (response: Response): number | undefined => {
  const value = response.headers.get('Content-Length')
  return value !== null && /^\d+$/.test(value) && response.headers.get('Content-Encoding') === null ? Number(value) : undefined
}

/** Hashes what is written, without holding it. */
class Sha256 {
  readonly #stream = new crypto.DigestStream('SHA-256')
  readonly #writer = this.#stream.getWriter()

  write(chunk: Uint8Array): Promise<void> {
    return this.#writer.write(chunk)
  }

  /** Lower-case hex; nothing can be written afterwards. */
  async hex(): Promise<string> {
    await this.#writer.close()
    return hexOf(await this.#stream.digest)
  }

  async discard(): Promise<void> {
    this.#stream.digest.catch(() => undefined)
    await this.#writer.abort()
  }
}

const hexOf = (bytes: ArrayBuffer): string =>
  [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')

/** SHA-256 of a text, lower-case hex of its UTF-8. */
export const sha256OfText = async (text: string): Promise<string> =>
  hexOf(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))

/**
 * Streams vendor files to R2, cleaned, hashed and counted as they pass. Known and moderate length: one put. Else parts of equal
 * size, and one put again when the first part holds it all.
 */
export class FileStore {
  readonly #bucket: R2Bucket
  /** This vendor's files need cleaning, so their length says nothing: learnt from the first that did. */
  #unclean = false

  constructor(bucket: R2Bucket) {
    this.#bucket = bucket
  }

  /**
   * @param open Gives the response to read; called a second time when the first reading showed that the file needs cleaning.
   * @throws MalformedFile, or what network or bucket threw; no object is left behind then.
   */
  async store(key: string, open: () => Promise<Response>, type: string | undefined): Promise<StoredFile> {
    const response = await open()
    const length = knownLength(response)
    if (length === undefined || this.#unclean || length <= MIN_PART_BYTES || length > MAX_SINGLE_PUT_BYTES) {
      return this.#inParts(key, response, type, length)
    }
    try {
      return await this.#whole(key, response, type, length)
    } catch (error) {
      if (!(error instanceof NeedsCleaning)) throw error
      this.#unclean = true
      return this.#inParts(key, await open(), type, undefined)
    }
  }

  async #whole(key: string, response: Response, type: string | undefined, length: number): Promise<StoredFile> {
    const reading = newReading(type)
    const hash = new Sha256()
    const fixed = new FixedLengthStream(length)
    const storing = fixed.writable.getWriter()
    const put = bucketed(this.#bucket.put(key, fixed.readable, { httpMetadata: HTTP_METADATA }))
    // A put that fails stops reading; what is being written must not wait for it.
    let refusal: unknown
    let bytes = 0
    put.catch((error: unknown) => {
      refusal = error
      return storing.abort(error).catch(() => undefined)
    })
    try {
      for await (const chunk of cleanBlocks(bodyOf(response), PUT_BLOCK_BYTES, reading)) {
        if (reading.scanner.changed || reading.recoded) throw new NeedsCleaning()
        bytes += chunk.byteLength
        if (bytes > length) throw new MalformedFile('is longer than announced')
        await Promise.all([hash.write(chunk), storing.write(chunk)])
      }
      // What was cleaned away at the very end left no chunk to notice it by.
      if (reading.scanner.changed || reading.recoded) throw new NeedsCleaning()
      if (bytes < length) throw new MalformedFile('is shorter than announced')
      await Promise.all([storing.close(), put])
      return { bytes: length, lines: reading.scanner.lines, sha256: await hash.hex(), type: reading.scanner.firstLineType }
    } catch (error) {
      // Once we break off, the put fails too, and that says nothing.
      const first = refusal ?? error
      await Promise.allSettled([hash.discard(), storing.abort(error), put])
      throw first
    }
  }

  async #inParts(key: string, response: Response, type: string | undefined, length: number | undefined): Promise<StoredFile> {
    const size = partBytesFor(length)
    const reading = newReading(type)
    const hash = new Sha256()
    let bytes = 0
    let upload: R2MultipartUpload | undefined
    let whole: Uint8Array | undefined
    const parts: R2UploadedPart[] = []
    try {
      for await (const part of equalParts(cleanBlocks(bodyOf(response), size, reading), size)) {
        bytes += part.byteLength
        await hash.write(part)
        if (!upload && part.byteLength < size) {
          whole = part
          continue
        }
        upload ??= await bucketed(this.#bucket.createMultipartUpload(key, { httpMetadata: HTTP_METADATA }))
        parts.push(await bucketed(upload.uploadPart(parts.length + 1, part)))
      }
      const { scanner, recoded } = reading
      if (length !== undefined && !scanner.changed && !recoded && bytes !== length)
        throw new MalformedFile('is shorter than announced')
      if (upload) await bucketed(upload.complete(parts))
      else if (whole) await bucketed(this.#bucket.put(key, whole, { httpMetadata: HTTP_METADATA }))
      return { bytes, lines: scanner.lines, sha256: await hash.hex(), type: scanner.firstLineType }
    } catch (error) {
      await Promise.allSettled([hash.discard(), upload?.abort()])
      throw error
    }
  }
}

const bodyOf = (response: Response): ReadableStream<Uint8Array> => {
  if (!response.body) throw new MalformedFile('has no body')
  return response.body
}
