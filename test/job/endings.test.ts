import { describe, expect, it } from 'vitest'
import type { Job, JobState } from '../../src/job/model.ts'
import { alarmAt, MAX_UNREADABLE, transition } from '../../src/job/transitions.ts'
import { EVENTS, FAILURE, jobIn, NOW_MS, RULES, STATES, STATUS_URL, SUBMITTED_MS } from './support.ts'

describe('the end', () => {
  const EARLIER = SUBMITTED_MS - 3_600_000
  const LATER = NOW_MS + 3_600_000
  it.each<[string, Partial<Job>, number | undefined, number]>([
    ['the vendor names none: our kick-off', {}, undefined, SUBMITTED_MS],
    ['the vendor names none and its clock is behind: its clock at the kick-off', { vendorClockMs: EARLIER }, undefined, EARLIER],
    ['the vendor names none and its clock is ahead: our kick-off', { vendorClockMs: LATER }, undefined, SUBMITTED_MS],
    ['taken at the start: as it is', {}, NOW_MS - 5_000, NOW_MS - 5_000],
    ['taken at the start by a clock behind: as it is', {}, EARLIER, EARLIER],
    ['taken at the finish: our kick-off', { finishTimeManifest: true }, NOW_MS, SUBMITTED_MS],
    [
      'at the finish, clock behind: its clock at the kick-off',
      { finishTimeManifest: true, vendorClockMs: EARLIER },
      NOW_MS,
      EARLIER,
    ],
    ['at the finish, and yet earlier than the kick-off: as it is', { finishTimeManifest: true }, EARLIER, EARLIER],
  ])('transactionTime, %s [N-20]', (_, parts, transactionTimeMs, expected) => {
    const event = { ...EVENTS.finished, ...(transactionTimeMs === undefined ? {} : { transactionTimeMs }) }
    expect(transition(jobIn('running', parts), event, NOW_MS).job.transactionTimeMs).toBe(expected)
  })

  const streamed = { retention: 'none' } as const
  it.each<[string, Partial<Job>, number | undefined, number]>([
    ['files with us: our retention', {}, undefined, RULES.retentionMs],
    ['files with us, gone sooner at the vendor: our retention', {}, NOW_MS + 60_000, RULES.retentionMs],
    ['streamed: the usual time of the vendor', streamed, undefined, RULES.vendorRetentionMs],
    ['streamed: what the vendor says', streamed, NOW_MS + 60_000, 60_000],
    ['streamed, kept longer at the vendor than with us: our retention', streamed, NOW_MS + 86_400_000, RULES.retentionMs],
  ])('Expires, %s [N-34]', (_, parts, expiresMs, expected) => {
    const event = { ...EVENTS.finished, ...(expiresMs === undefined ? {} : { expiresMs }) }
    const done = transition(jobIn('running', parts), event, NOW_MS).job
    const { job } = done.state === 'collecting' ? transition(done, EVENTS.collected, NOW_MS) : { job: done }
    expect(job).toMatchObject({ state: 'complete', expiresMs: NOW_MS + expected, nextMs: NOW_MS + expected })
  })

  it('of a streamed export needs no collecting', () => {
    const { job, effects } = transition(jobIn('running', streamed), EVENTS.finished, NOW_MS)
    expect(job.state).toBe('complete')
    expect(effects).toEqual(['release-slot', 'report-state'])
  })

  it.each<[number, number, JobState]>([
    [0, 0, 'complete'],
    [2, 0, 'complete'],
    [1, 9, 'complete'],
    [0, 1, 'failed'],
  ])('with %d files delivered and %d not is %s [ST-09]', (delivered, missing, state) => {
    const { job } = transition(jobIn('collecting'), { kind: 'collected', delivered, failed: missing }, NOW_MS)
    expect(job.state).toBe(state)
    expect(job.failure?.code).toBe(state === 'failed' ? 'files_unavailable' : undefined)
  })

  it('tells the vendor to delete its files only where the source wants it, and only once we hold them [N-32]', () => {
    const wanted = { deleteAfterCollecting: true }
    expect(transition(jobIn('collecting', wanted), EVENTS.collected, NOW_MS).effects).toContain('cancel-vendor-job')
    expect(transition(jobIn('collecting'), EVENTS.collected, NOW_MS).effects).not.toContain('cancel-vendor-job')
    expect(transition(jobIn('running', { ...wanted, ...streamed }), EVENTS.finished, NOW_MS).effects).not.toContain(
      'cancel-vendor-job',
    )
    expect(transition(jobIn('running', wanted), EVENTS.finished, NOW_MS).effects).not.toContain('cancel-vendor-job')
  })
})

