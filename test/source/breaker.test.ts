import { describe, expect, it } from 'vitest'
import {
  Breaker,
  MAX_OPEN_MS,
  MIN_FAILURES,
  OPEN_MS,
  PROBE_LOST_MS,
  PROBE_RETRY_MS,
  WINDOW_MS,
  type Permit,
} from '../../src/source/breaker.ts'
import { JITTER_SHARE, MAX_JITTER_MS } from '../../src/source/jitter.ts'

const START_MS = 1_800_000_000_000
const GRANTED: Permit = { kind: 'granted', isProbe: false }
const PROBE: Permit = { kind: 'granted', isProbe: true }

/** One source, and the time. */
class Scene {
  readonly breaker = new Breaker()
  nowMs = START_MS

  permit(): Permit {
    return this.breaker.permit(this.nowMs)
  }

  fail(times = 1, isProbe = true): void {
    for (let time = 0; time < times; time++) this.breaker.report(false, this.nowMs, isProbe)
  }

  succeed(): void {
    this.breaker.report(true, this.nowMs)
  }

  /** Lets the time come at which a probe is due. */
  due(): void {
    this.nowMs = this.breaker.shutUntil(this.nowMs)
  }

  get openMs(): number {
    return this.breaker.shutUntil(this.nowMs) - this.nowMs
  }
}

const opened = (): Scene => {
  const scene = new Scene()
  scene.fail(MIN_FAILURES)
  return scene
}
const stretched = (waitMs: number): number => waitMs + Math.min(waitMs * JITTER_SHARE, MAX_JITTER_MS)

describe('a closed breaker', () => {
  it('permits everything, and opens at the fifth failure within a minute', () => {
    const scene = new Scene()
    for (let time = 1; time < MIN_FAILURES; time++) scene.fail()
    expect(scene.permit()).toEqual(GRANTED)
    scene.nowMs += WINDOW_MS - 5_000
    expect(scene.permit()).toEqual(GRANTED)
    scene.fail()
    expect(scene.permit()).toMatchObject({ kind: 'refused' })
  })

  it('stays closed when the failures are spread over more than a minute', () => {
    const scene = new Scene()
    for (let time = 0; time < 50; time++) {
      scene.fail()
      expect(scene.permit()).toEqual(GRANTED)
      scene.nowMs += WINDOW_MS / (MIN_FAILURES - 1)
    }
  })

  it.each([
    [10, true],
    [11, false],
    [1_000, false],
  ])('five failures among %d requests open it: %s', (permits, opens) => {
    const scene = new Scene()
    for (let time = 0; time < permits; time++) expect(scene.permit()).toEqual(GRANTED)
    scene.fail(MIN_FAILURES)
    expect(scene.breaker.isOpen).toBe(opens)
  })

  it('counts requests of the same minute only: a busy hour before does not hide that nobody answers now', () => {
    const scene = new Scene()
    for (let time = 0; time < 1_000; time++) scene.permit()
    scene.nowMs += WINDOW_MS
    scene.fail(MIN_FAILURES)
    expect(scene.breaker.isOpen).toBe(true)
  })

  it('takes a success for what it expects anyway', () => {
    const scene = new Scene()
    scene.fail(MIN_FAILURES - 1)
    scene.succeed()
    scene.fail()
    expect(scene.breaker.isOpen).toBe(true)
  })
})

describe('an open breaker', () => {
  it('refuses for half a minute, with waits that are not all the same, and none of them too short', () => {
    const scene = opened()
    const waits = Array.from({ length: 20 }, () => {
      const permit = scene.permit()
      return permit.kind === 'refused' ? permit.retryMs : 0
    })
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(scene.openMs)
    expect(Math.max(...waits)).toBeLessThanOrEqual(stretched(scene.openMs))
    expect(new Set(waits).size).toBe(20)
    expect(scene.openMs).toBeGreaterThanOrEqual(OPEN_MS)
    expect(scene.openMs).toBeLessThanOrEqual(stretched(OPEN_MS))
  })

  it('is not kept open for longer by failures of requests that were sent before', () => {
    const scene = opened()
    const untilMs = scene.breaker.shutUntil(scene.nowMs)
    scene.nowMs += 1_000
    scene.fail(100)
    expect(scene.breaker.shutUntil(scene.nowMs)).toBe(untilMs)
  })

  it('then lets exactly one probe go, and no other until it is reported', () => {
    const scene = opened()
    scene.due()
    expect(scene.permit()).toEqual(PROBE)
    for (let time = 0; time < 100; time++) expect(scene.permit()).toMatchObject({ kind: 'refused' })
    const refused = scene.permit()
    expect(refused.kind === 'refused' && refused.retryMs).toBeGreaterThanOrEqual(PROBE_RETRY_MS)
  })

  it('closes at the success of a probe, and forgets what was', () => {
    const scene = opened()
    scene.due()
    scene.permit()
    scene.succeed()
    for (let time = 0; time < 3; time++) expect(scene.permit()).toEqual(GRANTED)
    scene.fail(MIN_FAILURES - 1)
    expect(scene.breaker.isOpen).toBe(false)
    scene.fail()
    expect(scene.openMs).toBeLessThanOrEqual(stretched(OPEN_MS))
  })

  it('waits twice as long after each failed probe, up to ten minutes', () => {
    const scene = opened()
    for (const openMs of [60_000, 120_000, 240_000, 480_000, 600_000, 600_000]) {
      scene.due()
      expect(scene.permit()).toEqual(PROBE)
      scene.fail()
      expect(scene.openMs).toBeGreaterThanOrEqual(openMs)
      expect(scene.openMs).toBeLessThanOrEqual(stretched(openMs))
    }
    expect(scene.openMs).toBeLessThanOrEqual(stretched(MAX_OPEN_MS))
  })

  it('sends another probe when nothing is heard of one for two minutes', () => {
    const scene = opened()
    scene.due()
    scene.permit()
    scene.nowMs += PROBE_LOST_MS - 1
    expect(scene.permit()).toMatchObject({ kind: 'refused' })
    scene.nowMs += 1
    expect(scene.permit()).toEqual(PROBE)
    expect(scene.permit()).toMatchObject({ kind: 'refused' })
  })

  it('hears a probe that was thought lost', () => {
    const scene = opened()
    scene.due()
    scene.permit()
    scene.nowMs += PROBE_LOST_MS
    scene.succeed()
    expect(scene.permit()).toEqual(GRANTED)
  })

  it('does not take the failure of an older request for that of its probe', () => {
    const scene = opened()
    scene.due()
    scene.permit()
    scene.fail(10, false)
    expect(scene.openMs).toBe(PROBE_RETRY_MS)
    scene.succeed()
    expect(scene.permit()).toEqual(GRANTED)
  })
})
