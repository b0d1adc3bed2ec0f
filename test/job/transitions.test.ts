import { describe, expect, it } from 'vitest'
import type { Effect, Job, JobEvent, JobState } from '../../src/job/model.ts'
import { QUEUE_DEADLINE_MS } from '../../src/job/times.ts'
import { alarmAt, MAX_UNREADABLE, SUBMIT_DEADLINE_MS, transition } from '../../src/job/transitions.ts'
import { UNREACHABLE } from '../../src/job/failures.ts'
import { jittered, pollAt } from '../../src/job/times.ts'
import { CREATED_MS, EVENT_KINDS, EVENTS, jobIn, NOW_MS, RULES, STATES, STATUS_URL, SUBMITTED_MS } from './support.ts'

type Kind = JobEvent['kind']

/** What an event changes of the job, and what must then be done. */
type Outcome = readonly [change: Partial<Job> | { readonly place: undefined }, effects: readonly Effect[]]

const failed = (code: string) => ({
  state: 'failed' as const,
  failure: expect.objectContaining({ code }) as unknown as NonNullable<Job['failure']>,
  endedMs: NOW_MS,
  expiresMs: NOW_MS + RULES.retentionMs,
  nextMs: NOW_MS + RULES.retentionMs,
})
const CANCELLED = { state: 'cancelled', endedMs: NOW_MS, nextMs: NOW_MS + RULES.graceMs } as const
const EXPIRED = { state: 'expired', nextMs: NOW_MS + RULES.graceMs } as const
const LATE_ANSWERS = {
  'slot-granted': [{}, ['return-slot']],
  'kickoff-accepted': [{ statusUrl: STATUS_URL }, ['cancel-vendor-job', 'release-slot']],
  'kickoff-ambiguous': [{}, ['hold-slot']],
  'kickoff-busy': [{}, ['return-slot']],
  'kickoff-refused': [{}, ['return-slot']],
  alarm: [{}, ['purge']],
} as const satisfies Partial<Record<Kind, Outcome>>

const NEXT_POLL_MS = pollAt(jobIn('running'), undefined, NOW_MS)
const FIRST_BACKOFF_MS = jittered(jobIn('running'), 1, RULES.minPollMs)

