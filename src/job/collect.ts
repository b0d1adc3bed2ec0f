import { RESOURCE_TYPES } from '../fhir/resource-types.ts'
import type { VendorClient } from '../vendor/client.ts'
import type { FileChange, FileRow } from './file-rows.ts'
import { afterMishap, doubted, FileRefused, NotAsked, OUTAGE_RETRY } from './mishaps.ts'
import type { RowPrograms } from './row-context.ts'
import { objectKey, type JobStorage } from './storage.ts'
import { FileStore, type OpenFile, type StoredFile } from './store-file.ts'
import { turnOf, type KeepOn } from './keep-on.ts'
import type { Part } from './upload-rows.ts'
import type { UrlRefresher } from './url-refresher.ts'

/** Files at a time: a Worker has six connections, and each file needs one to the vendor and one to R2. */
export const FILES_AT_A_TIME = 2
/** How long one alarm turn goes on taking up new files. */
export const TURN_MS = 60_000
/** Files of one turn: each costs a request to the vendor, its redirects, and one or more to R2, and an invocation has 10,000. */
export const MAX_FILES_PER_TURN = 1_000
/** Files in a row that the vendor is too far away to give, after which a turn asks for no other. */
const MISSES_TO_STOP = 3
/** Files with other lines than announced, each read twice, after which the vendor's counts are known to be wrong. */
const MISCOUNTS_TO_KNOW = 3

export interface Collecting {
  readonly jobId: string
  readonly storage: JobStorage
  readonly bucket: R2Bucket
  readonly client: VendorClient
  /** Types that may be delivered; absent when all may. */
  readonly types: readonly string[] | undefined
  readonly programs: RowPrograms
  /** Output files of the vendor are what ours are made of, and not served themselves. */
  readonly isMaterial?: boolean
  /** Output files of the vendor are blocks of several types each. */
  readonly isOrganized?: boolean
  readonly refresher: UrlRefresher
  /** First wait after a failure; all others are multiples of it. */
  readonly retryMs: number
  /** The longest that a block of a body may take. Omitted: as `file-stream` has it. */
  readonly stalledMs?: number
  /** False as soon as the job was cancelled. */
  readonly wanted: () => boolean
  /** Told of each request whether the vendor was there. */
  readonly reached: (isReached: boolean) => Promise<void>
}

/** How a turn ended: all files settled, or some left for when `retryMs` has passed. */
export type CollectingResult = { readonly kind: 'settled' } | { readonly kind: 'paused'; readonly retryMs: number }

/** Brings pending files to R2 until none is left, time is up, or nobody wants them. What a turn finished is in the rows. */
export const collect = (work: Collecting): Promise<CollectingResult> => new Turn(work).run()

/** One alarm turn of collecting. */
class Turn {
  readonly #work: Collecting
  readonly #store: FileStore
  readonly #startedMs = Date.now()
  readonly #keepOn: KeepOn
  readonly #underWay = new Set<number>()
  /** File → when it failed in this turn. */
  readonly #failedMs = new Map<number, number>()
  #succeededMs = -Infinity
  #taken = 0
  /** Files in a row that were not to be had because nobody was there. */
  #misses = 0

  constructor(work: Collecting) {
    this.#work = work
    this.#keepOn = turnOf(work.wanted, this.#startedMs)
    this.#store = new FileStore(work.bucket)
  }

