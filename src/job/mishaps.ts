import type { FileAnswer } from '../vendor/client.ts'
import { BucketError } from './bucket.ts'
import type { FileChange, FileReason, FileRow } from './file-rows.ts'
import { MalformedFile } from './file-errors.ts'
import { BrokenOff } from './keep-on.ts'
import type { UrlRefresher } from './url-refresher.ts'

/* What a file that could not be had this time means, and when it is tried again. */

/** Failed readings of one file, while the vendor is there, before it is reported in `error`. */
export const MAX_ATTEMPTS = 6
/** Those of a file that is not what it should be: it will hardly become it. */
const MAX_MALFORMED = 3
/* Waits in multiples of the service's first one, a second as deployed. */
/** Between attempts 2, 10, 50, 250 and 1,200 s, so that a vendor has half an hour to mend a file. */
const FIRST_RETRY = 2
const RETRY_FACTOR = 5
const MAX_RETRY = 1_200
/** While the vendor as a whole does not answer: nobody is to blame, and nothing is counted. */
export const OUTAGE_RETRY = 60
/** When R2 failed, which says nothing of the file. */
export const BUCKET_RETRY = 15
/** A URL that was had so lately should work. */
const FRESH_URL = 1

/** The vendor did not give a file. */
export class FileRefused extends Error {
  readonly answer: Exclude<FileAnswer, { readonly kind: 'open' }>
  constructor(answer: Exclude<FileAnswer, { readonly kind: 'open' }>) {
    super(answer.kind)
    this.answer = answer
  }
}

/** The vendor was not even asked: no token could be had from its gate, or its configuration is broken. */
export class NotAsked extends Error {}

/** A reading that failed. */
export interface Mishap {
  readonly file: FileRow
  /** What was asked for. */
  readonly url: string | null
  /** When it was asked for, epoch milliseconds. */
  readonly askedMs: number
  readonly error: unknown
  /** It went on from what earlier readings had kept, and kept more. */
  readonly hasProgressed: boolean
}

/** What is known of the vendor besides. */
export interface Surroundings {
  /** The wait that all others are multiples of. */
  readonly retryMs: number
  readonly refresher: UrlRefresher
  /** The file's URL by now. */
  readonly urlOf: (n: number) => string | null
  /** When a file was last had whole, epoch milliseconds. */
  readonly succeededMs: () => number
  /** When this file last failed. */
  readonly failedMs: (n: number) => number
}

/** What becomes of a file after a mishap: tried again later, or given up. */
export const afterMishap = async (mishap: Mishap, around: Surroundings): Promise<FileChange> => {
  const { file, error } = mishap
  if (error instanceof BrokenOff) return { nextMs: Date.now() }
  if (error instanceof BucketError) return { nextMs: Date.now() + BUCKET_RETRY * around.retryMs }
  if (error instanceof NotAsked) return { nextMs: Date.now() + OUTAGE_RETRY * around.retryMs }
  if (error instanceof MalformedFile)
    return counted(mishap, around.retryMs, 'malformed', error.isLasting ? MAX_MALFORMED : MAX_ATTEMPTS)
  // The connection broke: the header had come, so the vendor is there.
  if (!(error instanceof FileRefused)) return counted(mishap, around.retryMs, 'cut-off')
  switch (error.answer.kind) {
    case 'untrusted':
      return { state: 'failed', reason: 'untrusted' }
    case 'missing':
      return counted(mishap, around.retryMs, 'missing')
    case 'gone':
      return afterGone(mishap, around)
    case 'unavailable': {
      const { retryAfterMs = 0 } = error.answer
      const isVendorThere = around.succeededMs() > around.failedMs(file.n) || (await around.refresher.refresh()) !== 'no-answer'
      return isVendorThere
        ? counted(mishap, around.retryMs, 'unavailable', MAX_ATTEMPTS, retryAfterMs)
        : { nextMs: Date.now() + Math.max(OUTAGE_RETRY * around.retryMs, Math.min(retryAfterMs, MAX_RETRY * around.retryMs)) }
    }
  }
}

/** A URL that no longer works is had anew; that it ran out is nobody's failure, unless it was fresh [N-25]. */
const afterGone = async (mishap: Mishap, { refresher, retryMs, urlOf }: Surroundings): Promise<FileChange> => {
  const { n } = mishap.file
  // As it was when it was asked for: the answer may be long in coming.
  const isFresh = mishap.askedMs - refresher.refreshedMs < FRESH_URL * retryMs
  if (isFresh) return counted(mishap, retryMs, 'unavailable')
  const isTooEarly = Date.now() < refresher.nextMs
  const reread = await refresher.refresh()
  if (urlOf(n) !== mishap.url) return { nextMs: Date.now() }
  if (isTooEarly && !refresher.isVain) return { nextMs: Math.max(Date.now(), refresher.nextMs) }
  if (reread === 'no-answer') return { nextMs: Date.now() + OUTAGE_RETRY * retryMs }
  refresher.hasNotHelped()
  return counted(mishap, retryMs, 'unavailable')
}

const counted = (
  { file, hasProgressed }: Pick<Mishap, 'file' | 'hasProgressed'>,
  retryMs: number,
  reason: FileReason,
  maxAttempts = MAX_ATTEMPTS,
  retryAfterMs = 0,
): FileChange => {
  const attempts = hasProgressed ? 1 : file.attempts + 1
  if (attempts >= maxAttempts) return { state: 'failed', attempts, reason }
  const waitMs = Math.max(FIRST_RETRY * retryMs * RETRY_FACTOR ** (attempts - 1), retryAfterMs)
  return { attempts, reason, nextMs: Date.now() + Math.min(waitMs, MAX_RETRY * retryMs) }
}

/** Another reading of a file that came whole and was not what its manifest announced. */
export const doubted = (file: FileRow, doubt: string, retryMs: number): FileChange => ({
  ...counted({ file, hasProgressed: false }, retryMs, 'cut-off'),
  doubt,
})