/** Every pair that does something. A pair that is missing here must change nothing. */
const TABLE: Record<JobState, Partial<Record<Kind, Outcome>>> = {
  queued: {
    alarm: [{}, ['acquire-slot']],
    'slot-granted': [
      { state: 'submitting', place: undefined, submittedMs: NOW_MS, nextMs: NOW_MS + SUBMIT_DEADLINE_MS },
      ['send-kickoff'],
    ],
    'slot-refused': [{ place: 2, nextMs: NOW_MS + 45_000 }, []],
    deleted: [CANCELLED, ['return-slot', 'report-state']],
  },
  submitting: {
    alarm: [failed('kickoff_ambiguous'), ['hold-slot', 'report-state']],
    'kickoff-accepted': [
      {
        state: 'running',
        progressMs: NOW_MS,
        statusUrl: STATUS_URL,
        trace: { 'x-request-id': 'k' },
        waitMs: 10_000,
        nextMs: NOW_MS + 10_000,
      },
      ['report-state'],
    ],
    'kickoff-busy': [
      { state: 'queued', place: 1, unclear: 1, busy: 'source', nextMs: NOW_MS + jittered(jobIn('queued'), 1, 60_000) },
      ['requeue'],
    ],
    'kickoff-refused': [{ ...failed('vendor_job_failed'), trace: { 'x-request-id': 'r' } }, ['return-slot', 'report-state']],
    'kickoff-ambiguous': [failed('kickoff_ambiguous'), ['hold-slot', 'report-state']],
    deleted: [CANCELLED, ['report-state']],
  },
  running: {
    alarm: [{}, ['request-status']],
    'still-running': [
      { progress: { percent: 40, phase: 'running' }, progressMs: NOW_MS, nextMs: NEXT_POLL_MS, waitMs: NEXT_POLL_MS - NOW_MS },
      [],
    ],
    unclear: [{ unclear: 1, unreadable: 1, nextMs: NOW_MS + FIRST_BACKOFF_MS }, []],
    held: [{ unclear: 1, nextMs: NOW_MS + 25_000 }, []],
    'given-up': [failed('vendor_job_failed'), ['cancel-vendor-job', 'release-slot', 'report-state']],
    lost: [failed('vendor_job_lost'), ['release-slot', 'report-state']],
    'vendor-failed': [{ ...failed('vendor_job_failed'), trace: { 'x-request-id': 'f' } }, ['release-slot', 'report-state']],
    finished: [
      {
        state: 'collecting',
        finishedMs: NOW_MS,
        transactionTimeMs: SUBMITTED_MS,
        trace: { 'x-request-id': 's' },
        nextMs: NOW_MS,
      },
      ['release-slot', 'collect'],
    ],
    deleted: [CANCELLED, ['cancel-vendor-job', 'release-slot', 'report-state']],
  },
  collecting: {
    alarm: [{}, ['collect']],
    'collecting-paused': [{ nextMs: NOW_MS + 4_000 }, []],
    unclear: [{ unclear: 1, nextMs: NOW_MS + FIRST_BACKOFF_MS }, []],
    held: [{ nextMs: NOW_MS + 25_000 }, []],
    'given-up': [failed('vendor_job_failed'), ['release-slot', 'report-state']],
    collected: [
      { state: 'complete', endedMs: NOW_MS, expiresMs: NOW_MS + RULES.retentionMs, nextMs: NOW_MS + RULES.retentionMs },
      ['report-state'],
    ],
    'vendor-failed': [failed('vendor_job_failed'), ['release-slot', 'report-state']],
    deleted: [CANCELLED, ['cancel-vendor-job', 'report-state']],
  },
  complete: { alarm: [EXPIRED, ['report-state']], deleted: [CANCELLED, ['cancel-vendor-job', 'report-state']] },
  failed: { alarm: [EXPIRED, ['report-state']], deleted: [CANCELLED, ['report-state']] },
  cancelled: LATE_ANSWERS,
  expired: LATE_ANSWERS,
}

/** The one event that means the same in each state. */
const EVERYWHERE: Kind = 'vendor-job-cancelled'
const PAIRS = STATES.flatMap((state) =>
  EVENT_KINDS.filter((kind) => kind !== EVERYWHERE).map((kind): [JobState, Kind] => [state, kind]),
)

describe('the table of states and events', () => {
  it.each(PAIRS.filter(([state, kind]) => TABLE[state][kind] !== undefined))(
    '%s + %s does what the table says',
    (state, kind) => {
      const job = jobIn(state)
      const [change, effects] = TABLE[state][kind] ?? [{}, []]
      expect(transition(job, EVENTS[kind], NOW_MS)).toEqual({ job: { ...job, ...change }, effects })
    },
  )

  it.each(PAIRS.filter(([state, kind]) => TABLE[state][kind] === undefined))('%s + %s changes nothing', (state, kind) => {
    const job = jobIn(state)
    expect(transition(job, EVENTS[kind], NOW_MS)).toEqual({ job: jobIn(state), effects: [] })
  })

  it.each(STATES)('%s + vendor-job-cancelled that failed is remembered, and nothing else changes', (state) => {
    const cancel = { tries: 1, nextMs: NOW_MS + FIRST_BACKOFF_MS }
    expect(transition(jobIn(state), EVENTS[EVERYWHERE], NOW_MS)).toEqual({ job: jobIn(state, { cancel }), effects: [] })
  })

  it.each(STATES)('%s + an alarm before its time changes nothing', (state) => {
    const job = jobIn(state, { nextMs: NOW_MS + 1 })
    expect(transition(job, EVENTS.alarm, NOW_MS)).toEqual({ job, effects: [] })
  })

  it.each(STATES)('%s is left as it was for whoever still holds it', (state) => {
    for (const kind of EVENT_KINDS) {
      const job = jobIn(state)
      transition(job, EVENTS[kind], NOW_MS)
      expect(job).toEqual(jobIn(state))
    }
  })
})

