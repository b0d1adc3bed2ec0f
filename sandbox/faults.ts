import { parseFaults } from './faults/parse.ts'

/** What a request is for. A vendor that redirects its files to a store sends them there: only the store's requests are `file`. */
export type Phase = 'token' | 'kickoff' | 'status' | 'file' | 'cancel'

export type RetryAfterForm = 'delta' | 'date' | 'epoch-seconds' | 'epoch-milliseconds'

/**
 * One way to misbehave.
 *
 * Several may be set. The first in the list that fits a request is the one it meets, so that two with `times` follow each other. Faults
 * of a manifest or of a body wait for a request that they fit: a status request of a finished job, an answer that has a body.
 */
export type Fault = Readonly<{
  on: Phase
  /** How many requests; omitted: until cleared. */
  times?: number
  /** Requests that it fits and that are let through first. */
  after?: number
}> &
  (
    | AnswerFault
    /**
     * The connection is reset, or nothing more comes until the client hangs up. The vendor has done what it was asked: a kick-off has
     * started its job. `bytes`: of the body, before it; omitted: none.
     */
    | { readonly kind: 'reset'; readonly at: 'before-header' | 'mid-header' | 'mid-body'; readonly bytes?: number }
    | { readonly kind: 'stall'; readonly at: 'before-header' | 'mid-body'; readonly bytes?: number }
    | TruncateFault
    | { readonly kind: 'gzip'; readonly damage: 'truncated' | 'corrupt' | 'none' | 'unlabelled' }
    /** 200 `text/html`. */
    | { readonly kind: 'login-page' }
    /** 200 without a body. */
    | { readonly kind: 'empty' }
    /** On `file`: NDJSON of another resource type. */
    | { readonly kind: 'wrong-type' }
    /** On `status`: still running, in the vendor's own words. Its job keeps its place among those in flight. */
    | { readonly kind: 'never-done' }
    /** On `status`: the manifest comes at once, its files answer 404 until so much later. */
    | { readonly kind: 'done-early'; readonly ms: number }
    /** On `status`: running, of a job whose manifest was given before. */
    | { readonly kind: 'back-to-running' }
    /** On `status`: every manifest entry twice. */
    | { readonly kind: 'duplicates' }
    /** On `status`: the manifest lists that many tiny files of Patients instead. */
    | { readonly kind: 'many-files'; readonly files: number }
    /** On `status`: the manifest lists one file of about that many bytes instead, made as it is sent; `gzip`: sent compressed. */
    | { readonly kind: 'huge-file'; readonly bytes: number; readonly gzip?: boolean }
    /** On `file`: after that many bytes every token issued so far is void and the connection is reset. */
    | { readonly kind: 'token-dies'; readonly bytes: number }
    /** Presigned URLs made from now on live this long. Neither `times` nor `after`. */
    | { readonly kind: 'url-lifetime'; readonly seconds: number }
    /** The vendor's clock is off by this much in all it tells and in what it checks of assertions. Neither `times` nor `after`. */
    | { readonly kind: 'clock-skew'; readonly hours: number }
  )

/** An error in the vendor's usual shape. The vendor does nothing else: a kick-off answered so has started no job. */
export interface AnswerFault {
  readonly kind: 'answer'
  /** 400 to 599. */
  readonly status: number
  /** `delta` is in the unit of this vendor. Dates and epochs are by its clock. */
  readonly retryAfter?: { readonly form: RetryAfterForm; readonly seconds: number }
}

/**
 * `length`: the `Content-Length` of the whole, then the end of the connection. `chunked`: a clean end. `short`: the `Content-Length` of
 * what is sent. At least the last byte is always missing.
 */
export interface TruncateFault {
  readonly kind: 'truncate'
  readonly bytes: number
  readonly announce: 'length' | 'chunked' | 'short'
}

export type FaultKind = Fault['kind']
export type FaultOf<K extends FaultKind> = Extract<Fault, { kind: K }>

/** How often a fault was met. Faults without `times` of their own count once for each URL made or answer dated. */
export interface FaultHits {
  readonly fault: Fault
  readonly hits: number
}

/** Where a fake vendor is told to misbehave. */
export interface Switchboard {
  /** Replaces all. @throws TypeError when one is malformed or does not apply to this vendor; then nothing changes. */
  set(faults: readonly Fault[]): void
  clear(): void
  hits(): readonly FaultHits[]
}

/** The vendor's side of its switchboard. */
export interface FaultSource {
  /** Whether anything is set that a request of this phase, or of none, may meet. */
  watches(phase: Phase | undefined): boolean
  /** The first fault of these kinds that is due, counted as met. */
  take<K extends FaultKind>(phase: Phase, kinds: readonly K[]): FaultOf<K> | undefined
  /** As `take`, and nothing is counted. */
  peek<K extends FaultKind>(phase: Phase, kinds: readonly K[]): FaultOf<K> | undefined
  /** What the vendor's clock is ahead. */
  skewMs(): number
}

interface Entry {
  readonly fault: Fault
  hits: number
  passed: number
}

const HOUR_MS = 3_600_000

const isOneOf = <K extends FaultKind>(fault: Fault, kinds: readonly K[]): fault is FaultOf<K> =>
  (kinds as readonly FaultKind[]).includes(fault.kind)

/** @param presigns Whether the vendor has URLs that expire. */
export const switchboard = (presigns: boolean): Switchboard & FaultSource => {
  let entries: readonly Entry[] = []
  const isDue = ({ fault, hits }: Entry): boolean => fault.times === undefined || hits < fault.times

  return {
    set: (faults) => {
      const parsed = parseFaults(faults, presigns)
      if ('problem' in parsed) throw new TypeError(parsed.problem)
      entries = parsed.faults.map((fault) => ({ fault, hits: 0, passed: 0 }))
    },
    clear: () => {
      entries = []
    },
    hits: () => entries.map(({ fault, hits }) => ({ fault, hits })),
    watches: (phase) => entries.some((entry) => (entry.fault.on === phase || entry.fault.kind === 'clock-skew') && isDue(entry)),
    take: (phase, kinds) => {
      for (const entry of entries) {
        const { fault } = entry
        if (fault.on !== phase || !isOneOf(fault, kinds) || !isDue(entry)) continue
        if (entry.passed < (fault.after ?? 0)) {
          entry.passed += 1
          continue
        }
        entry.hits += 1
        return fault
      }
      return undefined
    },
    peek: (phase, kinds) => {
      for (const entry of entries) {
        const { fault } = entry
        if (fault.on === phase && isOneOf(fault, kinds) && isDue(entry)) return fault
      }
      return undefined
    },
    skewMs: () => {
      const skew = entries.map(({ fault }) => fault).find((fault) => fault.kind === 'clock-skew')
      return (skew?.hours ?? 0) * HOUR_MS
    },
  }
}
