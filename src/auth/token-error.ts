/** RFC 6749 §5.2, and what that leaves out: too many requests, and what is not the client's fault. */
const STATUS = {
  invalid_request: 400,
  // 401 would have to name an HTTP authentication scheme, and a client assertion is none; RFC 7521 §4.2.1 answers 400 too.
  invalid_client: 400,
  invalid_scope: 400,
  unsupported_grant_type: 400,
  // RFC 6749 has no word for it at this endpoint; this one of §4.1.2.1 says what is meant.
  temporarily_unavailable: 429,
  server_error: 500,
} as const satisfies Record<string, number>

export type TokenErrorCode = keyof typeof STATUS
export type TokenErrorStatus = 400 | 404 | 405 | 413 | 429 | 500

export interface TokenErrorOptions {
  readonly cause?: unknown
  /** Where HTTP knows better than RFC 6749's 400. */
  readonly status?: TokenErrorStatus
  /** Sent as `Retry-After`, whole seconds. */
  readonly retryAfterSeconds?: number
}

/** A refusal by the token endpoint. The description is for the client's developer; nothing in it depends on who is registered. */
export class TokenError extends Error {
  override readonly name = 'TokenError'
  readonly code: TokenErrorCode
  readonly description: string
  readonly status: TokenErrorStatus
  readonly retryAfterSeconds: number | undefined

  constructor(code: TokenErrorCode, description: string, options: TokenErrorOptions = {}) {
    super(`${code}: ${description}`, { cause: options.cause })
    this.code = code
    this.description = description
    this.status = options.status ?? STATUS[code]
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}

/**
 * One refusal for an unknown client, a foreign `jku`, an unknown key and a bad signature: told apart, they would tell a
 * stranger who is registered here.
 */
export const clientNotAuthenticated = (cause?: unknown): TokenError =>
  new TokenError(
    'invalid_client',
    'The client could not be authenticated. Check that iss is a registered client_id, that kid names exactly one key of that ' +
      'type in the registered key set, that jku (if sent) is the registered JWKS URL, and that the signature is by that key.',
    { cause },
  )

/** The request was not looked at, so nothing of it is used up. */
export const tooManyRequests = (retryAfterSeconds: number, description: string): TokenError =>
  new TokenError('temporarily_unavailable', description, { retryAfterSeconds })
