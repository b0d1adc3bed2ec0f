import { DEFAULT_LIMITS, type Adapter } from './adapter.ts'

/** Our registration at a vendor. Secrets are named here and held by the platform. */
export type Credential =
  | {
      readonly kind: 'private-key-jwt'
      readonly clientId: string
      readonly tokenUrl: string
      readonly keySecret: string
      readonly alg: 'RS384' | 'ES384'
      readonly scopes?: readonly string[]
    }
  | {
      readonly kind: 'client-secret-basic' | 'client-secret-post'
      readonly clientId: string
      readonly tokenUrl: string
      readonly secret: string
      readonly scopes?: readonly string[]
    }
  | { readonly kind: 'key-exchange'; readonly clientId: string; readonly tokenUrl: string; readonly secret: string }
  | { readonly kind: 'bearer'; readonly secret: string }

/** A group that a vendor can be asked for: no step up in the path, and longer than FHIR's 64 characters since some vendors' are. */
export const GROUP_ID = /^(?!\.{1,2}$)[A-Za-z0-9._~-]{1,256}$/

/** One vendor endpoint: its adapter's differences and its own, merged into one dialect. */
export interface Source {
  readonly id: string
  readonly title: string
  readonly dialect: Adapter
  /** Without a trailing slash. */
  readonly fhirBase: string
  readonly credential: Credential
  readonly retention: 'r2' | 'none'
  /** What `/metadata` lists and what may be asked for. */
  readonly types: readonly string[]
  /** Group id → name, for a vendor whose groups cannot be read over FHIR. */
  readonly groups: Readonly<Record<string, string>>
  /** A group that holds every patient: the Patient level of a vendor that has groups only. */
  readonly allPatientsGroup?: string
  readonly options: Readonly<Record<string, string>>
  /** Sources that share a vendor client and tenant share a gate. */
  readonly gate: string
  readonly deleteAfterCollecting: boolean
}

/** Who we are at the vendor. A vendor may bind a job to it, so a job keeps to it for life [N-38]. */
export const subjectOf = (source: Source): string =>
  'clientId' in source.credential ? `${source.credential.kind}:${source.credential.clientId}` : source.credential.kind

/** The secret that a credential names. */
export const secretNameOf = (credential: Credential): string =>
  credential.kind === 'private-key-jwt' ? credential.keySecret : credential.secret

/** The longest that a block of a file may take, in milliseconds. */
export const blockMsOf = ({ dialect }: Source): number => (dialect.limits?.blockSeconds ?? DEFAULT_LIMITS.blockSeconds) * 1000
