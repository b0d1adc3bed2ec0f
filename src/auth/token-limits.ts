import type { Config } from '../config.ts'
import { remember } from './remember.ts'

const MINUTE_MS = 60_000
/** Buckets of one kind in one isolate; a full one weighs less than 200 bytes. */
export const MAX_BUCKETS = 10_000

/**
 * Token buckets in memory: each key may do `perMinute` things at once, and gets them back over a minute. Over `MAX_BUCKETS` the one
 * that was drawn on longest ago is forgotten, which is the one most likely to be full again.
 */
export class Buckets {
  readonly #perMinute: number
  readonly #buckets = new Map<string, { readonly left: number; readonly atMs: number }>()

  constructor(perMinute: number) {
    this.#perMinute = perMinute
  }

  get size(): number {
    return this.#buckets.size
  }

  /** @returns Whole seconds until there is one to take, at least 1; `undefined` when there is one now. */
  waitSeconds(key: string, nowMs: number): number | undefined {
    const left = this.#left(key, nowMs)
    return left >= 1 ? undefined : Math.max(1, Math.ceil(((1 - left) * MINUTE_MS) / this.#perMinute / 1000))
  }

  /** Takes one if there is one; an empty bucket gets no emptier, so that what it holds back is never more than a minute away. */
  take(key: string, nowMs: number): void {
    const left = Math.max(0, this.#left(key, nowMs) - 1)
    remember(this.#buckets, key, { left, atMs: nowMs }, MAX_BUCKETS)
  }

  #left(key: string, nowMs: number): number {
    const bucket = this.#buckets.get(key)
    if (!bucket) return this.#perMinute
    const regained = (Math.max(0, nowMs - bucket.atMs) / MINUTE_MS) * this.#perMinute
    return Math.min(this.#perMinute, bucket.left + regained)
  }
}

/** What the token endpoint of one isolate has seen lately. */
export interface TokenLimits {
  /** By client id, of requests whose client is proven. */
  readonly requests: Buckets
  /** By address, of requests that were refused. */
  readonly refusals: Buckets
}

const known = new WeakMap<object, TokenLimits>()

/** @throws ExportError `config_invalid` */
export const tokenLimitsOf = (config: Pick<Config, 'settings'>): TokenLimits => {
  const earlier = known.get(config)
  if (earlier) return earlier
  const { tokenRequestsPerMinute, tokenRefusalsPerMinute } = config.settings.limits
  const limits = { requests: new Buckets(tokenRequestsPerMinute), refusals: new Buckets(tokenRefusalsPerMinute) }
  known.set(config, limits)
  return limits
}

/** Groups of an IPv6 address that one subscriber is given whole, and may change the rest at will. */
const NETWORK_GROUPS = 4
const GROUPS = 8

/**
 * Who an address is counted as.
 *
 * @param address `CF-Connecting-IP`, which Cloudflare sets and no client can.
 * @returns An IPv4 address as it is, an IPv6 address as its /64; `undefined` without one, or for what is none.
 */
export const networkOf = (address: string | undefined): string | undefined => {
  if (address === undefined) return undefined
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(address)) return address
  const url = `http://[${address}]`
  if (!address.includes(':') || !URL.canParse(url)) return undefined
  const [head = [], tail = []] = new URL(url).hostname
    .slice(1, -1)
    .split('::')
    .map((half) => half.split(':').filter((group) => group !== ''))
  const zeros = Array.from({ length: GROUPS - head.length - tail.length }, () => '0')
  return [...head, ...zeros, ...tail].slice(0, NETWORK_GROUPS).join(':')
}
