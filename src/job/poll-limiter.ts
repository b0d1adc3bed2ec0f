const WINDOW_MS = 60_000

/** Counts the status requests of one job over the last minute, in memory: a poll writes no row [ST-04]. */
export class PollLimiter {
  #times: number[] = []

  /** Counts a request. @returns Seconds to wait when it was one too many; `undefined` otherwise. */
  overLimit(nowMs: number, perMinute: number): number | undefined {
    this.#times = this.#times.filter((time) => time > nowMs - WINDOW_MS)
    const [oldest] = this.#times
    if (oldest !== undefined && this.#times.length >= perMinute)
      return Math.max(1, Math.ceil((oldest + WINDOW_MS - nowMs) / 1000))
    this.#times.push(nowMs)
    return undefined
  }
}
