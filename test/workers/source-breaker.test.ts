import { evictDurableObject } from 'cloudflare:test'
import { describe, expect, it, vi } from 'vitest'
import { MIN_FAILURES, OPEN_MS, PROBE_RETRY_MS, type Permit } from '../../src/source/breaker.ts'
import { gateScene, later } from './source-support.ts'

const scene = gateScene()
const GRANTED: Permit = { kind: 'granted', isProbe: false }
/** Half a minute with its jitter. */
const LONGEST_OPEN_MS = OPEN_MS * 1.2

/** A gate whose source could not be reached some times in a row. */
const shut = async (limits?: Readonly<Record<string, number>>) => {
  const opened = scene.opened(limits)
  for (let time = 0; time < MIN_FAILURES; time++) {
    expect(await opened.gate.permit(opened.source.id)).toEqual(GRANTED)
    await opened.gate.report(opened.source.id, false)
  }
  return opened
}
const answering = (status: number) => () => new Response('{}', { status })

describe('a source that cannot be reached', () => {
  it('is not asked by anybody for a while, and no slot is granted for it', async () => {
    const { gate, ask, source } = await shut()
    expect(await gate.permit(source.id)).toMatchObject({ kind: 'refused' })
    const answer = await ask('a')
    expect(answer).toMatchObject({ kind: 'refused', place: 1 })
    expect(answer.kind === 'refused' && answer.retryMs).toBeGreaterThanOrEqual(OPEN_MS)
    expect(answer.kind === 'refused' && answer.retryMs).toBeLessThanOrEqual(LONGEST_OPEN_MS * 1.2)
    expect(scene.vendor.requests).toEqual([])
  })

  it('does not take a slot away, nor hold up another source of the same gate', async () => {
    const { gate, ask, source } = scene.opened({ inFlight: 2 })
    const other = scene.opened({ inFlight: 2 })
    await ask('a')
    for (let time = 0; time < MIN_FAILURES; time++) await gate.report(source.id, false)
    await ask('b')
    expect(await ask('a')).toEqual({ kind: 'granted' })
    expect(await ask('c', { sourceId: other.source.id })).toEqual({ kind: 'granted' })
    expect(await gate.permit(other.source.id)).toEqual(GRANTED)
  })

  it('is asked by one job when the time has come; its success lets everybody go on', async () => {
    const { gate, ask, source } = await shut()
    await ask('waiting')
    later(LONGEST_OPEN_MS)
    expect(await gate.permit(source.id)).toEqual({ kind: 'granted', isProbe: true })
    expect(await gate.permit(source.id)).toMatchObject({ kind: 'refused' })
    await gate.report(source.id, true)
    expect(await gate.permit(source.id)).toEqual(GRANTED)
    expect(scene.woken).toEqual(['waiting'])
    expect(await ask('waiting')).toEqual({ kind: 'granted' })
  })

  it('is never tried with a kick-off: the gate asks for its metadata, once, and then grants the slots [N-06]', async () => {
    const { ask, metadata } = await shut()
    scene.vendor.on(metadata, answering(200))
    await ask('a')
    later(LONGEST_OPEN_MS)
    const answers = await Promise.all(['a', 'b', 'c'].map(async (job) => ask(job)))
    expect(answers.map(({ kind }) => kind)).toEqual(['refused', 'refused', 'refused'])
    const [answer] = answers
    expect(answer?.kind === 'refused' && answer.retryMs).toBeGreaterThanOrEqual(PROBE_RETRY_MS)
    expect(answer?.kind === 'refused' && answer.retryMs).toBeLessThanOrEqual(PROBE_RETRY_MS * 1.2)
    await vi.waitFor(() => expect(scene.woken).toEqual(['a']))
    expect(scene.vendor.requests).toEqual([metadata])
    expect(await ask('a')).toEqual({ kind: 'granted' })
  })

  it.each([200, 401, 404, 429])('is back when it answers %d: somebody is at home', async (status) => {
    const { gate, ask, source, metadata } = await shut()
    scene.vendor.on(metadata, answering(status))
    later(LONGEST_OPEN_MS)
    await ask('a')
    await vi.waitFor(async () => expect(await gate.permit(source.id)).toEqual(GRANTED))
  })

  it.each([
    ['no connection', () => Promise.reject(new TypeError('Network connection lost.'))],
    ['500', answering(500)],
    ['503', answering(503)],
  ])('is left alone for twice as long after %s', async (_, answer) => {
    const { gate, ask, source, metadata } = await shut()
    scene.vendor.on(metadata, answer)
    later(LONGEST_OPEN_MS)
    await ask('a')
    await vi.waitFor(async () => {
      const permit = await gate.permit(source.id)
      expect(permit.kind === 'refused' && permit.retryMs).toBeGreaterThanOrEqual(2 * OPEN_MS)
    })
    expect(scene.vendor.count(metadata)).toBe(1)
    expect(scene.woken).toEqual([])
    later(2 * OPEN_MS - 1)
    await ask('a')
    expect(scene.vendor.count(metadata)).toBe(1)
  })

  it('is forgotten to be so by a restart, which costs it no more than a few requests', async () => {
    const { gate, source } = await shut()
    await evictDurableObject(gate)
    expect(await gate.permit(source.id)).toEqual(GRANTED)
  })
})
