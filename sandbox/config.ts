/** The facade's configuration of one source, as plain JSON: what stands in a `SOURCE_*` variable. */
export interface SourceConfig {
  readonly adapter: string
  readonly title: string
  readonly fhirBase: string
  readonly types: readonly string[]
  readonly retention?: 'r2' | 'none'
  readonly credential: CredentialConfig
  readonly options?: Readonly<Record<string, string>>
  readonly trust?: { readonly fileOrigins?: readonly string[]; readonly files?: boolean }
  readonly limits?: { readonly pollSeconds: number; readonly inFlight?: number }
  /** Overrides what the adapter says that the vendor does by itself. */
  readonly supports?: { readonly params?: readonly string[]; readonly levels?: Readonly<Record<string, 'GET' | 'POST'>> }
  /** A group of every patient, for the Patient level of vendors that have groups only. */
  readonly allPatientsGroup?: string
  /** Id → name, where the vendor's groups cannot be read over FHIR. */
  readonly groups?: Readonly<Record<string, string>>
}

export type SigningAlg = 'RS384' | 'ES384'

/** `secret` and `keySecret` are names; their values stand in `Sandbox.secrets`. */
export type CredentialConfig =
  | {
      readonly kind: 'private-key-jwt'
      readonly clientId: string
      readonly tokenUrl: string
      readonly keySecret: string
      readonly alg: SigningAlg
    }
  | { readonly kind: 'bearer'; readonly secret: string }
  | {
      readonly kind: 'client-secret-basic' | 'client-secret-post' | 'key-exchange'
      readonly clientId: string
      readonly tokenUrl: string
      readonly secret: string
    }
