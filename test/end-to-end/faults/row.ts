import type { Fault, Phase } from '../../../sandbox/faults.ts'
import type { SOURCES } from '../support.ts'

export type SourceId = (typeof SOURCES)[number]
export type BySource<T> = Readonly<Partial<Record<SourceId, T>>>

/** What a client finds in the files of an export that is complete. */
export type Content =
  | { readonly kind: 'dataset' }
  /** As many tiny files as the switch asked for. */
  | { readonly kind: 'tiny'; readonly files: number }
  /** One file of about that many bytes. */
  | { readonly kind: 'huge'; readonly bytes: number }

/** An answer that is an error: HTTP status, code of its one issue, and words of its diagnostics. */
export interface Refusal {
  readonly status: number
  readonly issue: string
  readonly says: string
}

/** How an export ends, whatever the vendor does. Until then a client sees nothing but 202. */
export type Outcome =
  /** `error` is empty. */
  | { readonly kind: 'complete'; readonly content: Content }
  /** One file is reported in `error`, with these words, and everything else is delivered whole. */
  | { readonly kind: 'partial'; readonly says: string }
  /** One file came empty more than once, and its manifest does not say how many lines it has: it counts as empty, and is not listed. */
  | { readonly kind: 'emptied' }
  /** The kick-off request itself gets it: there is no job. */
  | ({ readonly kind: 'refused' } & Refusal)
  /** Every status request from then on gets it. */
  | ({ readonly kind: 'failed' } & Refusal)
  /** The client deletes the export while it runs: 202, and nothing but 404 from then on. */
  | { readonly kind: 'deleted' }

/** Limits of a source that a row may change. Seconds. */
export interface SourceLimits {
  readonly pollSeconds: number
  readonly maxPollSeconds: number
  readonly responseSeconds: number
  readonly blockSeconds: number
  readonly deadlineSeconds: number
  readonly stallSeconds: number
  readonly hiddenJobSeconds: number
}

/** One way in which a vendor misbehaves, and what is promised then. */
export interface Row {
  readonly phase: Phase
  /** Unique within the phase. */
  readonly vendor: string
  /** @param files How many files the export has at this vendor. */
  readonly faults: (files: number) => readonly Fault[]
  readonly outcome: Outcome
  /** Where it ends otherwise. */
  readonly elsewhere?: BySource<Outcome>
  /** Sources that it does not apply to, and why. */
  readonly skipped?: BySource<string>
  /** Kick-offs that the vendor may see. */
  readonly kickoffs: number
  /** The vendor asks for a wait: the export lasts no shorter. */
  readonly lastsMs?: number
  /** The vendor's export is cancelled there. */
  readonly cancels?: boolean
  /** A vendor job may run that nobody can name: its slot is taken for a while. */
  readonly hides?: boolean
  /** The vendor is well until it has accepted the kick-off. */
  readonly isLate?: boolean
  readonly limits?: Partial<SourceLimits>
}

export const WHOLE: Outcome = { kind: 'complete', content: { kind: 'dataset' } }
export const DELETED: Outcome = { kind: 'deleted' }

export const outcomeAt = (row: Row, id: SourceId): Outcome => row.elsewhere?.[id] ?? row.outcome

/** A row that ends well and whose vendor sees one kick-off, unless said otherwise. */
export const row = (
  phase: Phase,
  vendor: string,
  faults: Row['faults'] | readonly Fault[],
  rest: Partial<Omit<Row, 'phase' | 'vendor' | 'faults'>> = {},
): Row => ({
  phase,
  vendor,
  faults: typeof faults === 'function' ? faults : () => faults,
  outcome: WHOLE,
  kickoffs: 1,
  ...rest,
})
