/**
 * What the vendor said when it was asked for its manifest once more: that the export is complete; something else, so that it is there; or
 * nothing.
 */
export type Reread = 'complete' | 'answered' | 'no-answer'

/** The longest that a client is kept waiting for its turn. */
const MAX_WAIT_MS = 10_000
/** The longest wait that a vendor is believed to mean for a status that it has told already. */
const MAX_ASKED_MS = 3_600_000

/**
 * Has the URLs of all files anew by reading the vendor's status again [N-25]. However many files need it at the same time, the vendor is
 * asked once, and no more often than any status may be asked for.
 */
export class UrlRefresher {
  readonly #read: () => Promise<{ readonly said: Reread; readonly retryAfterMs?: number }>
  readonly #floorMs: number
  #running: Promise<Reread> | undefined
  #notBeforeMs: number
  #refreshedMs: number
  #last: Reread = 'no-answer'
  #isVain = false

  /** @param read Reads the status, and stores the URLs if it told them. @param hadMs When the URLs were had first. */
  constructor(read: () => Promise<{ readonly said: Reread; readonly retryAfterMs?: number }>, floorMs: number, hadMs?: number) {
    this.#read = read
    this.#floorMs = floorMs
    this.#refreshedMs = hadMs ?? -Infinity
    this.#notBeforeMs = this.#refreshedMs + floorMs
  }

  /** When the URLs were last had, epoch milliseconds. */
  get refreshedMs(): number {
    return this.#refreshedMs
  }

  /** When the vendor may be asked again. */
  get nextMs(): number {
    return this.#notBeforeMs
  }

  /** Whether the last reading left a file the URL that does not work: another one soon would say no more. */
  get isVain(): boolean {
    return this.#isVain
  }

  /** Told by such a file. */
  hasNotHelped(): void {
    this.#isVain = true
  }

  /** @returns What the vendor said; too early, what it said last. */
  refresh(): Promise<Reread> {
    if (!this.#running && Date.now() < this.nextMs) return Promise.resolve(this.#last)
    this.#running ??= this.#ask().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** As `refresh`, but waits until the vendor may be asked, if that is soon: for a client that has nothing else to do. */
  async refreshWhenAllowed(): Promise<Reread> {
    const waitMs = this.nextMs - Date.now()
    if (waitMs > MAX_WAIT_MS) return 'no-answer'
    if (waitMs > 0 && !this.#running) await new Promise((resolve) => setTimeout(resolve, waitMs))
    return this.refresh()
  }

  async #ask(): Promise<Reread> {
    const askedMs = Date.now()
    this.#notBeforeMs = askedMs + this.#floorMs
    this.#isVain = false
    // What keeps us from asking is no answer either, and must not end the work on other files.
    const { said, retryAfterMs = 0 } = await this.#read().catch(() => ({ said: 'no-answer' as const, retryAfterMs: 0 }))
    this.#notBeforeMs = Math.max(this.#notBeforeMs, Date.now() + Math.min(retryAfterMs, MAX_ASKED_MS))
    this.#last = said
    if (said === 'complete') this.#refreshedMs = Date.now()
    return said
  }
}
