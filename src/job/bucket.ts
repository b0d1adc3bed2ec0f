import { NdjsonScanner } from '../rows/ndjson-scanner.ts'
import { Sha256 } from './sha256.ts'

export const HTTP_METADATA = { contentType: 'application/fhir+ndjson' }

/** R2 did not take what it was given; the file itself may be well. */
export class BucketError extends Error {}

/** Runs an R2 operation. @throws BucketError */
export const bucketed = async <T>(operation: Promise<T>): Promise<T> => {
  try {
    return await operation
  } catch (cause) {
    throw new BucketError('R2 failed', { cause })
  }
}

/** Whether R2 no longer knows an upload: it was completed or aborted, or lay there for too long. It says so in words only. */
export const isLostUpload = (error: unknown): boolean =>
  error instanceof BucketError &&
  error.cause instanceof Error &&
  /upload does not exist|NoSuchUpload|10024/i.test(error.cause.message)

/** Digest and lines of an object, read as a stream. @throws BucketError */
export const readBack = async (bucket: R2Bucket, key: string): Promise<{ lines: number; sha256: string }> => {
  const object = await bucketed(bucket.get(key))
  if (!object) throw new BucketError('R2 lost an object')
  const hash = await Sha256.begin()
  const scanner = new NdjsonScanner()
  const read = async (): Promise<void> => {
    for await (const chunk of object.body as ReadableStream<Uint8Array>) {
      scanner.push(chunk)
      hash.update(chunk)
    }
  }
  await bucketed(read())
  return { lines: scanner.lines, sha256: hash.digest() }
}
