import { evictDurableObject } from 'cloudflare:test'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type SlotRequest } from '../../src/source/source-gate.ts'
import { addSource, bindings, FakeVendor, holdTime, letGo } from './support.ts'

const MINUTE_MS = 60_000
const JOBS = bindings.JOBS
let gates = 0
const freshGate = () => bindings.GATES.get(bindings.GATES.idFromName(`gate-${(gates += 1)}`))

/** Jobs that were told that a slot may be free. */
let woken: string[] = []
let vendor: FakeVendor

beforeEach(() => {
  woken = []
  vendor = new FakeVendor()
  holdTime()
  const wake = (job: string) => async () => void woken.push(job)
  Object.assign(bindings, {
    JOBS: { idFromName: (name: string) => name, get: (job: string) => ({ wake: wake(job), rearm: async () => job !== 'over' }) },
  })
})
afterEach(() => {
  Object.assign(bindings, { JOBS })
  letGo()
  vendor.verify()
})

/** One gate, asked as jobs do. */
const opened = (limits: Readonly<Record<string, number>> = { inFlight: 1 }) => {
  const source = addSource({ limits })
  const gate = freshGate()
  const ask = (jobId: string, parts: Partial<SlotRequest> = {}) =>
    gate.acquire({ sourceId: source.id, jobId, clientId: 'app', target: 'patient/', leaseMs: 3_600_000, ...parts })
  return { gate, ask }
}
const later = (ms: number) => vi.setSystemTime(Date.now() + ms)

describe('slots', () => {
  it('are as many as the vendor allows; the next job is told its place and when to ask again', async () => {
    const { ask } = opened({ inFlight: 2 })
    expect(await ask('a')).toEqual({ kind: 'granted' })
    expect(await ask('b')).toEqual({ kind: 'granted' })
    expect(await ask('c')).toEqual({ kind: 'refused', place: 1, retryMs: MINUTE_MS })
    expect(await ask('d')).toEqual({ kind: 'refused', place: 2, retryMs: MINUTE_MS })
  })

  it('are without limit where the vendor names none', async () => {
    const { ask } = opened({})
    for (let index = 0; index < 20; index++) expect(await ask(`j${index}`)).toEqual({ kind: 'granted' })
  })

  it('are one per job, however often it asks, and a place in the queue is kept', async () => {
    const { ask } = opened({ inFlight: 2 })
    for (let time = 0; time < 3; time++) expect(await ask('a')).toEqual({ kind: 'granted' })
    expect(await ask('b')).toEqual({ kind: 'granted' })
    await ask('c')
    later(1_000)
    await ask('d')
    later(1_000)
    expect(await ask('c')).toMatchObject({ place: 1 })
    expect(await ask('d')).toMatchObject({ place: 2 })
  })

  it('are granted in the order of asking; the one released wakes the next', async () => {
    const { gate, ask } = opened()
    await ask('a')
    for (const job of ['b', 'c']) {
      later(1_000)
      await ask(job)
    }
    await gate.release('a', true)
    expect(woken).toEqual(['b'])
    // The second in line does not slip in before the first.
    expect(await ask('c')).toMatchObject({ kind: 'refused' })
    expect(await ask('b')).toEqual({ kind: 'granted' })
    await gate.release('b', true)
    expect(woken).toEqual(['b', 'c'])
    expect(await ask('c')).toEqual({ kind: 'granted' })
  })

  it('go turn by turn between clients, so that one with many jobs does not shut out another', async () => {
    const { gate, ask } = opened()
    await ask('a1', { clientId: 'a' })
    const waiting = ['a2', 'a3', 'a4', 'b1', 'b2'].map((job) => ({ job, clientId: job.slice(0, 1) }))
    for (const { job, clientId } of waiting) {
      later(1_000)
      await ask(job, { clientId })
    }
    const served: string[] = []
    let running = 'a1'
    for (let turn = 0; turn < 5; turn++) {
      later(1_000)
      await gate.release(running, true)
      running = woken.at(-1) ?? ''
      served.push(running)
      expect(await ask(running, { clientId: running.slice(0, 1) })).toEqual({ kind: 'granted' })
    }
    expect(served).toEqual(['b1', 'a2', 'b2', 'a3', 'a4'])
  })

  it('survive eviction', async () => {
    const { gate, ask } = opened()
    await ask('a')
    await ask('b')
    await evictDurableObject(gate)
    expect(await ask('b')).toMatchObject({ kind: 'refused', place: 1 })
    expect(await ask('a')).toEqual({ kind: 'granted' })
  })

  it('of a job that never gives its slot back are free after its lease', async () => {
    const { ask } = opened()
    await ask('dead', { leaseMs: 10 * MINUTE_MS })
    later(10 * MINUTE_MS - 1)
    expect(await ask('b')).toMatchObject({ kind: 'refused' })
    later(1)
    expect(await ask('b')).toEqual({ kind: 'granted' })
  })

  it('are not kept for a job that has stopped asking', async () => {
    const { gate, ask } = opened()
    await ask('a')
    await ask('gone')
    later(MINUTE_MS)
    await ask('c')
    later(9 * MINUTE_MS)
    await ask('c')
    await gate.release('a', true)
    expect(await ask('c')).toEqual({ kind: 'granted' })
  })

  it('given back twice, or by a job that has none, do no harm', async () => {
    const { gate, ask } = opened()
    await ask('a')
    await gate.release('nobody', true)
    await ask('b')
    await gate.release('a', true)
    await gate.release('a', true)
    expect(await ask('b')).toEqual({ kind: 'granted' })
    expect(await ask('c')).toMatchObject({ kind: 'refused' })
  })

  it('a place in the queue is given up by a release', async () => {
    const { gate, ask } = opened()
    await ask('a')
    await ask('b')
    await ask('c')
    await gate.release('b', true)
    expect(await ask('c')).toMatchObject({ place: 1 })
  })
})

