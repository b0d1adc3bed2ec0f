import { bucketed, HTTP_METADATA } from '../bucket.ts'
import { equalParts } from '../equal-parts.ts'
import { MIN_PART_BYTES } from '../part-size.ts'
import { completeUpload, PartUpload } from '../part-upload.ts'
import { Sha256 } from '../sha256.ts'
import { FileStore } from '../store-file.ts'
import type { UploadRecord } from '../upload-rows.ts'

/** Where an object of ours goes, and where its upload is recorded while it is under way, so that a purge finds it. */
export interface Target {
  readonly bucket: R2Bucket
  readonly key: string
  readonly record: UploadRecord
}

/**
 * Writes an object of unknown length: one put when it is shorter than a part, else equal parts. What an earlier try left is dropped.
 *
 * @param chunks Each good until the next is asked for. @throws BucketError, or what `chunks` threw; no object is there then.
 */
export const storeMade = async (
  { bucket, key, record }: Target,
  chunks: AsyncGenerator<Uint8Array>,
): Promise<{ bytes: number; sha256: string }> => {
  await new FileStore(bucket).abandon({ key, record })
  const hash = await Sha256.begin()
  const parts = new PartUpload(bucket, { key, record }, undefined, 0)
  let bytes = 0
  let short = new Uint8Array(0)
  try {
    for await (const part of equalParts(chunks, MIN_PART_BYTES)) {
      bytes += part.byteLength
      hash.update(part)
      if (parts.upload || part.byteLength === MIN_PART_BYTES)
        await parts.add(part, hash.digest(), { partBytes: MIN_PART_BYTES, length: null, validator: null, type: null }, false)
      else short = new Uint8Array(part)
    }
    const found = { bytes, lines: 0, sha256: hash.digest(), leftOut: 0, otherTypes: [] }
    if (parts.upload) await completeUpload(bucket, key, parts.upload.id, found, await parts.finish(found))
    else await bucketed(bucket.put(key, short, { httpMetadata: HTTP_METADATA }))
    return found
  } catch (error) {
    await parts.settled().catch(() => undefined)
    throw error
  }
}
