import * as z from 'zod/mini'
import type { Client } from '../config.ts'
import { parseCappedJson } from '../vendor/capped-json.ts'
import { readCapped, trustedFetch } from '../vendor/trusted-fetch.ts'
import type { RawKey } from './jwk.ts'
import { clientNotAuthenticated } from './token-error.ts'
import { remember } from './remember.ts'

/** Of a JWKS document; a key set of a dozen keys is a tenth of it. */
export const MAX_JWKS_BYTES = 64 * 1024
/** How long a JWKS without `max-age` is used, and how long any is [AU-10]. */
export const DEFAULT_FRESH_SECONDS = 300
export const MAX_FRESH_SECONDS = 3600
/** An unknown `kid` may mean a new key; strangers can invent them, so this is the least time between two looks. */
export const REFETCH_MS = 30_000
/** From asking to the last byte. */
export const LOAD_DEADLINE_MS = 5_000
const MAX_CACHED = 256

/** The registered keys with that `kid` and that `kty`; more than one is the caller's to refuse [AU-09]. */
export type KeyFinder = (kid: string, kty: string) => Promise<readonly RawKey[]>

interface KeySet {
  readonly keys: readonly RawKey[]
  readonly freshUntilMs: number
  lastLookMs: number
}

/** Made at each use, as all schemas are made late: a Worker that starts has no time for them. */
const jwksSchema = () => z.object({ keys: z.array(z.record(z.string(), z.unknown())) })

/** How a key set at a URL is had. */
interface Fetching {
  readonly sandbox: boolean
  /** Kept for as long as this, whatever its `Cache-Control` says. Omitted: no longer than that allows [AU-10]. */
  readonly heldMs?: number
}

const cache = new Map<string, KeySet>()
const loading = new Map<string, { readonly startedMs: number; readonly keySet: Promise<KeySet> }>()

const matching = (keys: readonly RawKey[], kid: string, kty: string): readonly RawKey[] =>
  keys.filter((key) => key.kid === kid && key.kty === kty)

/**
 * How long a JWKS may be used.
 *
 * @param cacheControl `Cache-Control`. Without `max-age`: `DEFAULT_FRESH_SECONDS`. Malformed: as if stale (RFC 9111 §4.2.1).
 * @param age `Age`: what an intermediate cache has used up of it already.
 * @returns Seconds, 0 to `MAX_FRESH_SECONDS`; 0 means for this once.
 * @see SMART App Launch, Asymmetric authentication, AU-10
 */
export const freshSeconds = (cacheControl: string | null, age: string | null): number => {
  const directives = (cacheControl ?? '')
    .toLowerCase()
    .split(',')
    .map((directive) => directive.trim())
  if (directives.some((directive) => /^no-(store|cache)\b/.test(directive))) return 0
  const maxAges = directives
    .filter((directive) => directive.startsWith('max-age'))
    .map((directive) => Number(/^max-age="?(\d+)"?$/.exec(directive)?.[1] ?? 0))
  const lifetime = Math.min(MAX_FRESH_SECONDS, ...(maxAges.length > 0 ? maxAges : [DEFAULT_FRESH_SECONDS]))
  return Math.max(0, lifetime - (/^\d+$/.test(age ?? '') ? Number(age) : 0))
}

/** `undefined` when `work` did not settle in time. */
const within = async <T>(work: Promise<T>, ms: number): Promise<T | undefined> => {
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), ms)
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

const fetchKeySet = async (url: string, { sandbox, heldMs = 0 }: Fetching): Promise<KeySet> => {
  const startedMs = Date.now()
  const response = await trustedFetch(
    { method: 'GET', url, headers: { Accept: 'application/jwk-set+json, application/json' }, deadlineMs: LOAD_DEADLINE_MS },
    // Exact, where an open origin is a pattern; there is no credential to send.
    { sandbox, credentialOrigins: new Set([new URL(url).origin]), openOrigins: [] },
  )
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`The JWKS URL answered ${response.status}.`)
  }
  const text = await within(readCapped(response, MAX_JWKS_BYTES), LOAD_DEADLINE_MS)
  if (text === undefined) throw new Error('The JWKS did not arrive in time.')
  const { keys } = z.parse(jwksSchema(), parseCappedJson(text))
  const seconds = freshSeconds(response.headers.get('Cache-Control'), response.headers.get('Age'))
  return { keys, freshUntilMs: startedMs + Math.max(heldMs, seconds * 1000), lastLookMs: startedMs }
}

/** What is held on to for one purpose is not for another that must look again. */
const cacheKey = (url: string, { heldMs = 0 }: Fetching): string => `${heldMs} ${url}`

/** One fetch of a URL at a time, however many ask. */
const load = async (url: string, fetching: Fetching): Promise<KeySet> => {
  const key = cacheKey(url, fetching)
  const current = loading.get(key)
  if (current && Date.now() - current.startedMs < LOAD_DEADLINE_MS) {
    // When the request that fetches is cancelled its promise never settles, so everyone who joins it watches the clock too.
    const joined = await within(current.keySet, LOAD_DEADLINE_MS)
    if (joined) return joined
  }
  const mine = { startedMs: Date.now(), keySet: fetchKeySet(url, fetching) }
  loading.set(key, mine)
  try {
    const keySet = await mine.keySet
    if (keySet.freshUntilMs > Date.now()) remember(cache, key, keySet, MAX_CACHED)
    else cache.delete(key)
    return keySet
  } finally {
    if (loading.get(key) === mine) loading.delete(key)
  }
}

const findRemote = async (url: string, fetching: Fetching, kid: string, kty: string): Promise<readonly RawKey[]> => {
  const nowMs = Date.now()
  const known = cache.get(cacheKey(url, fetching))
  if (known === undefined || known.freshUntilMs <= nowMs) return matching((await load(url, fetching)).keys, kid, kty)
  const found = matching(known.keys, kid, kty)
  const lookedJustNow = nowMs - known.lastLookMs < REFETCH_MS && !loading.has(cacheKey(url, fetching))
  if (found.length > 0 || lookedJustNow) return found
  known.lastLookMs = nowMs
  return matching((await load(url, fetching)).keys, kid, kty)
}

/**
 * The keys at a JWKS URL, fetched when they are needed and kept in the isolate no longer than their `Cache-Control` allows.
 *
 * @throws Error (from the finder) when the URL gives no key set.
 * @see AU-10
 */
export const keysAt =
  (url: string, fetching: Fetching): KeyFinder =>
  (kid, kty) =>
    findRemote(url, fetching, kid, kty)

/**
 * A client's registered keys: those in its configuration, or those at its JWKS URL.
 *
 * @throws TokenError `invalid_client` (from the finder) when the URL gives no key set; the cause says why.
 * @see SMART App Launch, Asymmetric authentication, AU-03, AU-10
 */
export const clientKeys =
  (client: Pick<Client, 'jwks' | 'jwksUrl'>, policy: { readonly sandbox: boolean }): KeyFinder =>
  async (kid, kty) => {
    if (client.jwksUrl === undefined) return matching(client.jwks?.keys ?? [], kid, kty)
    try {
      return await keysAt(client.jwksUrl, policy)(kid, kty)
    } catch (cause) {
      throw clientNotAuthenticated(cause)
    }
  }
