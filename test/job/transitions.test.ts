import { describe, expect, it } from 'vitest'
import type { Effect, Job, JobEvent, JobState } from '../../src/job/model.ts'
import { QUEUE_DEADLINE_MS } from '../../src/job/times.ts'
import { alarmAt, MAX_UNCLEAR, SUBMIT_DEADLINE_MS, transition } from '../../src/job/transitions.ts'
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
      { state: 'running', statusUrl: STATUS_URL, trace: { 'x-request-id': 'k' }, nextMs: NOW_MS + 10_000 },
      ['report-state'],
    ],
    'kickoff-busy': [{ state: 'queued', unclear: 1, nextMs: NOW_MS + 60_000 }, ['return-slot']],
    'kickoff-refused': [{ ...failed('vendor_job_failed'), trace: { 'x-request-id': 'r' } }, ['return-slot', 'report-state']],
    'kickoff-ambiguous': [failed('kickoff_ambiguous'), ['hold-slot', 'report-state']],
    deleted: [CANCELLED, ['report-state']],
  },
  running: {
    alarm: [{}, ['request-status']],
    'still-running': [{ progress: { percent: 40, phase: 'running' }, nextMs: NOW_MS + RULES.pollMs }, []],
    unclear: [{ unclear: 1, nextMs: NOW_MS + RULES.minPollMs }, []],
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
    unclear: [{ nextMs: NOW_MS + 30_000 }, []],
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

const PAIRS = STATES.flatMap((state) => EVENT_KINDS.map((kind): [JobState, Kind] => [state, kind]))

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
    [86_400_000, 600_000],
  ])('busy with Retry-After %s ms goes back to the queue for %d ms [N-05]', (retryAfterMs, waitMs) => {
    const event = { ...EVENTS['kickoff-busy'], ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
    const { job } = transition(jobIn('submitting'), event, NOW_MS)
    expect(job).toMatchObject({ state: 'queued', nextMs: NOW_MS + waitMs })
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

const unclearAfter = (count: number) => transition(jobIn('running', { unclear: count }), EVENTS.unclear, NOW_MS)

describe('answers that tell nothing', () => {
  it('are asked again at growing intervals, at most 20 minutes apart [N-11]', () => {
    const waits = Array.from({ length: MAX_UNCLEAR - 1 }, (_, count) => unclearAfter(count).job.nextMs - NOW_MS)
    expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1_200, 1_200, 1_200].map((seconds) => seconds * 1_000))
  })

  it(`end the job as vendor_answer_invalid after ${MAX_UNCLEAR} in a row, and the vendor job with it [N-09]`, () => {
    const { job, effects } = unclearAfter(MAX_UNCLEAR - 1)
    expect(job).toMatchObject({ state: 'failed', failure: { code: 'vendor_answer_invalid' } })
    expect(effects).toEqual(['cancel-vendor-job', 'release-slot', 'report-state'])
  })

  it.each([
    [60_000, 60_000],
    [1, 5_000],
    [86_400_000, 600_000],
  ])('wait as long as their Retry-After of %d ms says, within bounds: %d ms [N-16]', (retryAfterMs, waitMs) => {
    const { job } = transition(jobIn('running'), { kind: 'unclear', retryAfterMs }, NOW_MS)
    expect(job.nextMs).toBe(NOW_MS + waitMs)
  })

  it('are forgotten by the first that tells something', () => {
    const job = jobIn('running', { unclear: MAX_UNCLEAR - 1 })
    expect(transition(job, EVENTS['still-running'], NOW_MS).job.unclear).toBe(0)
    expect(transition(job, EVENTS.finished, NOW_MS).job.unclear).toBe(0)
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
  ])('with Retry-After %s ms is asked again after %d ms [N-16]', (retryAfterMs, waitMs) => {
    const event = { ...EVENTS['still-running'], ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
    expect(transition(jobIn('running'), event, NOW_MS).job.nextMs).toBe(NOW_MS + waitMs)
  })

  it('never goes back [N-17]', () => {
    const job = jobIn('running', { progress: { percent: 70, phase: 'finishing' } })
    expect(transition(job, EVENTS['still-running'], NOW_MS).job.progress).toEqual({ percent: 70, phase: 'finishing' })
  })
})
