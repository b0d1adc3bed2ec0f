import { describe, expect, it } from 'vitest'
import { isServed, lineOf, type Turns, type Waiting } from '../../src/source/queue.ts'

const NOW_MS = 1_800_000_000_000
const DAY_MS = 86_400_000
const NOBODY: Turns = { leases: new Map(), grantedMs: new Map() }

/** `a2`: the second job of client a. */
const waits = (job: string, parts: Partial<Waiting> = {}): Waiting => ({
  job,
  client: job.slice(0, 1),
  source: 's',
  target: 'patient/',
  sinceMs: NOW_MS - 1_000,
  readyMs: 0,
  coolMs: 0,
  inFlight: 1,
  ...parts,
})
/** One of a group that takes a kick-off a day. */
const group = (job: string, target: string, sinceMs: number): Waiting => waits(job, { target, sinceMs, coolMs: DAY_MS })
/** In the order of asking. */
const inOrder = (...jobs: readonly string[]): Waiting[] =>
  jobs.map((job, index) => waits(job, { sinceMs: NOW_MS - 1_000 + index }))
const served = (waiting: readonly Waiting[], turns: Turns = NOBODY): string =>
  lineOf(waiting, turns, NOW_MS)
    .map((place) => place.waiting.job)
    .join(' ')

describe('the queue', () => {
  it('serves one client in the order of asking', () => {
    expect(served(inOrder('a3', 'a1', 'a2').toReversed())).toBe('a3 a1 a2')
  })

  it('goes turn by turn between clients', () => {
    expect(served(inOrder('a1', 'a2', 'a3', 'b1', 'b2', 'c1'))).toBe('a1 b1 c1 a2 b2 a3')
  })

  it('counts the slots that a client has as turns', () => {
    const turns = { leases: new Map([['a', 2]]), grantedMs: new Map() }
    expect(served(inOrder('a1', 'a2', 'b1', 'b2', 'b3'), turns)).toBe('b1 b2 a1 b3 a2')
  })

  it('begins with the client whose last turn is longest ago', () => {
    const turns = { leases: new Map(), grantedMs: new Map([['a', 20], ['b', 10]]) } // prettier-ignore
    expect(served(inOrder('a1', 'b1', 'c1'), turns)).toBe('c1 b1 a1')
  })

  it('lets those go ahead who may go earlier, and spends no turn on one that has to wait', () => {
    const waiting = inOrder('a1', 'a2', 'b1', 'a3')
    const [cooling, ...others] = waiting
    expect(served([{ ...(cooling ?? waits('a1')), readyMs: NOW_MS + 1 }, ...others])).toBe('a2 b1 a3 a1')
  })

  it('is as fair among those who wait for the same moment', () => {
    const paused = inOrder('a1', 'a2', 'a3', 'b1', 'c1').map((one) => ({ ...one, readyMs: NOW_MS + 5_000 }))
    expect(served(paused)).toBe('a1 b1 c1 a2 a3')
  })

  it('keeps the jobs of one target apart by its cool-down, and lets other targets go between them', () => {
    const line = lineOf(
      [group('a1', 'g1', 1), group('a2', 'g1', 2), group('b1', 'g1', 3), group('b2', 'g2', 4), group('c1', 'g2', 5)],
      NOBODY,
      NOW_MS,
    )
    expect(line.map(({ waiting, dueMs }) => [waiting.job, (dueMs - NOW_MS) / DAY_MS])).toEqual([
      ['a1', 0],
      ['c1', 0],
      ['b1', 1],
      ['b2', 1],
      ['a2', 2],
    ])
  })

  it('depends on nothing but what it is told: neither the order of rows nor the length of ids', () => {
    const waiting = [...inOrder('a1', 'b1', 'a2'), waits('c10'), waits('c9')]
    const orders = [waiting, waiting.toReversed(), waiting.toSorted((one, other) => (one.job < other.job ? 1 : -1))]
    expect(new Set(orders.map((order) => served(order))).size).toBe(1)
  })
})

it.each([
  [0, 0, 1, true],
  [0, 1, 1, false],
  [1, 0, 1, false],
  [1, 1, 3, true],
  [500, 900, Infinity, true],
])('place %d with %d slots taken of %d: served %s', (index, leases, inFlight, expected) => {
  expect(isServed({ waiting: waits('a1', { inFlight }), dueMs: NOW_MS }, index, leases, NOW_MS)).toBe(expected)
  expect(isServed({ waiting: waits('a1', { inFlight }), dueMs: NOW_MS + 1 }, index, leases, NOW_MS)).toBe(false)
})
