import { evictDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { MAX_JITTER_MS } from '../../src/source/jitter.ts'
import { gateScene, HOUR_MS, later, MINUTE_MS } from './source-support.ts'

const scene = gateScene()
const DAY_MS = 24 * HOUR_MS

describe('a vendor that is too busy for a kick-off [N-05]', () => {
  it('is left alone by everybody until it wants to be asked again, and takes that job first', async () => {
    const { gate, ask } = scene.opened({ inFlight: 2 })
    for (const job of ['a', 'b', 'c', 'd']) {
      later(1_000)
      await ask(job)
    }
    await gate.requeue('a', 'source', Date.now() + HOUR_MS)
    await gate.release('b', true)
    expect(scene.woken).toEqual([])
    expect(await ask('c')).toMatchObject({ kind: 'refused', place: 2 })
    expect(await ask('a', { target: 'group/1' })).toMatchObject({ kind: 'refused', place: 1 })
    later(HOUR_MS - 1)
    expect(await ask('d')).toMatchObject({ kind: 'refused', place: 3 })
    later(1)
    expect(await ask('d')).toMatchObject({ kind: 'refused', place: 3 })
    expect(scene.woken).toEqual(['a', 'c'])
    expect(await ask('c')).toEqual({ kind: 'granted' })
    expect(await ask('a')).toEqual({ kind: 'granted' })
    expect(await ask('d')).toMatchObject({ kind: 'refused', place: 1 })
  })

  it('is not asked by all at once when the wait is over', async () => {
    const { gate, ask } = scene.opened({})
    await ask('a')
    await gate.requeue('a', 'source', Date.now() + HOUR_MS)
    const waits: number[] = []
    for (let index = 0; index < 30; index++) {
      const answer = await ask(`job-${index}`)
      if (answer.kind === 'refused') waits.push(answer.retryMs)
    }
    expect(waits).toHaveLength(30)
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(HOUR_MS)
    expect(Math.max(...waits)).toBeLessThanOrEqual(HOUR_MS + MAX_JITTER_MS)
    expect(new Set(waits).size).toBeGreaterThan(25)
    // Asking again does not mean another wait.
    expect(await ask('job-7')).toMatchObject({ retryMs: waits[7] })
  })

  it('for one group is left alone with that group only, and the slot goes to the next', async () => {
    const { gate, ask } = scene.opened({ inFlight: 1 })
    await ask('a', { target: 'group/1' })
    later(1_000)
    await ask('b', { target: 'group/1' })
    later(1_000)
    await ask('c', { target: 'group/2' })
    await gate.requeue('a', 'target', Date.now() + DAY_MS)
    expect(scene.woken).toEqual(['c'])
    expect(await ask('b', { target: 'group/1' })).toMatchObject({ kind: 'refused', place: 3 })
    expect(await ask('c', { target: 'group/2' })).toEqual({ kind: 'granted' })
    await gate.release('c', true)
    later(DAY_MS)
    expect(await ask('b', { target: 'group/1' })).toMatchObject({ kind: 'refused', place: 2 })
    expect(await ask('a', { target: 'group/1' })).toEqual({ kind: 'granted' })
  })

  it('has begun no cool-down', async () => {
    const { gate, ask } = scene.opened({ kickoffEverySeconds: 86_400 })
    await ask('a')
    await gate.requeue('a', 'target', Date.now() + MINUTE_MS)
    later(MINUTE_MS)
    expect(await ask('a')).toEqual({ kind: 'granted' })
  })

  it('is still left alone after a restart, and the job has kept its place', async () => {
    const { gate, ask } = scene.opened({ inFlight: 1 })
    await ask('a')
    later(1_000)
    await ask('b')
    await gate.requeue('a', 'source', Date.now() + HOUR_MS)
    await evictDurableObject(gate)
    expect(await ask('b')).toMatchObject({ kind: 'refused', place: 2 })
    later(HOUR_MS)
    await evictDurableObject(gate)
    expect(await ask('b')).toMatchObject({ kind: 'refused', place: 2 })
    expect(await ask('a')).toEqual({ kind: 'granted' })
  })

  it('is as good as told once when it is told twice, and a shorter wait does not undo a longer one', async () => {
    const { gate, ask } = scene.opened({ inFlight: 1 })
    await ask('a')
    later(1_000)
    await ask('b')
    await gate.requeue('a', 'source', Date.now() + HOUR_MS)
    await gate.requeue('a', 'source', Date.now() + MINUTE_MS)
    later(HOUR_MS - 1)
    expect(await ask('a')).toMatchObject({ kind: 'refused', place: 1 })
    later(1)
    expect(await ask('a')).toEqual({ kind: 'granted' })
  })

  it('costs its job no turn: the other client does not go twice', async () => {
    const { gate, ask } = scene.opened({ inFlight: 1 })
    await ask('z', { clientId: 'z' })
    for (const job of ['a1', 'b1', 'a2', 'b2']) {
      later(1_000)
      await ask(job, { clientId: job.slice(0, 1) })
    }
    await gate.release('z', true)
    expect(await ask('a1', { clientId: 'a' })).toEqual({ kind: 'granted' })
    await gate.requeue('a1', 'source', Date.now() + MINUTE_MS)
    later(MINUTE_MS)
    expect(await ask('b1', { clientId: 'b' })).toMatchObject({ kind: 'refused', place: 2 })
    expect(await ask('a1', { clientId: 'a' })).toEqual({ kind: 'granted' })
  })
})
