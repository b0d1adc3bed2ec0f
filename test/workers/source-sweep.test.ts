import { describe, expect, it } from 'vitest'
import { gateScene, HOUR_MS, later } from './source-support.ts'

const scene = gateScene()

describe('the sweep', () => {
  it('looks after every job that has asked, until it is forgotten or over', async () => {
    const { gate, ask } = scene.opened({ inFlight: 3 })
    scene.rearm = (job) => job !== 'over'
    for (const job of ['a', 'b', 'over']) await ask(job)
    expect(await gate.sweep()).toBe(3)
    expect(await gate.sweep()).toBe(2)
    await gate.release('a', true)
    await gate.forget('a')
    expect(await gate.sweep()).toBe(1)
    expect(scene.swept).toEqual(['a', 'b', 'over', 'a', 'b', 'b'])
  })

  it('takes the slot of a job that is gone, and offers it to the next', async () => {
    const { gate, ask } = scene.opened({ inFlight: 1 })
    scene.rearm = (job) => job !== 'gone'
    await ask('gone')
    await ask('b')
    await gate.sweep()
    expect(scene.woken).toEqual(['b'])
    expect(await ask('b')).toEqual({ kind: 'granted' })
  })

  it('takes the place of a job that is gone', async () => {
    const { gate, ask } = scene.opened({ inFlight: 1 })
    scene.rearm = (job) => job !== 'gone'
    await ask('a')
    await ask('gone')
    later(1_000)
    expect(await ask('b')).toMatchObject({ place: 2 })
    await gate.sweep()
    expect(await ask('b')).toMatchObject({ place: 1 })
  })

  it('finds a slot that was never given back, though its job was forgotten', async () => {
    const { gate, ask } = scene.opened({ inFlight: 1 })
    scene.rearm = () => false
    await ask('a')
    await gate.forget('a')
    expect(await gate.sweep()).toBe(0)
    expect(await ask('b')).toEqual({ kind: 'granted' })
  })

  it.each([
    ['forgotten', true],
    ['gone without a word', false],
  ])('leaves a slot that is held for a vendor job which nobody can name, its own job %s [N-06]', async (_, isForgotten) => {
    const { gate, ask } = scene.opened({ inFlight: 1 })
    scene.rearm = (job) => job !== 'lost'
    await ask('lost')
    await gate.hold('lost', Date.now() + HOUR_MS)
    if (isForgotten) await gate.forget('lost')
    await ask('b')
    await gate.sweep()
    later(HOUR_MS - 1)
    expect(await ask('b')).toMatchObject({ kind: 'refused' })
    later(1)
    await gate.sweep()
    expect(scene.woken).toEqual(['b'])
    expect(await ask('b')).toEqual({ kind: 'granted' })
  })

  it('goes on to the others when one job cannot be reached, and keeps what that one has', async () => {
    const { gate, ask } = scene.opened({ inFlight: 1 })
    scene.rearm = (job) => (job === 'a' ? Promise.reject(new Error('overloaded')) : true)
    for (const job of ['a', 'b', 'c']) await ask(job)
    expect(await gate.sweep()).toBe(3)
    expect(scene.swept).toEqual(['a', 'b', 'c'])
    expect(await ask('a')).toEqual({ kind: 'granted' })
  })
})
