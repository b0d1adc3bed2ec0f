/** Share of a wait by which it is drawn out, so that those who wait for the same thing do not come back at once. */
export const JITTER_SHARE = 0.2
/** A wait of a day needs no hours of spread. */
export const MAX_JITTER_MS = 60_000

/** A wait in ms, drawn out by up to `JITTER_SHARE` of it and never by more than `MAX_JITTER_MS`. @param fraction 0 to 1. */
export const withJitter = (waitMs: number, fraction: number): number =>
  Math.floor(waitMs + Math.min(waitMs * JITTER_SHARE, MAX_JITTER_MS) * fraction)

/** A number from 0 to below 1 that is always the same for the same text, and evenly spread over texts (FNV-1a). */
export const fractionOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  // Its low bits alone tell similar ids apart.
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

const GOLDEN = (Math.sqrt(5) - 1) / 2

/** Numbers from 0 to below 1, each far from those before it; not random, so that a history can be played again. */
export class Spread {
  #last = 0

  next(): number {
    this.#last = (this.#last + GOLDEN) % 1
    return this.#last
  }
}
