import { mostDecodedBytes } from '../vendor/capped-body.ts'
import type { ResumeFrom } from '../vendor/client.ts'
import { bucketed, HTTP_METADATA, isLostUpload } from './bucket.ts'
import { continuedLength, knownLength, validatorOf } from './byte-range.ts'
import { equalParts } from './equal-parts.ts'
import { bodyOf, cleanBlocks } from './file-stream.ts'
import { checkLength, isChanged, newReading, type ReadingOptions } from './reading.ts'
import { CutOff, MalformedFile } from './file-errors.ts'
import { MAX_SINGLE_PUT_BYTES, MIN_PART_BYTES, blockBytesFor, partBytesFor, PUT_BLOCK_BYTES } from './part-size.ts'
import { mayGoOn, mayPutGoOn, mayReadOn, type KeepOn } from './keep-on.ts'
import { completeUpload, PartUpload } from './part-upload.ts'
import { Sha256 } from './sha256.ts'
import type { KeptUpload, Part, Upload, UploadRecord, WholeUpload } from './upload-rows.ts'

/** What is known of a file once it rests with us. */
export interface StoredFile {
  readonly bytes: number
  readonly lines: number
  /** Lower-case hex, of the stored bytes. */
  readonly sha256: string
  readonly type: string | undefined
}

/** Gives the response to read: the whole file with 200, or with 206 what follows an offset that was asked for. */
export type OpenFile = (from?: ResumeFrom) => Promise<Response>

/** Thrown when a file of known length turns out to need cleaning, which changes its length. */
class NeedsCleaning extends Error {}

/** What rules the storing of one file. */
export interface Storing extends Pick<ReadingOptions, 'stalledMs'> {
  readonly key: string
  readonly open: OpenFile
  /** What it must hold. `undefined`: the first line tells. */
  readonly type: string | undefined
  readonly record: UploadRecord
  readonly keepOn: KeepOn
  /** A reading of it failed before: whatever its length, keep what comes. */
  readonly hasFailed?: boolean
}

/**
 * Streams vendor files to R2, cleaned, hashed and counted as they pass. Known and moderate length: one put. Else parts of equal
 * size, whose state is recorded part by part, so that a file that broke off is taken up after the last one; and one put again when the
 * first part holds it all.
 */
export class FileStore {
  readonly #bucket: R2Bucket
  /** This vendor's files need cleaning, so their length says nothing: learnt from the first that did. */
  #unclean = false

  constructor(bucket: R2Bucket) {
    this.#bucket = bucket
  }

  /**
   * @throws MalformedFile, CutOff, BrokenOff, BucketError, or what `open` or the network threw. Parts that were stored stay on record,
   *   save after MalformedFile; no object is there.
   */
  async store(file: Storing): Promise<StoredFile> {
    try {
      return await this.#store(file)
    } catch (error) {
      if (error instanceof MalformedFile || isLostUpload(error)) await this.abandon(file)
      throw error
    }
  }

  /** Forgets what R2 has of an upload. */
  async abandon({ key, record }: Pick<Storing, 'key' | 'record'>): Promise<void> {
    const kept = record.load()
    record.drop()
    // One that R2 no longer knows is as good as aborted, and R2 forgets the others by itself in time.
    if (kept)
      await this.#bucket
        .resumeMultipartUpload(key, kept.upload.id)
        .abort()
        .catch(() => undefined)
  }

