import { log, nameOf } from '../log.ts'
import { objectKey, objectPrefix } from './storage.ts'
import type { UploadRows } from './upload-rows.ts'

/** Objects deleted by one call to R2. */
const PURGE_BATCH = 1000

/** Leaves nothing of a job in R2: neither objects nor uploads. @throws What R2 throws when it cannot be asked; to be done again. */
export const purgeObjects = async (bucket: R2Bucket, uploads: UploadRows, jobId: string): Promise<void> => {
  for (const { file, id } of uploads.all()) {
    try {
      await bucket.resumeMultipartUpload(objectKey(jobId, file), id).abort()
    } catch (error) {
      // One that R2 no longer knows; it forgets the others by itself in time.
      log('warn', { event: 'job.abort_failed', jobId, error: nameOf(error) })
    }
    uploads.drop(file)
  }
  for (let more = true; more;) {
    const { objects, truncated } = await bucket.list({ prefix: objectPrefix(jobId), limit: PURGE_BATCH })
    if (objects.length > 0) await bucket.delete(objects.map((object) => object.key))
    more = truncated
  }
}
