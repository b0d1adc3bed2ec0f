import type { Fault, RetryAfterForm } from '../../../sandbox/faults.ts'

type WithoutPlace<T> = T extends Fault ? Omit<T, 'on' | 'times' | 'after'> : never
/** A fault that may be met anywhere. */
export type Kind = WithoutPlace<Fault>

export interface NamedKind {
  readonly words: string
  readonly kind: Kind
}

/** Within the first line of any file and any answer. */
const CUT_BYTES = 60
export const WAIT_SECONDS = 1

const FORMS: readonly (readonly [RetryAfterForm, string])[] = [
  ['delta', 'a number'],
  ['date', 'a date'],
  ['epoch-seconds', 'a point in time in seconds'],
  ['epoch-milliseconds', 'a point in time in milliseconds'],
]

/** An error that names its wait, in every form. */
export const waits = (status: 429 | 503): readonly NamedKind[] =>
  FORMS.map(([form, words]) => ({
    words: `${status}, \`Retry-After\` as ${words}`,
    kind: { kind: 'answer', status, retryAfter: { form, seconds: WAIT_SECONDS } },
  }))

export const answers = (...statuses: readonly number[]): readonly NamedKind[] =>
  statuses.map((status) => ({ words: String(status), kind: { kind: 'answer', status } }))

/** The connection breaks. */
export const RESETS: readonly NamedKind[] = [
  { words: 'reset before the header', kind: { kind: 'reset', at: 'before-header' } },
  { words: 'reset within the header', kind: { kind: 'reset', at: 'mid-header' } },
  { words: 'reset within the body', kind: { kind: 'reset', at: 'mid-body', bytes: CUT_BYTES } },
]

/** Nothing more comes. */
export const STALLS: readonly NamedKind[] = [
  { words: 'silence instead of a header', kind: { kind: 'stall', at: 'before-header' } },
  { words: 'silence within the body', kind: { kind: 'stall', at: 'mid-body', bytes: CUT_BYTES } },
]

export const LOGIN_PAGE: NamedKind = { words: 'a login page with 200', kind: { kind: 'login-page' } }
export const EMPTY: NamedKind = { words: 'an empty 200', kind: { kind: 'empty' } }

/** Less than it should be. */
export const TRUNCATIONS: readonly NamedKind[] = [
  { words: 'shorter than announced', kind: { kind: 'truncate', bytes: CUT_BYTES, announce: 'length' } },
  { words: 'cut, with a sound end of its chunks', kind: { kind: 'truncate', bytes: CUT_BYTES, announce: 'chunked' } },
  { words: 'cut, with the length of what is sent', kind: { kind: 'truncate', bytes: CUT_BYTES, announce: 'short' } },
]

export const BROKEN_GZIP: readonly NamedKind[] = [
  { words: 'gzip without its end', kind: { kind: 'gzip', damage: 'truncated' } },
  { words: 'corrupt gzip', kind: { kind: 'gzip', damage: 'corrupt' } },
]
export const SOUND_GZIP: NamedKind = { words: 'gzip that nobody asked for', kind: { kind: 'gzip', damage: 'none' } }
export const UNLABELLED_GZIP: NamedKind = { words: 'gzip that nothing announces', kind: { kind: 'gzip', damage: 'unlabelled' } }

export const WRONG_TYPE: NamedKind = { words: 'a file of another type', kind: { kind: 'wrong-type' } }
