import { bucketed, HTTP_METADATA, isLostUpload, readBack } from './bucket.ts'
import { MalformedFile } from './file-errors.ts'
import { MAX_PARTS } from './part-size.ts'
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
  /** Bytes behind the last newline of what came so far; `null` when that is not known. */
  #tailBytes: number | null
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
    const last = this.#parts.at(-1)
    this.#tailBytes = last ? last.tailBytes : 0
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
   * @param sha256 Of the file up to its end, or where the start of the file was not read, of the part alone: one that is compared
   *   with a digest of the other kind counts as different, and is stored again.
   * @param first What the upload is, should this be its first part. @param isChanged The bytes are no longer those of the source, which
   *   then cannot be asked to go on from where they end.
   */
  async add(part: Uint8Array, sha256: string, first: Omit<Upload, 'id'>, isChanged: boolean): Promise<void> {
    const n = (this.#n += 1)
    if (n > MAX_PARTS) throw new MalformedFile('is too long')
    const known = this.#compares ? this.#known[n - 1] : undefined
    const tailBytes = (this.#tailBytes = tailOf(part, this.#tailBytes))
    if (known?.sha256 === sha256) {
      const same = { ...known, tailBytes }
      // What an older version stored has now been looked at.
      if (known.tailBytes === null) this.#record.addPart(same)
      this.#parts.push(same)
      return
    }
    if (known) await this.#differsFrom(n)
    const upload = (this.#upload ??= await this.#begin(first))
    if (isChanged) this.#forgetValidator()
    await this.#underWay
    this.#underWay = this.#put(upload.id, part, { n, sha256, tailBytes }, part.byteLength === upload.partBytes)
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

  /** From this part on the file is another than it was. */
  async #differsFrom(n: number): Promise<void> {
    this.#compares = false
    if (n > 1) {
      this.#record.dropPartsFrom(n)
      // If it has a validator, it is the same for different bytes.
      this.#forgetValidator()
      return
    }
    const id = this.#upload?.id
    this.#record.drop()
    this.#upload = undefined
    if (id === undefined) return
    await this.#bucket
      .resumeMultipartUpload(this.#key, id)
      .abort()
      .catch(() => undefined)
  }

  #forgetValidator(): void {
    if (!this.#upload || this.#upload.validator === null) return
    this.#upload = { ...this.#upload, validator: null }
    this.#record.setValidator(null)
  }

  async #begin(first: Omit<Upload, 'id'>): Promise<Upload> {
    const { uploadId } = await bucketed(this.#bucket.createMultipartUpload(this.#key, { httpMetadata: HTTP_METADATA }))
    const upload = { ...first, id: uploadId }
    this.#record.begin(upload)
    return upload
  }

  async #put(id: string, bytes: Uint8Array, about: Omit<Part, 'etag' | 'endsLine'>, isFull: boolean): Promise<void> {
    const { etag } = await bucketed(this.#bucket.resumeMultipartUpload(this.#key, id).uploadPart(about.n, bytes))
    const part = { ...about, etag, endsLine: bytes.at(-1) === LF }
    this.#parts.push(part)
    // A short one is the last: where the next would begin cannot be told from it, so it counts once the whole is there.
    if (isFull) this.#record.addPart(part)
  }
}

/** @param before The same of what came before this part. */
const tailOf = (part: Uint8Array, before: number | null): number | null => {
  const newline = part.lastIndexOf(LF)
  if (newline !== -1) return part.byteLength - newline - 1
  return before === null ? null : before + part.byteLength
}

/**
 * Completes an upload whose parts are all there. It may have been completed already by an earlier life of the job's object: then what
 * lies there is the file if it is as long and has the same digest.
 *
 * @returns Lines and digest, by reading the object where they are not known. @throws BucketError
 */
export const completeUpload = async (
  bucket: R2Bucket,
  key: string,
  id: string,
  { bytes, lines, sha256 }: Pick<WholeUpload, 'bytes' | 'lines' | 'sha256'>,
  parts: readonly Part[],
): Promise<{ lines: number; sha256: string }> => {
  try {
    const uploaded = parts.map(({ n, etag }) => ({ partNumber: n, etag }))
    await bucketed(bucket.resumeMultipartUpload(key, id).complete(uploaded))
    if (lines !== null && sha256 !== null) return { lines, sha256 }
  } catch (error) {
    const there = isLostUpload(error) ? await bucketed(bucket.head(key)) : null
    if (there?.size !== bytes) throw error
    const found = await readBack(bucket, key)
    // An earlier reading may have left another version of the same length.
    if (found.sha256 !== (sha256 ?? found.sha256)) throw error
    return { ...found, lines: lines ?? found.lines }
  }
  return readBack(bucket, key)
}
