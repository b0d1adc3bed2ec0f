import { Spread, withJitter } from './jitter.ts'

/** What is counted together: requests permitted, and failures told, in the last minute. */
export const WINDOW_MS = 60_000
const BUCKET_MS = 5_000
/** Fewer failures than this in the window are nothing special. */
export const MIN_FAILURES = 5
/** Nor are they when more than this share of what was permitted went well. */
export const FAILURE_SHARE = 0.5
/** How long a source is left alone; doubled by each probe that fails. */
export const OPEN_MS = 30_000
export const MAX_OPEN_MS = 10 * 60_000
/** A probe of which nothing is heard for this long is lost, and another may go. */
export const PROBE_LOST_MS = 120_000
/** When to ask again while a probe is under way. */
export const PROBE_RETRY_MS = 10_000

/** `isProbe`: report what becomes of the request, success too. */
export type Permit =
  { readonly kind: 'granted'; readonly isProbe: boolean } | { readonly kind: 'refused'; readonly retryMs: number }

interface Bucket {
  readonly number: number
  permits: number
  failures: number
}

/**
 * Whether one source may be asked: closed while it can be reached, open while it cannot, and half-open for one probe at a time.
 * Kept in memory only, so that asking costs nothing: a gate that is evicted has forgotten it, which costs the source a few requests.
 *
 * Successes are not told, since every permit stands for a request: failures are held against the permits of the same time.
 */
export class Breaker {
  readonly #spread = new Spread()
  readonly #pace: number
  #buckets: Bucket[] = []
  /** Absent while closed. `openMs` is without jitter. */
  #open: { readonly untilMs: number; readonly openMs: number; readonly probeMs?: number } | undefined

  /** @param pace What all waits are multiplied with. */
  constructor(pace = 1) {
    this.#pace = pace
  }

  /** Asked before a request. Writes nothing. */
  permit(now: number): Permit {
    if (!this.#open) {
      this.#bucket(now).permits += 1
      return { kind: 'granted', isProbe: false }
    }
    const waitMs = this.shutUntil(now) - now
    if (now < this.#open.untilMs || this.#probing(now))
      return { kind: 'refused', retryMs: withJitter(waitMs, this.#spread.next()) }
    this.#open = { ...this.#open, probeMs: now }
    return { kind: 'granted', isProbe: true }
  }

  /**
   * Told after a request: always when it failed, and when it went well if it was a probe.
   *
   * @param reached False when there was no answer, or one that says that nobody is at home (5XX).
   * @param isProbe False for a request that is known to be older than the probe under way, and says nothing of it.
   */
  report(reached: boolean, now: number, isProbe = true): void {
    if (reached) {
      if (this.#open) this.#buckets = []
      this.#open = undefined
      return
    }
    if (this.#open) {
      // Requests that were sent before it opened fail after it did; only what a probe meets is news.
      if (isProbe && this.#probing(now)) this.#openFor(Math.min(MAX_OPEN_MS * this.#pace, this.#open.openMs * 2), now)
      return
    }
    this.#bucket(now).failures += 1
    const { permits, failures } = this.#counts(now)
    if (failures >= MIN_FAILURES && failures >= permits * FAILURE_SHARE) this.#openFor(OPEN_MS * this.#pace, now)
  }

  get isOpen(): boolean {
    return this.#open !== undefined
  }

  /** When it is worth asking again, epoch ms; 0 while closed. */
  shutUntil(now: number): number {
    return this.#open ? Math.max(this.#open.untilMs, now + PROBE_RETRY_MS * this.#pace) : 0
  }

  #openFor(openMs: number, now: number): void {
    this.#open = { untilMs: now + withJitter(openMs, this.#spread.next()), openMs }
    this.#buckets = []
  }

  #probing(now: number): boolean {
    return this.#open?.probeMs !== undefined && now < this.#open.probeMs + PROBE_LOST_MS
  }

  #bucket(now: number): Bucket {
    const number = Math.floor(now / BUCKET_MS)
    const last = this.#buckets.at(-1)
    if (last?.number === number) return last
    const bucket = { number, permits: 0, failures: 0 }
    this.#buckets = [...this.#recent(now), bucket]
    return bucket
  }

  #recent(now: number): Bucket[] {
    const oldest = Math.floor(now / BUCKET_MS) - WINDOW_MS / BUCKET_MS
    return this.#buckets.filter(({ number }) => number > oldest)
  }

  #counts(now: number): { permits: number; failures: number } {
    const counts = { permits: 0, failures: 0 }
    for (const { permits, failures } of this.#recent(now)) {
      counts.permits += permits
      counts.failures += failures
    }
    return counts
  }
}
