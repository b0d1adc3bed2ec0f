import { evictDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { freshGate, gateScene, later, MINUTE_MS } from './source-support.ts'
import { addSource } from './support.ts'

const scene = gateScene()
const opened = (limits?: Readonly<Record<string, number>>) => scene.opened(limits)

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
    expect(scene.woken).toEqual(['b'])
    // The second in line does not slip in before the first.
    expect(await ask('c')).toMatchObject({ kind: 'refused' })
    expect(await ask('b')).toEqual({ kind: 'granted' })
    await gate.release('b', true)
    expect(scene.woken).toEqual(['b', 'c'])
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
      running = scene.woken.at(-1) ?? ''
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

describe('the places in the queue', () => {
  it('are counted among the jobs that are served before, whatever each of them waits for', async () => {
    const { gate, ask } = opened({ inFlight: 1, kickoffEverySeconds: 3_600 })
    await ask('a', { target: 'group/1' })
    // Of the group that cools down, then of others: those can go earlier.
    const asked = [
      ['cools-1', 'group/1'],
      ['cools-2', 'group/1'],
      ['free-1', 'group/2'],
      ['free-2', 'group/3'],
    ] as const
    for (const [job, target] of asked) {
      later(1_000)
      await ask(job, { target })
    }
    const places = async (jobs: readonly (readonly [string, string])[] = asked) =>
      Promise.all(
        jobs.map(async ([job, target]) => {
          const answer = await ask(job, { target })
          return answer.kind === 'refused' ? answer.place : 0
        }),
      )
    expect(await places()).toEqual([3, 4, 1, 2])
    await gate.release('free-1', true)
    const [first, second, , last] = asked
    expect(await places([first, second, last])).toEqual([2, 3, 1])
  })

  it('is lost by nobody who asks late: one that is passed over comes back to where it was', async () => {
    const { ask } = opened()
    await ask('a')
    await ask('late')
    later(MINUTE_MS)
    await ask('b')
    later(9 * MINUTE_MS)
    expect(await ask('b')).toMatchObject({ place: 1 })
    expect(await ask('late')).toMatchObject({ place: 1 })
    expect(await ask('b')).toMatchObject({ place: 2 })
  })
})

describe('free slots', () => {
  it('are all offered at once: as many jobs are told as there are slots, in order', async () => {
    const { gate, ask } = opened({ inFlight: 3 })
    for (const job of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) {
      await ask(job)
      later(1_000)
    }
    await gate.release('a', true)
    expect(scene.woken).toEqual(['d'])
    await gate.release('b', true)
    expect(scene.woken).toEqual(['d', 'd', 'e'])
    await gate.release('c', true)
    expect(scene.woken.slice(3)).toEqual(['d', 'e', 'f'])
  })

  it('are offered to a bounded number of jobs at a time', async () => {
    const { gate, ask } = opened({ inFlight: 100 })
    for (let index = 0; index < 100; index++) await ask(`leased-${index}`, { leaseMs: MINUTE_MS })
    for (let index = 0; index < 50; index++) await ask(`waiting-${index}`)
    later(MINUTE_MS)
    // Leases that ran out are noticed by the sweep.
    await gate.sweep()
    expect(scene.woken.length).toBe(20)
  })

  it('that nobody gave back are offered to those in front as soon as anybody asks, and to each of them once', async () => {
    const { ask } = opened({ inFlight: 2 })
    for (const job of ['a', 'b']) await ask(job, { leaseMs: 5 * MINUTE_MS })
    for (const job of ['c', 'd', 'e', 'f']) {
      later(1_000)
      await ask(job)
    }
    later(5 * MINUTE_MS)
    for (let time = 0; time < 3; time++) expect(await ask('f')).toMatchObject({ kind: 'refused', place: 4 })
    expect(scene.woken).toEqual(['c', 'd'])
    expect(await ask('d')).toEqual({ kind: 'granted' })
    expect(await ask('e')).toMatchObject({ kind: 'refused' })
    expect(await ask('c')).toEqual({ kind: 'granted' })
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
    expect(scene.woken).toEqual(['b'])
    expect(await ask('b', { target: 'group/2' })).toEqual({ kind: 'granted' })
  })

  it('lets one job of its group go when it is over, the first in line, and the next one a cool-down later', async () => {
    const { gate, ask } = opened({ kickoffEverySeconds: DAY_S })
    await ask('a', { target: 'group/1' })
    for (const job of ['b', 'c']) {
      later(1_000)
      await ask(job, { target: 'group/1' })
    }
    later(DAY_S * 1_000)
    expect(await ask('c', { target: 'group/1' })).toMatchObject({ kind: 'refused', place: 2, retryMs: MINUTE_MS })
    expect(scene.woken).toEqual(['b'])
    expect(await ask('b', { target: 'group/1' })).toEqual({ kind: 'granted' })
    expect(await ask('c', { target: 'group/1' })).toMatchObject({ kind: 'refused', place: 1, retryMs: DAY_S * 1_000 })
    await gate.release('b', true)
    expect(scene.woken).toEqual(['b'])
  })

  it('that never began, since the vendor took no kick-off, keeps nobody waiting', async () => {
    const { gate, ask } = opened({ inFlight: 1, kickoffEverySeconds: DAY_S })
    await ask('a', { target: 'group/1' })
    expect(await ask('b', { target: 'group/1' })).toMatchObject({ retryMs: DAY_S * 1_000 })
    await gate.release('a', false)
    expect(scene.woken).toEqual(['b'])
    expect(await ask('b', { target: 'group/1' })).toEqual({ kind: 'granted' })
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
