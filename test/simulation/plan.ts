import * as fc from 'fast-check'

/** How a vendor is for a whole history, beside what goes wrong with single answers. */
export const HABITS = [
  'sound',
  'endless',
  'mute',
  'fails-jobs',
  'loses-jobs',
  'busy',
  'refuses',
  'refuses-tokens',
  'never-deletes',
  'signs-briefly',
  'breaks-off',
  'gives-no-files',
  'gives-one-page-of-html',
  'cuts-one-file',
  'mistypes-one-file',
] as const
export type Habit = (typeof HABITS)[number]

/** How a file comes over the wire when nothing goes wrong. */
export const WRAPPINGS = ['plain', 'no-length', 'crlf', 'no-final-newline', 'gzip', 'byte-order-mark'] as const
export type Wrapping = (typeof WRAPPINGS)[number]

/** What becomes of a request for a part of a file. */
export const RANGES = ['none', 'kept', 'ignored', 'mistaken'] as const

export interface JobPlan {
  readonly client: number
  readonly group: number
  /** Steps of the history before its client asks for it. */
  readonly startsAfter: number
  /** Answers that say `running`, before the one that is the manifest. */
  readonly polls: number
  /** Lines of each file. */
  readonly files: readonly number[]
  readonly wrapping: Wrapping
  /** Every other row of its files is of another type. */
  readonly isMixed: boolean
  /** Its client takes manifests in pages. */
  readonly isPaged: boolean
}

/** What happens beside the usual course: after `skip` steps of that, one act. */
export interface Choice {
  readonly skip: number
  readonly act: number
  readonly argument: number
}

export interface Plan {
  readonly seed: number
  readonly streams: boolean
  readonly deleteAfterCollecting: boolean
  readonly inFlight: number
  readonly cools: boolean
  readonly longDeadline: boolean
  readonly habit: Habit
  /** The form of `Retry-After` in answers that say `running`. */
  readonly waitForm: number
  readonly counts: boolean
  readonly pages: boolean
  /** The vendor leaves out no rows by time: we do. */
  readonly filters: boolean
  /** Nor does it organize: we do, where its files rest with us. */
  readonly organizes: boolean
  readonly ranges: (typeof RANGES)[number]
  readonly jobs: readonly JobPlan[]
  readonly choices: readonly Choice[]
}

/** Mostly the first of them. */
const mostly = <T>(first: fc.Arbitrary<T>, others: fc.Arbitrary<T>, share = 3): fc.Arbitrary<T> =>
  fc.oneof({ weight: share, arbitrary: first }, { weight: 1, arbitrary: others })

const job: fc.Arbitrary<JobPlan> = fc.record({
  client: fc.nat(2),
  group: fc.nat(1),
  startsAfter: fc.nat(30),
  polls: mostly(fc.nat(1), fc.constant(2)),
  files: fc.array(fc.nat(9), { maxLength: 3, size: 'max' }),
  wrapping: mostly(fc.constant<Wrapping>('plain'), fc.constantFrom(...WRAPPINGS), 1),
  isMixed: mostly(fc.constant(false), fc.constant(true)),
  isPaged: fc.boolean(),
})

const choice: fc.Arbitrary<Choice> = fc.record({ skip: fc.nat(8), act: fc.nat(31), argument: fc.nat(255) })

export const plans: fc.Arbitrary<Plan> = fc.record({
  seed: fc.nat(0xffff),
  streams: mostly(fc.constant(false), fc.constant(true), 2),
  deleteAfterCollecting: fc.boolean(),
  inFlight: fc.nat(3),
  cools: fc.boolean(),
  longDeadline: fc.boolean(),
  habit: mostly(fc.constant<Habit>('sound'), fc.constantFrom(...HABITS), 2),
  waitForm: fc.nat(9),
  counts: fc.boolean(),
  pages: fc.boolean(),
  filters: mostly(fc.constant(false), fc.constant(true)),
  organizes: mostly(fc.constant(false), fc.constant(true)),
  ranges: fc.constantFrom(...RANGES),
  jobs: fc.oneof(
    { weight: 7, arbitrary: fc.array(job, { minLength: 1, maxLength: 1 }) },
    { weight: 2, arbitrary: fc.array(job, { minLength: 2, maxLength: 2 }) },
    { weight: 1, arbitrary: fc.array(job, { minLength: 3, maxLength: 4 }) },
  ),
  choices: fc.array(choice, { maxLength: 16, size: 'max' }),
})
