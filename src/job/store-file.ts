import { bucketed, HTTP_METADATA, isLostUpload } from './bucket.ts'
import { continuedLength, knownLength, validatorOf } from './byte-range.ts'
import { equalParts } from './equal-parts.ts'
import { bodyOf, cleanBlocks } from './file-stream.ts'
import { checkLength, isChanged, newReading, rowsOf, type Reading } from './reading.ts'
import { CutOff, MalformedFile } from './file-errors.ts'
import { MAX_SINGLE_PUT_BYTES, MIN_PART_BYTES, blockBytesFor, partBytesFor, PUT_BLOCK_BYTES } from './part-size.ts'
import { mayGoOn, mayPutGoOn, mayReadOn } from './keep-on.ts'
import { completeUpload, PartUpload } from './part-upload.ts'
import { Sha256, sha256Of } from './sha256.ts'
import { behind, readingOf, storedFile, type Resumption, type StoredFile, type Storing } from './storing.ts'
import type { KeptUpload, Part, Upload, WholeUpload } from './upload-rows.ts'

export type { OpenFile, StoredFile, Storing } from './storing.ts'

/** Thrown when a file of known length turns out to need cleaning, which changes its length. */
class NeedsCleaning extends Error {}

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
    const isOnePut = !this.#unclean && file.hasFailed !== true && file.isReshaped !== true
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
    const storedBytes = parts.length * upload.partBytes
    const last = parts.at(-1)
    const isAll = storedBytes > 0 && storedBytes === upload.length
    // A last line that lacks its end gets it by a second reading.
    if (isAll && upload.validator !== null && last?.endsLine === true) {
      const found = { bytes: storedBytes, lines: null, sha256: null, leftOut: 0, otherTypes: [] }
      file.record.finish(found, undefined)
      return this.#completed(file, upload, found, parts)
    }
    const offset = storedBytes - (last?.tailBytes ?? 0)
    const canGoOn = upload.validator !== null && offset > 0 && !isAll
    const from = canGoOn ? { offset, validator: upload.validator } : undefined
    const response = await file.open(from)
    if (from && response.status !== 200) {
      const length = continuedLength(response, from, upload.length)
      const resumption = { kept, storedBytes, offset, isOld: last?.tailBytes === null }
      if (length !== undefined) return this.#continued(file, response, length, resumption)
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
    const options = readingOf(file, response, () => mayPutGoOn(file.keepOn))
    const reading = newReading(file.type, { ...options, program: file.newProgram?.(file.type) })
    const hash = await Sha256.begin()
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
        hash.update(chunk)
        await storing.write(chunk)
      }
      // What was cleaned away at the very end left no chunk to notice it by.
      if (isChanged(reading)) throw new NeedsCleaning()
      if (bytes < length) throw new CutOff('shorter than announced')
      await Promise.all([storing.close(), put])
      return storedFile({ bytes: length, ...rowsOf(reading), sha256: hash.digest() }, reading.scanner.firstLineType)
    } catch (error) {
      // Once we break off, the put fails too, and that says nothing.
      const first = refusal ?? error
      await Promise.allSettled([storing.abort(error), put])
      throw first
    }
  }

  /** @param kept Parts of it that are there, to be compared with what comes. */
  #inParts(file: Storing, response: Response, length: number | undefined, kept?: KeptUpload): Promise<StoredFile> {
    const options = readingOf(file, response, () => mayReadOn(file.keepOn))
    const reading = newReading(file.type, { ...options, program: file.newProgram?.(file.type) })
    const parts = new PartUpload(this.#bucket, file, kept, 0)
    const blocks = cleanBlocks(bodyOf(response), blockBytesFor(length), reading)
    return this.#stored(file, response, { length, parts, reading, blocks, kept, storedBytes: 0, offset: 0 })
  }

  /** Stores what comes behind the parts that are there. */
  #continued(file: Storing, response: Response, length: number, resumption: Resumption): Promise<StoredFile> {
    const { kept, storedBytes, offset, isOld } = resumption
    const options = readingOf(file, response, () => mayReadOn(file.keepOn))
    const type = file.type ?? kept.upload.type ?? undefined
    const goesOn = { atLineStart: !isOld || kept.parts.at(-1)?.endsLine === true }
    // Between two versions a row may be cut in two, which no program could look at.
    const program = isOld ? undefined : file.newProgram?.(type)
    const reading = newReading(file.type, { ...options, goesOn, program })
    const parts = new PartUpload(this.#bucket, file, kept, storedBytes)
    const clean = cleanBlocks(bodyOf(response), blockBytesFor(length - offset), reading)
    const blocks = isOld ? clean : behind(clean, storedBytes - offset, reading, file.record)
    return this.#stored(file, response, { length, parts, reading, blocks, kept, storedBytes, offset })
  }

  async #stored(
    file: Storing,
    response: Response,
    {
      length,
      parts,
      reading,
      blocks,
      kept,
      storedBytes,
      offset,
    }: Pick<Resumption, 'storedBytes' | 'offset'> & {
      readonly length: number | undefined
      readonly parts: PartUpload
      readonly reading: Reading
      readonly blocks: AsyncGenerator<Uint8Array>
      readonly kept: KeptUpload | undefined
    },
  ): Promise<StoredFile> {
    const size = kept?.upload.partBytes ?? partBytesFor(length)
    // A digest cannot be taken up in the midst: such a file is read back once it is whole.
    const hash = storedBytes === 0 ? await Sha256.begin() : undefined
    let bytes = storedBytes
    let whole: Uint8Array | undefined
    try {
      for await (const part of equalParts(blocks, size)) {
        bytes += part.byteLength
        hash?.update(part)
        if (!parts.upload && part.byteLength < size) {
          whole = part
          continue
        }
        const type = reading.scanner.firstLineType ?? null
        const changed = file.isReshaped === true || isChanged(reading)
        const validator = changed ? null : validatorOf(response)
        await parts.add(
          part,
          hash?.digest() ?? (await sha256Of(part)),
          { partBytes: size, length: length ?? null, validator, type },
          changed,
        )
        await mayGoOn(file.keepOn, parts)
      }
      checkLength(reading, offset, length)
      const { lines, ...rows } = rowsOf(reading)
      const found = { bytes, lines: hash ? lines : null, sha256: hash?.digest() ?? null, ...rows }
      if (parts.upload && parts.count > 0) return await this.#completed(file, parts.upload, found, await parts.finish(found))
      if (parts.upload) await this.abandon(file)
      if (whole) await bucketed(this.#bucket.put(file.key, whole, { httpMetadata: HTTP_METADATA }))
      return storedFile({ ...found, lines, sha256: found.sha256 ?? '' }, reading.scanner.firstLineType)
    } catch (error) {
      await parts.settled().catch(() => undefined)
      throw error
    }
  }

  async #completed({ key }: Storing, upload: Upload, found: WholeUpload, parts: readonly Part[]): Promise<StoredFile> {
    const { lines, sha256 } = await completeUpload(this.#bucket, key, upload.id, found, parts)
    return storedFile({ ...found, lines, sha256 }, upload.type ?? undefined)
  }
}
