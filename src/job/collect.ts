import type { VendorClient } from '../vendor/client.ts'
import { MalformedFile } from './file-stream.ts'
import { BucketError, FileStore, type StoredFile } from './store-file.ts'
import { objectKey, type FileRow, type JobStorage } from './storage.ts'

/** Files at a time: a Worker has six connections, and each file needs one to the vendor and one to R2. */
export const FILES_AT_A_TIME = 2
/** How long one alarm turn goes on taking up new files. */
export const TURN_MS = 60_000
/** Readings of one file before it is reported in `error`. */
export const MAX_ATTEMPTS = 5
/** Waits between them: 2, 10, 50 and 250 s, so that a vendor has minutes to come back. */
const FIRST_RETRY_MS = 2_000
const RETRY_FACTOR = 5
/** When R2 failed, which says nothing of the file. */
const BUCKET_RETRY_MS = 15_000

/** Why a file could not be had this time. */
class FileRefused extends Error {
  readonly answer: 'gone' | 'unavailable' | 'untrusted'
  constructor(answer: 'gone' | 'unavailable' | 'untrusted') {
    super(answer)
    this.answer = answer
  }
}

export interface Collecting {
  readonly jobId: string
  readonly storage: JobStorage
  readonly bucket: R2Bucket
  readonly client: VendorClient
  /** Types that may be delivered; absent when all may. */
  readonly types: readonly string[] | undefined
  /** Reads the vendor's status again for URLs that ran out [N-25]. */
  readonly refreshUrls: () => Promise<void>
  /** False as soon as the job was cancelled. */
  readonly wanted: () => boolean
}

/** How a turn ended: all files settled, or some left for when `retryMs` has passed. */
export type CollectingResult = { readonly kind: 'settled' } | { readonly kind: 'paused'; readonly retryMs: number }

/** Brings pending files to R2 until none is left, time is up, or nobody wants them. What a turn finished is in the rows. */
export const collect = async (work: Collecting): Promise<CollectingResult> => {
  const untilMs = Date.now() + TURN_MS
  const store = new FileStore(work.bucket)
  const underWay = new Set<number>()
  const refresh = once(work.refreshUrls)
  const worker = async (): Promise<void> => {
    while (work.wanted() && Date.now() < untilMs) {
      const file = work.storage.nextPending(Date.now(), underWay)
      if (!file) return
      underWay.add(file.n)
      try {
        await fetchFile(work, store, file, refresh)
      } finally {
        underWay.delete(file.n)
      }
    }
  }
  await Promise.all(Array.from({ length: FILES_AT_A_TIME }, worker))
  const { nextMs } = work.storage.progress()
  return nextMs === null ? { kind: 'settled' } : { kind: 'paused', retryMs: Math.max(0, nextMs - Date.now()) }
}

/** Many URLs run out together; one reading of the status refreshes all of them. */
const once = (action: () => Promise<void>): (() => Promise<void>) => {
  let done: Promise<void> | undefined
  return () => (done ??= action())
}

const fetchFile = async (work: Collecting, store: FileStore, file: FileRow, refresh: () => Promise<void>): Promise<void> => {
  const open = async (): Promise<Response> => {
    const url = work.storage.file(file.n)?.url
    const answer = url ? await work.client.file(url) : { kind: 'untrusted' as const }
    if (answer.kind === 'open') return answer.response
    throw new FileRefused(answer.kind)
  }
  try {
    const stored = await store.store(objectKey(work.jobId, file.n), open, file.type ?? undefined)
    if (work.wanted()) work.storage.updateFile(file.n, settled(work, file, stored))
  } catch (error) {
    if (!work.wanted()) return
    if (error instanceof BucketError) {
      work.storage.updateFile(file.n, { nextMs: Date.now() + BUCKET_RETRY_MS })
      return
    }
    if (error instanceof FileRefused && error.answer === 'gone') await refresh()
    const attempts = file.attempts + 1
    const hopeless = error instanceof MalformedFile ? attempts >= 2 : error instanceof FileRefused && error.answer === 'untrusted'
    if (hopeless || attempts >= MAX_ATTEMPTS) work.storage.updateFile(file.n, { state: 'failed', attempts })
    else work.storage.updateFile(file.n, { attempts, nextMs: Date.now() + FIRST_RETRY_MS * RETRY_FACTOR ** (attempts - 1) })
  }
}

const settled = (work: Collecting, file: FileRow, stored: StoredFile): Partial<Omit<FileRow, 'n' | 'kind' | 'text'>> => {
  const { bytes, lines, sha256 } = stored
  const type = file.type ?? stored.type ?? null
  const allowed = file.kind !== 'output' || type === null || !work.types || work.types.includes(type)
  if (lines > 0 && type === null) return { state: 'failed' }
  // An object that nobody may read or that has no line is purged with the job; it is not listed [MF-07].
  return { state: lines > 0 && allowed ? 'ready' : 'empty', type, bytes, lines, sha256 }
}