  async run(): Promise<CollectingResult> {
    const workers = await Promise.allSettled(Array.from({ length: FILES_AT_A_TIME }, () => this.#worker()))
    // Not before both have ended: what one still writes must not meet the next turn.
    for (const worker of workers) if (worker.status === 'rejected') throw worker.reason
    const { nextMs } = this.#work.storage.files
    if (nextMs === undefined) return { kind: 'settled' }
    return { kind: 'paused', retryMs: Math.max(this.#isAway() ? OUTAGE_RETRY * this.#work.retryMs : 0, nextMs - Date.now()) }
  }

  /** Whether the vendor is not there, so that asking it for file after file would help nobody. */
  #isAway(): boolean {
    return this.#misses >= MISSES_TO_STOP
  }

  async #worker(): Promise<void> {
    const { storage, wanted } = this.#work
    while (wanted() && !this.#isAway() && Date.now() < this.#startedMs + TURN_MS && this.#taken < MAX_FILES_PER_TURN) {
      const file = storage.files.nextPending(Date.now(), this.#underWay)
      if (!file) return
      this.#taken += 1
      this.#underWay.add(file.n)
      try {
        await this.#fetch(file)
      } finally {
        this.#underWay.delete(file.n)
      }
    }
  }

  async #fetch(file: FileRow): Promise<void> {
    const { jobId, storage, client, programs, reached, stalledMs, wanted } = this.#work
    const { files, uploads } = storage
    const key = objectKey(jobId, file.n)
    const record = uploads.of(file.n)
    const before = record.load()?.parts ?? []
    const askedMs = Date.now()
    const open: OpenFile = async (from) => {
      const answer = file.url === null ? { kind: 'untrusted' as const } : await this.#asked(client.file(file.url, from))
      await reached(answer.kind !== 'unavailable')
      if (answer.kind === 'open') return answer.response
      throw new FileRefused(answer)
    }
    let change: FileChange
    let others: readonly string[] = []
    let readLines = 0
    const isSplit = files.isSplit(file.n)
    const holdsBlocks = this.#work.isOrganized === true && file.kind === 'output'
    try {
      const stored = await this.#store.store({
        key,
        open,
        type: file.type ?? undefined,
        record,
        keepOn: this.#keepOn,
        hasFailed: file.attempts > 0,
        newProgram: (type) => programs.of(file.kind, type),
        // Only a whole reading tells the headers of blocks from resources.
        isReshaped: isSplit || holdsBlocks || programs.reshapes(file.kind),
        isMixed: isSplit || holdsBlocks,
        ...(stalledMs === undefined ? {} : { stalledMs }),
      })
      this.#succeededMs = Date.now()
      this.#misses = 0
      change = this.#settled(file, stored)
      if (change.state !== undefined) {
        others = file.kind === 'output' ? stored.otherTypes.filter((type) => this.#mayDeliver(type)) : []
        ;({ readLines } = stored)
      }
    } catch (error) {
      if (!wanted()) return
      const hasProgressed = isFurther(before, record.load()?.parts ?? [])
      change = await afterMishap(
        { file, url: file.url, askedMs, error, hasProgressed },
        {
          refresher: this.#work.refresher,
          retryMs: this.#work.retryMs,
          urlOf: (n) => files.get(n)?.url ?? null,
          succeededMs: () => this.#succeededMs,
          failedMs: (n) => this.#failedMs.get(n) ?? this.#startedMs,
        },
      )
      this.#failedMs.set(file.n, Date.now())
      this.#misses = isMiss(error, change) ? this.#misses + 1 : 0
      if (change.state === 'failed' && wanted()) await this.#store.abandon({ key, record })
      if (wanted()) files.update(file.n, change)
      return
    }
    if (wanted()) storage.settle(file.n, change, others, readLines)
  }

  #mayDeliver(type: string): boolean {
    return this.#work.types?.includes(type) ?? RESOURCE_TYPES.has(type)
  }

  async #asked<T>(request: Promise<T>): Promise<T> {
    try {
      return await request
    } catch (cause) {
      throw new NotAsked('the source was not asked', { cause })
    }
  }

  /** What a file that came whole is. */
  #settled(file: FileRow, { bytes, lines, readLines, sha256, type: found }: StoredFile): FileChange {
    const type = file.type ?? (found !== undefined && RESOURCE_TYPES.has(found) ? found : null)
    const { isMaterial, isOrganized, types, storage } = this.#work
    // What the vendor gave is what it announced, whatever we leave out of it.
    const isAsAnnounced = readLines === (file.announced ?? readLines) && (readLines > 0 || file.announced === 0)
    const doubt = isAsAnnounced ? null : `${bytes}/${readLines}`
    if (doubt !== null) {
      const isNothing = readLines === 0 && file.announced !== null
      const isKnown =
        file.doubt === doubt || (readLines > 0 && storage.files.miscounted(MISCOUNTS_TO_KNOW).length >= MISCOUNTS_TO_KNOW)
      if (isNothing || !isKnown) return doubted(file, doubt, this.#work.retryMs)
    }
    if (lines > 0 && type === null) return { state: 'failed', reason: 'untyped' }
    const isAllowed = isOrganized === true || file.kind !== 'output' || type === null || !types || types.includes(type)
    // An object that nobody may read or that has no line is purged with the job; it is not listed [MF-07].
    const state = lines === 0 || !isAllowed ? 'empty' : isMaterial && file.kind === 'output' ? 'material' : 'ready'
    const reason = isAsAnnounced || readLines === 0 ? null : 'miscounted'
    return { state, type, bytes, lines, sha256, reason, doubt }
  }
}

/** Whether a reading kept all that was there before, and more. */
const isFurther = (before: readonly Part[], after: readonly Part[]): boolean => {
  const last = before.at(-1)
  return last !== undefined && after.length > before.length && after[before.length - 1]?.etag === last.etag
}

/** Whether a file is still to come because the vendor, or the way to it, is not there. */
const isMiss = (error: unknown, { attempts, state }: FileChange): boolean =>
  attempts === undefined &&
  state === undefined &&
  (error instanceof NotAsked || (error instanceof FileRefused && error.answer.kind === 'unavailable'))
