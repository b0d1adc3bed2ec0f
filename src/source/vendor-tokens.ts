import { configOf } from '../config.ts'
import type { Env } from '../env.ts'
import { requestToken, type TokenAnswer } from '../vendor/credentials.ts'
import { configuredSource, misconfiguredBy, type Misconfigured } from './configured-source.ts'

/** A token is renewed when this share of its life is over [N-36]. */
const RENEW_AT = 0.8
/** The longest wait that a token endpoint is granted; no export of its source goes on meanwhile, so that an absurd one must not be for ever. */
const MAX_WAIT_MS = 3_600_000

/** `expiresMs`: when to ask the gate again. */
export type GateToken = TokenAnswer | Misconfigured

interface CachedToken {
  readonly token: string
  readonly renewMs: number
}

/** The vendor's access tokens, one per source, asked for once however many jobs need them. */
export class VendorTokens {
  readonly #env: Env
  readonly #sql: SqlStorage
  // Tokens are kept in memory only: a new one costs a request, a stored one could leak.
  readonly #tokens = new Map<string, CachedToken>()
  readonly #asking = new Map<string, Promise<GateToken>>()

  constructor(env: Env, sql: SqlStorage) {
    this.#env = env
    this.#sql = sql
  }

  async token(sourceId: string): Promise<GateToken> {
    const now = Date.now()
    const cached = this.#tokens.get(sourceId)
    if (cached && cached.renewMs > now) return { kind: 'token', token: cached.token, expiresMs: cached.renewMs }
    let asking = this.#asking.get(sourceId)
    if (!asking) {
      const waitMs = this.#waitMs(sourceId, now)
      if (waitMs > 0) return { kind: 'unavailable', retryAfterMs: waitMs }
      asking = this.#ask(sourceId).finally(() => this.#asking.delete(sourceId))
      this.#asking.set(sourceId, asking)
    }
    return asking
  }

  renew(sourceId: string, stale: string): Promise<GateToken> {
    if (this.#tokens.get(sourceId)?.token === stale) this.#tokens.delete(sourceId)
    return this.token(sourceId)
  }

  async #ask(sourceId: string): Promise<GateToken> {
    const source = await configuredSource(this.#env, sourceId)
    if ('kind' in source) return source
    const config = configOf(this.#env)
    try {
      const ask = (skewMs?: number): Promise<TokenAnswer> =>
        requestToken(source, (name) => config.secret(name), config.settings.sandbox, skewMs)
      const first = await ask()
      // Token endpoints flake with bare 400s [N-36]; and one whose clock is off takes an assertion of ours for expired, or not yet made.
      const answer = first.kind === 'refused' ? await ask(first.skewMs) : first
      const now = Date.now()
      if (answer.kind === 'unavailable' && answer.retryAfterMs !== undefined) {
        const retryAfterMs = Math.min(answer.retryAfterMs, MAX_WAIT_MS)
        this.#sql.exec('INSERT OR REPLACE INTO token_wait (source, until_ms) VALUES (?, ?)', sourceId, now + retryAfterMs)
        return { kind: 'unavailable', retryAfterMs }
      }
      if (answer.kind !== 'token') return answer
      const renewMs = now + Math.max(0, answer.expiresMs - now) * RENEW_AT
      this.#tokens.set(sourceId, { token: answer.token, renewMs })
      return { ...answer, expiresMs: renewMs }
    } catch (error) {
      return misconfiguredBy(error)
    }
  }

  /** How long a token endpoint that was too busy wants to be left alone; in a row, so that a restart does not break the promise. */
  #waitMs(sourceId: string, now: number): number {
    const [row] = this.#sql.exec<{ until_ms: number }>('SELECT until_ms FROM token_wait WHERE source = ?', sourceId).toArray()
    return row ? row.until_ms - now : 0
  }
}
