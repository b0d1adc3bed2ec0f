/** What the SMART configuration of a source points to; all URLs absolute. */
export interface SmartEndpoints {
  readonly tokenUrl: string
  /** Issuer of our access tokens. */
  readonly issuer?: string
  /** Our public keys. */
  readonly jwksUrl?: string
  /** Scopes that a client may ask for, in v1 or v2 form. */
  readonly scopes: readonly string[]
}

/** Signature algorithms of a client assertion [AU-06]. */
export const ASSERTION_ALGORITHMS = ['RS384', 'ES384'] as const

/**
 * The document at `[base]/.well-known/smart-configuration`.
 *
 * There is no authorization endpoint: nobody signs in. `code_challenge_methods_supported` is there because SMART demands it of all.
 *
 * @see SMART App Launch 2.2, Conformance [CS-08, CS-09]
 */
export const smartConfiguration = ({ tokenUrl, issuer, jwksUrl, scopes }: SmartEndpoints): object => ({
  ...(issuer === undefined ? {} : { issuer }),
  ...(jwksUrl === undefined ? {} : { jwks_uri: jwksUrl }),
  token_endpoint: tokenUrl,
  token_endpoint_auth_methods_supported: ['private_key_jwt'],
  token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
  grant_types_supported: ['client_credentials'],
  scopes_supported: scopes,
  code_challenge_methods_supported: ['S256'],
  capabilities: ['client-confidential-asymmetric', 'permission-v1', 'permission-v2'],
})