describe('deadlines', () => {
  it.each([
    ['queued', CREATED_MS + QUEUE_DEADLINE_MS, ['return-slot', 'report-state']],
    ['running', SUBMITTED_MS + RULES.deadlineMs, ['cancel-vendor-job', 'release-slot', 'report-state']],
  ] as const)('%s past its deadline fails and says so [N-10]', (state, deadlineMs, effects) => {
    const job = jobIn(state, { nextMs: deadlineMs + 1_000 })
    expect(transition(job, EVENTS.alarm, deadlineMs - 1)).toEqual({ job, effects: [] })
    const late = transition(job, EVENTS.alarm, deadlineMs)
    expect(late.job).toMatchObject({ state: 'failed', failure: { code: 'job_deadline_passed' } })
    expect(late.effects).toEqual(effects)
  })

  it('the deadline of a running job counts from its kick-off, however long it was queued', () => {
    const job = jobIn('running', { submittedMs: CREATED_MS + 6 * 86_400_000 })
    expect(transition(job, EVENTS.alarm, CREATED_MS + 6.5 * 86_400_000).effects).toEqual(['request-status'])
  })
})

describe('alarmAt', () => {
  const far = SUBMITTED_MS + 30 * 86_400_000
  it.each<[string, Job, number]>([
    ['a queued job: its next try', jobIn('queued'), NOW_MS],
    ['a queued job: its deadline, if sooner', jobIn('queued', { nextMs: far }), CREATED_MS + QUEUE_DEADLINE_MS],
    ['a running job: its next poll', jobIn('running'), NOW_MS],
    ['a running job: its deadline, if sooner', jobIn('running', { nextMs: far }), SUBMITTED_MS + RULES.deadlineMs],
    ['submitting: when the answer is given up', jobIn('submitting', { nextMs: far }), far],
    ['complete: its expiry', jobIn('complete', { nextMs: far }), far],
    ['cancelled: its purge', jobIn('cancelled', { nextMs: far }), far],
    ['anything with work left: now', jobIn('complete', { nextMs: far, todo: ['report-state'] }), SUBMITTED_MS],
  ])('%s', (_, job, expected) => {
    expect(alarmAt(job, SUBMITTED_MS)).toBe(expected)
  })
})

