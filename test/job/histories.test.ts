import { expect, it } from 'vitest'
import type { Effect, Job, JobEvent, JobState } from '../../src/job/model.ts'
import { alarmAt, transition } from '../../src/job/transitions.ts'
import { EVENT_KINDS, EVENTS, FAILURE, jobIn, RULES } from './support.ts'

const HISTORIES = 5_000
/** Far more steps than any history needs; one that takes more does not end. */
const MAX_STEPS = 5_000
const START_MS = 1_700_000_000_000

/** mulberry32: small, seeded, good enough to choose with. */
const randomOf = (seed: number) => {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  return {
    below,
    chance: (probability: number): boolean => next() < probability,
    pick: <const T>(values: readonly T[]): T => {
      const [value] = values.slice(below(values.length))
      if (value === undefined) throw new Error('nothing to pick from')
      return value
    },
  }
}
type Random = ReturnType<typeof randomOf>

const NEXT: Record<JobState, readonly JobState[]> = {
  queued: ['submitting', 'failed', 'cancelled'],
  submitting: ['running', 'queued', 'failed', 'cancelled'],
  running: ['collecting', 'complete', 'failed', 'cancelled'],
  collecting: ['complete', 'failed', 'cancelled'],
  complete: ['expired', 'cancelled'],
  failed: ['expired', 'cancelled'],
  cancelled: [],
  expired: [],
}

const isOver = ({ state }: Job): boolean => state === 'complete' || state === 'failed'

const isGone = ({ state }: Job): boolean => state === 'cancelled' || state === 'expired'

const held = (isKept: boolean, promise: string): void => {
  if (!isKept) throw new Error(`broken: ${promise}`)
}

/** One job in a world that answers as it likes. What a real object keeps in memory is lost at a crash; here that is nothing. */
class History {
  job: Job
  now = START_MS
  readonly #random: Random
  #kickoffs = 0
  #busy = 0
  #cancels = 0
  #holdsSlot = false
  #ambiguous = false
  #vendorRuns = false
  #purged = false
  /** The vendor never says anything that can be understood. */
  readonly #isMute: boolean
  readonly trail: string[] = []

  constructor(seed: number) {
    this.#random = randomOf(seed)
    const { chance } = this.#random
    this.#isMute = chance(0.1)
    this.job = jobIn('queued', {
      createdMs: START_MS,
      nextMs: START_MS,
      retention: chance(0.3) ? 'none' : 'r2',
      deleteAfterCollecting: chance(0.3),
      finishTimeManifest: chance(0.5),
      rules: { ...RULES, deadlineMs: 7_200_000 },
    })
  }

  run(): void {
    const random = this.#random
    for (let step = 0; !this.#purged; step++) {
      held(step < MAX_STEPS, 'the history ends')
      const [effect] = this.job.todo
      if (random.chance(0.01)) this.#apply({ kind: 'deleted' })
      else if (effect !== undefined) this.#perform(effect)
      else this.#wake()
    }
    held(!this.#holdsSlot || this.#ambiguous, 'no slot is held at the end')
    held(!this.#vendorRuns || this.#ambiguous || this.#cancels > 0, 'no vendor job is left behind untold')
  }

  #apply(event: JobEvent, done?: Effect): void {
    const before = this.job
    const { job, effects } = transition(before, event, this.now)
    this.trail.push(`${before.state} + ${event.kind} → ${job.state} [${effects.join(' ')}]`)
    held(job.state === before.state || NEXT[before.state].includes(job.state), 'the states that may follow')
    if (event.kind === 'still-running' && job.state === 'running')
      held(job.nextMs >= this.now + RULES.minPollMs, 'no poll too early')
    if (effects.includes('request-status'))
      held(before.state === 'running' && this.now >= before.nextMs, 'no poll before its time')
    if (event.kind === 'alarm' && before.state === 'running' && this.now >= (before.submittedMs ?? 0) + before.rules.deadlineMs)
      held(job.state === 'failed', 'a job ends at its deadline')
    if (event.kind === 'kickoff-busy') this.#busy += 1
    this.#kickoffs += effects.filter((effect) => effect === 'send-kickoff').length
    held(this.#kickoffs <= this.#busy + 1, 'one kick-off, and one more for each that was busy')
    const todo = done === undefined ? before.todo : before.todo.slice(1)
    this.job = { ...job, todo: [...todo, ...effects] }
    held(Number.isFinite(alarmAt(this.job, this.now)), 'there is always an alarm')
  }

  /** Time passes up to the alarm, which may ring late, early, or twice. */
  #wake(): void {
    const random = this.#random
    const dueMs = alarmAt(this.job, this.now)
    if (random.chance(0.1)) this.#apply({ kind: 'alarm' })
    this.now = Math.max(this.now, dueMs) + (random.chance(0.1) ? random.below(3_600_000) : 0)
    if (isOver(this.job) && random.chance(0.3)) this.#apply(EVENTS[random.pick(EVENT_KINDS)])
    if (this.job.todo.length === 0) this.#apply({ kind: 'alarm' })
  }

  #perform(effect: Effect): void {
    const random = this.#random
    this.now += random.below(2_000)
    // The object may die with an effect done and its answer lost; the next life does it again, save the kick-off.
    const crashes = random.chance(0.05)
    const event = this.#answer(effect)
    if (crashes && effect === 'send-kickoff') {
      this.#ambiguous = true
      this.#apply({ kind: 'kickoff-ambiguous' }, effect)
    } else if (!crashes) {
      if (event) this.#apply(event, effect)
      else this.job = { ...this.job, todo: this.job.todo.slice(1) }
    }
  }

