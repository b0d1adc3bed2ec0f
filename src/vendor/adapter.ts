import type { KickoffParameter, Level } from '../fhir/kickoff-params.ts'

/** RFC 6901 pointer into a JSON body, such as `/Meta/Logs/0/ID`. */
export type JsonPointer = '' | `/${string}`

/** Where in a vendor's answer a value stands. A header name is in lower case. */
export type From = { readonly header: string } | { readonly body: JsonPointer }

/** The exchanges whose answers a dialect can bend. A file is a stream and passes no phase; of a cancel only the HTTP status counts. */
export type Phase = 'kickoff' | 'status'

/** What a request is for; each may want headers of its own. */
export type RequestPurpose = Phase | 'cancel' | 'file' | 'group'

/**
 * A vendor's answer to anything but a file, read whole under a size cap.
 * `body` is the parsed JSON, else the text, else `undefined` when empty. Header names are in lower case.
 */
export interface VendorResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

/** How a client of this vendor may prove itself; the first is what its documentation recommends. */
export type CredentialKind = 'private-key-jwt' | 'client-secret-basic' | 'client-secret-post' | 'key-exchange' | 'bearer'

export interface Auth {
  readonly kinds: readonly [CredentialKind, ...CredentialKind[]]
  /**
   * Scopes to ask for. `{type}` makes one scope for each of the source's types. Empty: the parameter is left out.
   * Omitted: `system/*.read`.
   */
  readonly scopes?: readonly string[]
  /** For `key-exchange`: the JSON members that carry key and secret, and where token and expiry come back. */
  readonly exchange?: {
    readonly key: string
    readonly secret: string
    readonly token: JsonPointer
    readonly expires?: JsonPointer
  }
}

/**
 * What must be sent otherwise than the specification says. Templates know `{fhirBase}`, `{groupId}`, `{clientId}` and the source's
 * `options`, as `{name}`; a header whose placeholder has no value is not sent.
 */
export interface Send {
  /** What `[base]` is at this vendor. Omitted: `{fhirBase}`. */
  readonly base?: string
  /** Paths under that base. Omitted: the specification's. */
  readonly paths?: Partial<Record<Level, string>>
  readonly headers?: Partial<Record<RequestPurpose, Readonly<Record<string, string>>>>
  /** The vendor's names for parameters. */
  readonly rename?: Partial<Record<KickoffParameter, string>>
  /** How the values of a repeatable parameter join. Omitted: one comma-joined value, which every server understands. */
  readonly join?: 'comma' | 'repeat'
  /** The one spelling of `_outputFormat` that is always sent. Omitted: the parameter is left out. */
  readonly outputFormat?: string
}

/** Same bytes, other meaning: where a vendor's answer must be read otherwise than the specification says. */
export interface Read {
  /** Envelope check: an answer whose value differs is not an answer to this phase. Absent values pass. */
  readonly expect?: Partial<Record<Phase, { readonly body: JsonPointer; readonly equals: string }>>
  /** The member of the body that holds the conformant body. */
  readonly unwrap?: Partial<Record<Phase, JsonPointer>>
  /** Where the status URL stands. Omitted: `Content-Location`, else `Location`. */
  readonly statusUrl?: From
  /** A value that tells the state. Omitted or absent: the HTTP status tells. One that is not mapped tells nothing: it is asked again. */
  readonly state?: { readonly from: From; readonly map: Readonly<Record<string, 'in-progress' | 'complete' | 'failed'>> }
  /** Omitted: `X-Progress`. */
  readonly progress?: From
  /** What a bare number in `Retry-After` counts. Omitted: seconds. */
  readonly retryAfter?: 's' | 'ms'
  /** When `transactionTime` was taken. Omitted: at the start, as the specification wants. */
  readonly transactionTime?: 'start' | 'finish'
  /** Identifiers to give the vendor's support; kept in the job, never sent to the client. */
  readonly trace?: readonly From[]
}

