import { bucketed, HTTP_METADATA } from './bucket.ts'
import { MalformedFile } from './file-stream.ts'
import { MAX_PARTS } from './part-size.ts'
import { sha256Of } from './sha256.ts'
import type { KeptUpload, Part, Upload, UploadRecord, WholeUpload } from './upload-rows.ts'

const LF = 10

/** One file's multipart upload: parts go to R2 one at a time while the next is read, and each is recorded once R2 has it. */
export class PartUpload {
  readonly #bucket: R2Bucket
  readonly #key: string
  readonly #record: UploadRecord
  /** What an earlier reading stored, to be compared with this one. */
  readonly #known: readonly Part[]
  readonly #parts: Part[]
  #compares = true
  #n: number
  #upload: Upload | undefined
  #underWay: Promise<void> = Promise.resolve()

  /** @param offset Bytes of the file that are not read again; 0 when all are. */
  constructor(
    bucket: R2Bucket,
    file: { readonly key: string; readonly record: UploadRecord },
    kept: KeptUpload | undefined,
    offset: number,
  ) {
    this.#bucket = bucket
    this.#key = file.key
    this.#record = file.record
    this.#upload = kept?.upload
    this.#known = offset === 0 ? (kept?.parts ?? []) : []
    this.#parts = offset === 0 ? [] : [...(kept?.parts ?? [])]
    this.#n = this.#parts.length
  }

  /** Parts so far, one that is under way included. */
  get count(): number {
    return this.#n
  }

  /** `undefined` before the first part. */
  get upload(): Upload | undefined {
    return this.#upload
  }

  /**
   * Takes the next part; returns while it is still under way to R2.
   *
   * @param first What the upload is, should this be its first part. @param isChanged The bytes are no longer those of the source, which
   *   then cannot be asked to go on from where they end.
   */
  async add(part: Uint8Array, first: Omit<Upload, 'id'>, isChanged: boolean): Promise<void> {
    const n = (this.#n += 1)
    if (n > MAX_PARTS) throw new MalformedFile('is too long')
    const sha256 = await sha256Of(part)
    const known = this.#compares ? this.#known[n - 1] : undefined
    if (known?.sha256 === sha256) {
      this.#parts.push(known)
      return
    }
    if (known) {
      this.#compares = false
      this.#record.dropPartsFrom(n)
    }
    const upload = (this.#upload ??= await this.#begin(first))
    if (isChanged && upload.validator !== null) {
      this.#upload = { ...upload, validator: null }
      this.#record.setValidator(null)
    }
    await this.#underWay
    this.#underWay = this.#put(upload.id, n, part, sha256, part.byteLength === upload.partBytes)
    // Whoever waits for it next is told; nobody need wait.
    this.#underWay.catch(() => undefined)
  }

  /** Waits for the last part and records that the upload is whole. @returns All parts. */
  async finish(whole: WholeUpload): Promise<readonly Part[]> {
    await this.#underWay
    this.#record.dropPartsFrom(this.#parts.length + 1)
    this.#record.finish(whole, this.#parts.at(-1))
    return this.#parts
  }

  /** Waits until nothing is under way. @throws BucketError */
  settled(): Promise<void> {
    return this.#underWay
  }

  async #begin(first: Omit<Upload, 'id'>): Promise<Upload> {
    const { uploadId } = await bucketed(this.#bucket.createMultipartUpload(this.#key, { httpMetadata: HTTP_METADATA }))
    const upload = { ...first, id: uploadId }
    this.#record.begin(upload)
    return upload
  }

  async #put(id: string, n: number, bytes: Uint8Array, sha256: string, isFull: boolean): Promise<void> {
    const { etag } = await bucketed(this.#bucket.resumeMultipartUpload(this.#key, id).uploadPart(n, bytes))
    const part = { n, etag, sha256, endsLine: bytes.at(-1) === LF }
    this.#parts.push(part)
    // A short one is the last: where the next would begin cannot be told from it, so it counts once the whole is there.
    if (isFull) this.#record.addPart(part)
  }
}