  #answer(effect: Effect): JobEvent | undefined {
    const random = this.#random
    const wait = random.chance(0.5) ? {} : { retryAfterMs: random.below(10_000_000) }
    switch (effect) {
      case 'register':
        return undefined
      case 'acquire-slot':
        if (random.chance(0.4)) return { kind: 'slot-refused', place: 1 + random.below(5), retryMs: random.below(100_000) }
        this.#holdsSlot = true
        return { kind: 'slot-granted' }
      case 'send-kickoff':
        return this.#kickoffAnswer(wait)
      case 'request-status':
        return this.#statusAnswer(wait)
      case 'collect':
        return random.chance(0.3)
          ? { kind: 'collecting-paused', retryMs: random.below(60_000) }
          : { kind: 'collected', delivered: random.below(3), failed: random.below(3) }
      case 'give-up-files':
        return { kind: 'collected', delivered: random.below(3), failed: 1 + random.below(3) }
      case 'hold-slot':
        return undefined
      case 'return-slot':
      case 'requeue':
      case 'release-slot':
        this.#holdsSlot = false
        return undefined
      case 'cancel-vendor-job': {
        const isDone = random.chance(0.9)
        if (isDone) this.#vendorRuns = false
        else this.#cancels += 1
        return { kind: 'vendor-job-cancelled', isDone }
      }
      case 'report-state':
        return undefined
      case 'purge':
        held(isGone(this.job), 'only what nobody sees is purged')
        this.#purged = true
        return undefined
    }
  }

  #kickoffAnswer(wait: { retryAfterMs?: number }): JobEvent {
    const kind = this.#random.pick(['accepted', 'accepted', 'accepted', 'busy', 'refused', 'ambiguous'])
    switch (kind) {
      case 'accepted':
        this.#vendorRuns = true
        return { ...EVENTS['kickoff-accepted'], ...wait }
      case 'busy':
        return { kind: 'kickoff-busy', about: this.#random.chance(0.5) ? 'source' : 'target', ...wait }
      case 'refused':
        return { kind: 'kickoff-refused', failure: FAILURE }
      case 'ambiguous':
        this.#ambiguous = true
        return { kind: 'kickoff-ambiguous' }
    }
  }

  #statusAnswer(wait: { retryAfterMs?: number }): JobEvent {
    if (this.#isMute) return { kind: 'unclear', cause: 'unreadable', ...wait }
    const kind = this.#random.pick(['running', 'running', 'running', 'unclear', 'unclear', 'finished', 'lost', 'failed'])
    const ends = this.#random.chance(0.5)
    switch (kind) {
      case 'running':
        return { ...EVENTS['still-running'], ...wait }
      case 'unclear':
        return { kind: 'unclear', cause: this.#random.chance(0.2) ? 'unreachable' : 'unreadable', ...wait }
      case 'finished':
        this.#vendorRuns = false
        return { kind: 'finished', trace: {}, ...(ends ? { transactionTimeMs: this.now } : {}) }
      case 'lost':
        if (!ends) return { kind: 'unclear', cause: 'unreachable' }
        this.#vendorRuns = false
        return { kind: 'lost' }
      case 'failed':
        if (!ends) return { kind: 'unclear', cause: 'unreachable' }
        this.#vendorRuns = false
        return { kind: 'vendor-failed', failure: FAILURE }
    }
  }
}

it(`keeps its promises in ${HISTORIES} random histories [N-05, N-06, N-11, DL-02]`, () => {
  const base = Number(process.env.HISTORY_SEED ?? Date.now() % 1_000_000_000)
  const ends = new Map<string, number>()
  for (let index = 0; index < HISTORIES; index++) {
    const history = new History(base + index)
    try {
      history.run()
    } catch (error) {
      throw new Error(`HISTORY_SEED=${base + index}\n${history.trail.slice(-40).join('\n')}`, { cause: error })
    }
    const end = history.job.failure?.code ?? history.job.state
    ends.set(end, (ends.get(end) ?? 0) + 1)
  }
  // Were a kind of end never reached, the promises would be kept for want of an occasion.
  expect([...ends.keys()].toSorted()).toEqual([
    'cancelled',
    'expired',
    'files_unavailable',
    'job_deadline_passed',
    'kickoff_ambiguous',
    'vendor_answer_invalid',
    'vendor_job_failed',
    'vendor_job_lost',
  ])
})