describe('the kick-off', () => {
  it.each([
    [undefined, 10_000],
    [1, 5_000],
    [120_000, 120_000],
    [86_400_000, 600_000],
  ])('accepted with Retry-After %s ms is first asked after %d ms [N-16]', (retryAfterMs, waitMs) => {
    const event = { ...EVENTS['kickoff-accepted'], ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
    expect(transition(jobIn('submitting'), event, NOW_MS).job.nextMs).toBe(NOW_MS + waitMs)
  })

  it.each([
    [undefined, 60_000],
    [1, 5_000],
    [300_000, 300_000],
    [86_400_000, 86_400_000],
    [864_000_000, 86_400_000],
  ])('busy with Retry-After %s ms goes back to the queue for %d ms and a little longer [N-05]', (retryAfterMs, waitMs) => {
    const event = { ...EVENTS['kickoff-busy'], ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
    const { job } = transition(jobIn('submitting'), event, NOW_MS)
    expect(job.state).toBe('queued')
    expect(job.nextMs).toBeGreaterThanOrEqual(NOW_MS + waitMs)
    expect(job.nextMs).toBeLessThanOrEqual(NOW_MS + 1.2 * waitMs)
    expect(transition(job, EVENTS.alarm, job.nextMs - 1).effects).toEqual([])
    expect(transition(job, EVENTS.alarm, job.nextMs).effects).toEqual(['acquire-slot'])
  })

  it('of an ambiguous end is never sent again and keeps its slot [N-06]', () => {
    for (const event of [EVENTS['kickoff-ambiguous'], EVENTS.alarm]) {
      const { job, effects } = transition(jobIn('submitting'), event, NOW_MS)
      expect(job).toMatchObject({ state: 'failed', failure: { code: 'kickoff_ambiguous' } })
      expect(effects).toEqual(['hold-slot', 'report-state'])
      for (const kind of EVENT_KINDS) expect(transition(job, EVENTS[kind], NOW_MS + 1).effects).not.toContain('send-kickoff')
    }
  })
})

const unclearAfter = (count: number) =>
  transition(jobIn('running', { unclear: count, unreadable: count }), EVENTS.unclear, NOW_MS)

describe('answers that tell nothing', () => {
  it('are asked again at growing intervals, at most 20 minutes apart [N-11]', () => {
    const waits = Array.from({ length: MAX_UNREADABLE - 1 }, (_, count) => unclearAfter(count).job.nextMs - NOW_MS)
    const seconds = [5, 10, 20, 40, 80, 160, 320, 640, 1_200, 1_200, 1_200]
    for (const [index, waitMs] of waits.entries()) {
      expect(waitMs).toBeGreaterThanOrEqual((seconds[index] ?? 0) * 1_000)
      expect(waitMs).toBeLessThanOrEqual((seconds[index] ?? 0) * 1_200)
    }
  })

  it('do not bring jobs that failed together back together [N-11]', () => {
    const waits = Array.from(
      { length: 50 },
      (_, count) => transition(jobIn('running', { jobId: `job-${count}` }), EVENTS.unclear, NOW_MS).job.nextMs,
    )
    expect(new Set(waits).size).toBeGreaterThan(40)
  })

  it('of a vendor that cannot be reached never end the job; its deadline does, and says so [N-10, N-11]', () => {
    const away = { kind: 'unclear', cause: 'unreachable' } as const
    let job = jobIn('running')
    for (let count = 0; count < 10 * MAX_UNREADABLE; count++) job = transition(job, away, NOW_MS).job
    expect(job).toMatchObject({ state: 'running', unreadable: 0, unclear: 10 * MAX_UNREADABLE })
    const late = transition(job, EVENTS.alarm, SUBMITTED_MS + RULES.deadlineMs)
    expect(late.job).toMatchObject({ state: 'failed', failure: UNREACHABLE })
    expect(late.effects).toEqual(['cancel-vendor-job', 'release-slot', 'report-state'])
  })

  it(`end the job as vendor_answer_invalid after ${MAX_UNREADABLE} in a row, and the vendor job with it [N-09]`, () => {
    const { job, effects } = unclearAfter(MAX_UNREADABLE - 1)
    expect(job).toMatchObject({ state: 'failed', failure: { code: 'vendor_answer_invalid' } })
    expect(effects).toEqual(['cancel-vendor-job', 'release-slot', 'report-state'])
  })

  it.each([
    [60_000, 60_000],
    [1, 5_000],
    [86_400_000, 600_000],
  ])(
    'wait as long as their Retry-After of %d ms says, within bounds: %d ms, and a little longer [N-16]',
    (retryAfterMs, waitMs) => {
      const { job } = transition(jobIn('running'), { kind: 'unclear', cause: 'unreachable', retryAfterMs }, NOW_MS)
      expect(job.nextMs).toBeGreaterThanOrEqual(NOW_MS + waitMs)
      expect(job.nextMs).toBeLessThanOrEqual(NOW_MS + 1.2 * waitMs)
    },
  )

  it('are forgotten by the first that tells something', () => {
    const job = jobIn('running', { unclear: 20, unreadable: MAX_UNREADABLE - 1 })
    expect(transition(job, EVENTS['still-running'], NOW_MS).job).toMatchObject({ unclear: 0, unreadable: 0 })
    expect(transition(job, EVENTS.finished, NOW_MS).job).toMatchObject({ unclear: 0, unreadable: 0 })
  })

  it('include a 404 within half a minute of the kick-off, and none later [N-11]', () => {
    const fresh = transition(jobIn('running'), EVENTS.lost, SUBMITTED_MS + 29_999)
    expect(fresh.job).toMatchObject({ state: 'running', unclear: 1 })
    expect(fresh.effects).toEqual([])
    expect(transition(jobIn('running'), EVENTS.lost, SUBMITTED_MS + 30_000).job.failure?.code).toBe('vendor_job_lost')
  })
})

describe('progress', () => {
  it.each([
    [undefined, 30_000],
    [1_000, 5_000],
    [120_000, 120_000],
    [86_400_000, 600_000],
  ])(
    'with Retry-After %s ms is asked again no earlier than after %d ms, and up to a tenth later [N-16]',
    (retryAfterMs, waitMs) => {
      const event = { ...EVENTS['still-running'], ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
      const { nextMs } = transition(jobIn('running'), event, NOW_MS).job
      expect(nextMs).toBeGreaterThanOrEqual(NOW_MS + waitMs)
      expect(nextMs).toBeLessThanOrEqual(NOW_MS + 1.1 * waitMs)
    },
  )

  it('is asked for at times of its own, though the alarms of all jobs rang together once', () => {
    const jobs = Array.from({ length: 1_000 }, (_, index) => ({ ...jobIn('running'), jobId: `job-${index}`, nextMs: NOW_MS }))
    const next = jobs.map((job) => {
      let asked = job
      for (let round = 0; round < 10; round++)
        asked = { ...asked, ...transition(asked, EVENTS['still-running'], asked.nextMs).job }
      return asked.nextMs
    })
    const perSecond = Map.groupBy(next, (nextMs) => Math.floor(nextMs / 1_000))
    expect(Math.max(...[...perSecond.values()].map(({ length }) => length))).toBeLessThan(250)
  })

  it('that stands still for too long ends the job, here and at the vendor, by the vendor’s own word [N-10]', () => {
    const job = jobIn('running', { progress: { percent: 40, phase: 'running' }, progressMs: SUBMITTED_MS })
    const stalledMs = SUBMITTED_MS + RULES.stallMs
    const same = { kind: 'still-running', progress: { percent: 40, phase: 'running' } } as const
    expect(transition(job, same, stalledMs - 1).job.state).toBe('running')
    const { job: stalled, effects } = transition(job, same, stalledMs)
    expect(stalled).toMatchObject({ state: 'failed', failure: { code: 'job_stalled' } })
    expect(effects).toEqual(['cancel-vendor-job', 'release-slot', 'report-state'])
    const further = { kind: 'still-running', progress: { percent: 41, phase: 'running' } } as const
    expect(transition(job, further, stalledMs).job.state).toBe('running')
  })

  it('is not said to stand still by a vendor that cannot be reached [N-10, N-11]', () => {
    const job = jobIn('running', { progress: { percent: 40, phase: 'running' }, progressMs: SUBMITTED_MS })
    const stalledMs = SUBMITTED_MS + RULES.stallMs
    expect(transition(job, EVENTS.alarm, stalledMs + 1).effects).toEqual(['request-status'])
    expect(transition(job, { kind: 'unclear', cause: 'unreachable' }, stalledMs + 1).job.state).toBe('running')
  })

  it('that a vendor does not tell in numbers cannot stand still: the deadline ends such a job [N-10]', () => {
    const job = jobIn('running', { progress: { phase: 'running' }, progressMs: SUBMITTED_MS })
    expect(
      transition(job, { kind: 'still-running', progress: { phase: 'running' } }, SUBMITTED_MS + RULES.stallMs).job.state,
    ).toBe('running')
  })

  it('never goes back [N-17]', () => {
    const job = jobIn('running', { progress: { percent: 70, phase: 'finishing' } })
    expect(transition(job, EVENTS['still-running'], NOW_MS).job.progress).toEqual({ percent: 70, phase: 'finishing' })
  })
})