describe('DELETE', () => {
  it.each(STATES.slice(0, 6))('of a %s job hides it at once and purges after the grace [DL-01, DL-02, DL-04]', (state) => {
    const { job } = transition(jobIn(state), EVENTS.deleted, NOW_MS)
    expect(job.state).toBe('cancelled')
    expect(transition(job, EVENTS.alarm, NOW_MS + RULES.graceMs - 1).effects).toEqual([])
    expect(transition(job, EVENTS.alarm, NOW_MS + RULES.graceMs).effects).toEqual(['purge'])
  })

  it('while a kick-off is on its way cancels the vendor job when the answer comes [N-31]', () => {
    const { job } = transition(jobIn('submitting'), EVENTS.deleted, NOW_MS)
    const answered = transition(job, EVENTS['kickoff-accepted'], NOW_MS + 1)
    expect(answered.job).toMatchObject({ state: 'cancelled', statusUrl: STATUS_URL })
    expect(answered.effects).toEqual(['cancel-vendor-job', 'release-slot'])
  })

  it('leaves a failure of the vendor nothing to say', () => {
    const { job } = transition(jobIn('running'), EVENTS.deleted, NOW_MS)
    expect(transition(job, { kind: 'vendor-failed', failure: FAILURE }, NOW_MS).job.state).toBe('cancelled')
  })
})

it('collecting that cannot go on now waits, and does not spin', () => {
  const { job } = transition(jobIn('collecting'), EVENTS.unclear, NOW_MS)
  expect(job.nextMs).toBeGreaterThan(NOW_MS)
})

it('collecting has as long as the export had, and then gives up what is still to come [N-10]', () => {
  const job = jobIn('collecting', { finishedMs: SUBMITTED_MS + 1_000 })
  const lateMs = SUBMITTED_MS + 1_000 + RULES.deadlineMs
  expect(transition(job, EVENTS.alarm, lateMs - 1).effects).toEqual(['collect'])
  expect(transition(job, EVENTS.alarm, lateMs).effects).toEqual(['give-up-files'])
})

it('a vendor’s Expires in the past (the usual no-cache header) does not hide a finished export [N-34]', () => {
  const event = { ...EVENTS.finished, expiresMs: 0 }
  const { job } = transition(jobIn('running', { retention: 'none' }), event, NOW_MS)
  expect(job.expiresMs).toBe(NOW_MS + RULES.vendorRetentionMs)
})

it('backoff is spread out also where the poll floor is 0', () => {
  const job = jobIn('running', { unclear: MAX_UNREADABLE - 2, unreadable: 0, rules: { ...RULES, minPollMs: 0 } })
  expect(transition(job, EVENTS.unclear, NOW_MS).job.nextMs).toBeGreaterThan(NOW_MS + 60_000)
})

it('DELETE of a streamed export leaves its files at the vendor until downloads that had begun are over [DL-04]', () => {
  const deleted = transition(jobIn('complete', { retention: 'none', finishedMs: SUBMITTED_MS }), EVENTS.deleted, NOW_MS)
  expect(deleted).toMatchObject({ job: { state: 'cancelled' }, effects: ['report-state'] })
  const { effects } = transition(deleted.job, EVENTS.alarm, NOW_MS + RULES.graceMs)
  expect(effects).toEqual(['cancel-vendor-job', 'purge'])
})

describe('a vendor that cannot be told to drop a job that we have ended', () => {
  it('is told again, ever later, five times in all, and the job ends as it would', () => {
    let job = transition(jobIn('running'), EVENTS.deleted, NOW_MS).job
    const waits: number[] = []
    let now = NOW_MS
    for (let tries = 1; tries < 5; tries++) {
      job = transition({ ...job, todo: [] }, EVENTS['vendor-job-cancelled'], now).job
      const dueMs = alarmAt(job, now)
      waits.push(dueMs - now)
      now = dueMs
      expect(transition(job, EVENTS.alarm, now)).toEqual({ job, effects: ['cancel-vendor-job'] })
    }
    expect(waits.every((wait, index) => index === 0 || wait > (waits[index - 1] ?? 0))).toBe(true)
    job = transition(job, EVENTS['vendor-job-cancelled'], now).job
    expect(job).toMatchObject({ state: 'cancelled' })
    expect(alarmAt(job, now)).toBe(NOW_MS + RULES.graceMs)
  })

  it('is not told again once it knows', () => {
    const failing = transition(jobIn('failed'), EVENTS['vendor-job-cancelled'], NOW_MS).job
    const { job } = transition(failing, { kind: 'vendor-job-cancelled', isDone: true }, NOW_MS)
    expect(job).toEqual(jobIn('failed'))
  })
})
