import { afterEach, beforeEach, vi } from 'vitest'
import type { SlotRequest } from '../../src/source/source-gate.ts'
import { addSource, bindings, FakeVendor, holdTime, letGo } from './support.ts'

export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS

const JOBS = bindings.JOBS
let gates = 0

export const freshGate = () => bindings.GATES.get(bindings.GATES.idFromName(`gate-${(gates += 1)}`))

/** What the jobs of a gate hear of it, and the vendor. */
export class GateScene {
  vendor = new FakeVendor()
  /** Jobs that were told that a slot may be free, in order. */
  woken: string[] = []
  /** Jobs that the sweep has called, in order. */
  swept: string[] = []
  /** What a job's object answers to the sweep. */
  rearm: (job: string) => boolean | Promise<boolean> = () => true

  /** One gate, asked as jobs do. */
  opened(limits: Readonly<Record<string, number>> = { inFlight: 1 }) {
    const source = addSource({ limits })
    const gate = freshGate()
    const ask = (jobId: string, parts: Partial<SlotRequest> = {}) =>
      gate.acquire({ sourceId: source.id, jobId, clientId: 'app', target: 'patient/', leaseMs: HOUR_MS, ...parts })
    return { gate, ask, source, metadata: `GET ${source.base}/metadata` }
  }
}

/** A scene of its own for each test, with time that stands still. */
export const gateScene = (): GateScene => {
  const scene = new GateScene()
  beforeEach(() => {
    holdTime()
    Object.assign(scene, new GateScene())
    const job = (name: string) => ({
      wake: async () => void scene.woken.push(name),
      rearm: async () => {
        scene.swept.push(name)
        return scene.rearm(name)
      },
    })
    Object.assign(bindings, { JOBS: { idFromName: (name: string) => name, get: job } })
  })
  afterEach(() => {
    Object.assign(bindings, { JOBS })
    letGo()
    scene.vendor.verify()
  })
  return scene
}

export const later = (ms: number) => vi.setSystemTime(Date.now() + ms)