/** Numbers of a vendor. */
export interface Limits {
  /** Wait between status requests when the vendor names none. Omitted: `DEFAULT_LIMITS.pollSeconds`. */
  readonly pollSeconds?: number
  /** Longest wait to accept from the vendor's `Retry-After`. Omitted: `DEFAULT_LIMITS.maxPollSeconds`. */
  readonly maxPollSeconds?: number
  /** A job older than this has failed. Omitted: `DEFAULT_LIMITS.deadlineSeconds`. */
  readonly deadlineSeconds?: number
  /** A job whose percentage stands still for this long has failed [N-10]. Omitted: a third of the deadline. */
  readonly stallSeconds?: number
  /** From a request to the header of its answer, and from there to the end of a body that is parsed. Omitted: `DEFAULT_LIMITS.responseSeconds`. */
  readonly responseSeconds?: number
  /** A block of a file, at most 5 MiB, that takes longer will not come. Omitted: `DEFAULT_LIMITS.blockSeconds`. */
  readonly blockSeconds?: number
  /** How long the vendor keeps a finished export. Omitted: `DEFAULT_LIMITS.retentionSeconds`. */
  readonly retentionSeconds?: number
  /** Exports at once for one credential. Omitted: no limit known. */
  readonly inFlight?: number
  /** How long a job may hold a slot that was lost sight of at its kick-off. Omitted: `DEFAULT_LIMITS.hiddenJobSeconds`. */
  readonly hiddenJobSeconds?: number
  /** Least time between two kick-offs of one group. Omitted: none. */
  readonly kickoffEverySeconds?: number
}

/** Origins besides the source's own. */
export interface Trust {
  /** May receive the vendor's token. */
  readonly origins?: readonly string[]
  /** May be read without a token; `*` stands for labels of a host, as in `https://*.s3.amazonaws.com`. */
  readonly fileOrigins?: readonly string[]
  /**
   * Its files are what the specification wants: clean NDJSON, one type in a file, no absolute reference and no attachment at the vendor. One
   * that an export has no work on is then passed through as it is sent. Omitted: every byte is looked at.
   */
  readonly files?: boolean
}

/** Groups over FHIR: `search` means that single reads work too; `none` that group ids are handed out by other means. */
export type GroupAccess = 'search' | 'read' | 'none'

/** What the vendor does by itself, and does well: what is missing here is done by us, or refused. */
export interface Supports {
  /** Level → method to kick off with. */
  readonly levels: Partial<Record<Level, 'GET' | 'POST'>>
  /** Parameters that are honoured and not merely accepted. */
  readonly params: readonly KickoffParameter[]
  readonly cancel: boolean
  readonly groups: GroupAccess
  /** Whether resources say in `meta.lastUpdated` when they changed. Omitted: they do. */
  readonly lastUpdated?: boolean
  /** Bounds of a native `_typeFilter`: filters for one type, and whether `_type` has to be there. Omitted: none. */
  readonly typeFilter?: { readonly perType?: number; readonly needsType?: boolean }
  /** A Patient export is for listed patients only. Omitted: also for everybody. */
  readonly patientList?: 'required'
  /** The level to ask at for all patients, where there is a choice. Omitted: the client's. */
  readonly prefers?: 'patient'
  /** What a client has to know of this source and cannot see; sentences in `/metadata` that name no vendor. */
  readonly notes?: readonly string[]
}

/**
 * One vendor's dialect, declared. An adapter that omits every optional field is a conformant server.
 * The order of reading is contract: `expect` and `unwrap` → `conform` → tolerance → strict schema.
 */
export interface Adapter {
  /** Stable for ever: jobs in flight across a deploy name it. */
  readonly id: string
  readonly title: string
  readonly docs: readonly string[]
  readonly supports: Supports
  readonly auth: Auth
  readonly send?: Send
  readonly read?: Read
  readonly limits?: Limits
  readonly trust?: Trust
  /** Last resort: pure, synchronous, same type in and out. */
  readonly conform?: Partial<Record<Phase, (response: VendorResponse) => VendorResponse>>
}

export const DEFAULT_LIMITS = {
  pollSeconds: 30,
  maxPollSeconds: 3_600,
  deadlineSeconds: 24 * 3_600,
  responseSeconds: 60,
  blockSeconds: 300,
  retentionSeconds: 24 * 3_600,
  hiddenJobSeconds: 3_600,
} as const satisfies Limits

/** Checks an adapter's type where it is written, and nothing else. */
export const defineAdapter = (adapter: Adapter): Adapter => adapter
