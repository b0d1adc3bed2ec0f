/**
 * What the vendor said when it was asked for its manifest once more: that the export is complete; something else, so that it is there; or
 * nothing.
 */
export type Reread = 'complete' | 'answered' | 'no-answer'

/**
 * Has the URLs of all files anew by reading the vendor's status again [N-25]. However many files need it at the same time, the vendor is
 * asked once, and no more often than any status may be asked for.
 */
export class UrlRefresher {
  readonly #read: () => Promise<Reread>
  readonly #floorMs: number
  #running: Promise<Reread> | undefined
  #askedMs: number
  #refreshedMs: number
  #last: Reread = 'no-answer'
  #isVain = false

  /** @param read Reads the status, and stores the URLs if it told them. @param hadMs When the URLs were had first. */
  constructor(read: () => Promise<Reread>, floorMs: number, hadMs?: number) {
    this.#read = read
    this.#floorMs = floorMs
    this.#askedMs = this.#refreshedMs = hadMs ?? -Infinity
  }

  /** When the URLs were last had, epoch milliseconds. */
  get refreshedMs(): number {
    return this.#refreshedMs
  }

  /** When the vendor may be asked again. */
  get nextMs(): number {
    return this.#askedMs + this.#floorMs
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

  /** As `refresh`, but waits until the vendor may be asked: for a client that has nothing else to do. */
  async refreshWhenAllowed(): Promise<Reread> {
    const waitMs = this.nextMs - Date.now()
    if (waitMs > 0 && !this.#running) await new Promise((resolve) => setTimeout(resolve, waitMs))
    return this.refresh()
  }

  async #ask(): Promise<Reread> {
    this.#askedMs = Date.now()
    this.#isVain = false
    // What keeps us from asking is no answer either, and must not end the work on other files.
    this.#last = await this.#read().catch(() => 'no-answer' as const)
    if (this.#last === 'complete') this.#refreshedMs = Date.now()
    return this.#last
  }
}