  async #store(file: Storing): Promise<StoredFile> {
    const kept = file.record.load()
    if (kept?.whole) return this.#completed(file, kept.upload, kept.whole, kept.parts)
    if (kept) return this.#resumed(file, kept)
    const response = await file.open()
    const length = knownLength(response)
    const isOnePut = !this.#unclean && file.hasFailed !== true
    if (length === undefined || !isOnePut || length <= MIN_PART_BYTES || length > MAX_SINGLE_PUT_BYTES) {
      return this.#inParts(file, response, length)
    }
    try {
      return await this.#whole(file, response, length)
    } catch (error) {
      if (!(error instanceof NeedsCleaning)) throw error
      this.#unclean = true
      const again = await file.open()
      return this.#inParts(file, again, knownLength(again))
    }
  }

  /** Takes an upload up after its last part: by `Range` where the vendor has it, else by reading the file again and comparing. */
  async #resumed(file: Storing, kept: KeptUpload): Promise<StoredFile> {
    const { upload, parts } = kept
    const offset = parts.length * upload.partBytes
    const isAll = offset > 0 && offset === upload.length
    // A last line that lacks its end gets it by a second reading.
    if (isAll && upload.validator !== null && parts.at(-1)?.endsLine === true) {
      const found = { bytes: offset, lines: null, sha256: null }
      file.record.finish(found, undefined)
      return this.#completed(file, upload, found, parts)
    }
    const from = upload.validator !== null && offset > 0 && !isAll ? { offset, validator: upload.validator } : undefined
    const response = await file.open(from)
    if (from && response.status !== 200) {
      const length = continuedLength(response, from, upload.length)
      if (length !== undefined) return this.#inParts(file, response, length, kept, offset)
      await response.body?.cancel()
      file.record.setValidator(null)
      throw new CutOff('the source sent another range than was asked for')
    }
    const length = knownLength(response)
    // Without a validator the parts are compared, whatever the answer says of itself.
    const isSame =
      upload.validator === null || (upload.validator === validatorOf(response) && (upload.length ?? undefined) === length)
    if (isSame) return this.#inParts(file, response, length, kept)
    // Another version of the file: no part of the old one may stand beside parts of the new.
    await this.abandon(file)
    return this.#inParts(file, response, length)
  }

  async #whole(file: Storing, response: Response, length: number): Promise<StoredFile> {
    const reading = newReading(
      file.type,
      readingOf(file, response, () => mayPutGoOn(file.keepOn)),
    )
    const hash = new Sha256()
    const fixed = new FixedLengthStream(length)
    const storing = fixed.writable.getWriter()
    const put = bucketed(this.#bucket.put(file.key, fixed.readable, { httpMetadata: HTTP_METADATA }))
    // A put that fails stops reading; what is being written must not wait for it.
    let refusal: unknown
    let bytes = 0
    put.catch((error: unknown) => {
      refusal = error
      return storing.abort(error).catch(() => undefined)
    })
    try {
      for await (const chunk of cleanBlocks(bodyOf(response), PUT_BLOCK_BYTES, reading)) {
        if (isChanged(reading)) throw new NeedsCleaning()
        bytes += chunk.byteLength
        if (bytes > length) throw new MalformedFile('is longer than announced')
        await Promise.all([hash.write(chunk), storing.write(chunk)])
      }
      // What was cleaned away at the very end left no chunk to notice it by.
      if (isChanged(reading)) throw new NeedsCleaning()
      if (bytes < length) throw new CutOff('shorter than announced')
      await Promise.all([storing.close(), put])
      return { bytes: length, lines: reading.scanner.lines, sha256: await hash.hex(), type: reading.scanner.firstLineType }
    } catch (error) {
      // Once we break off, the put fails too, and that says nothing.
      const first = refusal ?? error
      await Promise.allSettled([hash.discard(), storing.abort(error), put])
      throw first
    }
  }

  /** @param kept What there is of it. @param offset Bytes of it that the response leaves out. */
  async #inParts(
    file: Storing,
    response: Response,
    length: number | undefined,
    kept?: KeptUpload,
    offset = 0,
  ): Promise<StoredFile> {
    const size = kept?.upload.partBytes ?? partBytesFor(length)
    const before = offset === 0 ? undefined : { atLineStart: kept?.parts.at(-1)?.endsLine === true }
    const options = readingOf(file, response, () => mayReadOn(file.keepOn))
    const reading = newReading(file.type, { ...options, ...(before ? { goesOn: before } : {}) })
    // A digest cannot be taken up in the midst: such a file is read back once it is whole.
    const hash = offset === 0 ? new Sha256() : undefined
    const parts = new PartUpload(this.#bucket, file, kept, offset)
    let bytes = offset
    let whole: Uint8Array | undefined
    try {
      for await (const part of equalParts(cleanBlocks(bodyOf(response), blockBytesFor(length), reading), size)) {
        bytes += part.byteLength
        await hash?.write(part)
        if (!parts.upload && part.byteLength < size) {
          whole = part
          continue
        }
        const type = reading.scanner.firstLineType ?? null
        const changed = isChanged(reading)
        const validator = changed ? null : validatorOf(response)
        await parts.add(part, { partBytes: size, length: length ?? null, validator, type }, changed)
        await mayGoOn(file.keepOn, parts)
      }
      checkLength(reading, offset, length)
      const { lines, firstLineType } = reading.scanner
      const found = { bytes, lines: hash ? lines : null, sha256: hash ? await hash.hex() : null }
      if (parts.upload && parts.count > 0) return await this.#completed(file, parts.upload, found, await parts.finish(found))
      if (parts.upload) await this.abandon(file)
      if (whole) await bucketed(this.#bucket.put(file.key, whole, { httpMetadata: HTTP_METADATA }))
      return { bytes, lines, sha256: found.sha256 ?? '', type: firstLineType }
    } catch (error) {
      await Promise.allSettled([hash?.discard(), parts.settled()])
      throw error
    }
  }

  async #completed({ key }: Storing, upload: Upload, found: WholeUpload, parts: readonly Part[]): Promise<StoredFile> {
    const { lines, sha256 } = await completeUpload(this.#bucket, key, upload.id, found, parts)
    return { bytes: found.bytes, lines, sha256, type: upload.type ?? undefined }
  }
}

const readingOf = ({ stalledMs }: Storing, response: Response, onBlock: () => void): ReadingOptions => ({
  ...(stalledMs === undefined ? {} : { stalledMs }),
  maxBytes: mostDecodedBytes(response),
  mayGoOn: onBlock,
})