describe('the cool-down', () => {
  const DAY_S = 86_400

  it('keeps two kick-offs of one group apart, and those of two groups not', async () => {
    const { gate, ask } = opened({ kickoffEverySeconds: DAY_S })
    expect(await ask('a', { target: 'group/1' })).toEqual({ kind: 'granted' })
    await gate.release('a', true)
    later(1_000)
    expect(await ask('b', { target: 'group/1' })).toMatchObject({ kind: 'refused', retryMs: DAY_S * 1_000 - 1_000 })
    expect(await ask('c', { target: 'group/2' })).toEqual({ kind: 'granted' })
    later(DAY_S * 1_000 - 1_000)
    expect(await ask('b', { target: 'group/1' })).toEqual({ kind: 'granted' })
  })

  it('of one group does not hold up the jobs of another', async () => {
    const { gate, ask } = opened({ inFlight: 1, kickoffEverySeconds: DAY_S })
    await ask('a', { target: 'group/1' })
    await ask('cooling', { target: 'group/1' })
    later(1_000)
    await ask('b', { target: 'group/2' })
    await gate.release('a', true)
    expect(woken).toEqual(['b'])
    expect(await ask('b', { target: 'group/2' })).toEqual({ kind: 'granted' })
  })

  it('does not take a granted slot away', async () => {
    const { ask } = opened({ kickoffEverySeconds: DAY_S })
    await ask('a')
    expect(await ask('a')).toEqual({ kind: 'granted' })
  })
})

describe('a source that is not configured as it should be', () => {
  it.each([
    ['absent', 'nowhere'],
    ['broken', addSource({ limits: { inFlight: 'one' } }).id],
  ])('%s: is told, not thrown, and takes no slot', async (_, sourceId) => {
    const gate = freshGate()
    const slot = { sourceId, jobId: 'a', clientId: 'app', target: 'patient/', leaseMs: 1 }
    expect(await gate.acquire(slot)).toMatchObject({ kind: 'misconfigured' })
    expect(await gate.token(sourceId)).toMatchObject({ kind: 'misconfigured' })
  })

  it('names the secret that is missing, and no value', async () => {
    const { id } = addSource({ credential: { kind: 'bearer', secret: 'NOT_SET' } })
    expect(await freshGate().token(id)).toMatchObject({
      kind: 'misconfigured',
      diagnostics: expect.stringContaining('NOT_SET') as string,
    })
  })
})

describe('the sweep', () => {
  it('looks after every job that has asked, until it is forgotten or over', async () => {
    const { gate, ask } = opened({ inFlight: 1 })
    for (const job of ['a', 'b', 'over']) await ask(job)
    expect(await gate.sweep()).toBe(3)
    expect(await gate.sweep()).toBe(2)
    await gate.forget('a')
    expect(await gate.sweep()).toBe(1)
  })
})
