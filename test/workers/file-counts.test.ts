import { runInDurableObject } from 'cloudflare:test'
import { expect, it } from 'vitest'
import { FileRows, type FileState } from '../../src/job/file-rows.ts'
import { createTables } from '../../src/job/schema.ts'
import { bindings } from './support.ts'

const STATES: readonly FileState[] = ['ready', 'empty', 'failed', 'material', 'pending']

it('counts kept along are what the rows say, whatever becomes of a file', async () => {
  const { JOBS } = bindings
  await runInDurableObject(JOBS.get(JOBS.newUniqueId()), async (_, { storage }) => {
    createTables(storage.sql)
    const kept = new FileRows(storage)
    const anew = () => new FileRows(storage).progress()
    // From each state to each other one.
    const ways = STATES.flatMap((first) => STATES.map((second) => [first, second] as const))
    for (const n of ways.keys())
      storage.sql.exec(`INSERT INTO file (n, kind, type, state) VALUES (?, 'output', 'Patient', 'pending')`, n + 1)
    expect(kept.progress()).toEqual(anew())
    for (const [index, states] of ways.entries()) {
      for (const state of states) {
        const before = kept.progress()
        kept.update(index + 1, { state, nextMs: 1_000 + index })
        expect(kept.progress()).toEqual(anew())
        // Whoever compares the object sees that something has changed.
        expect(kept.progress()).not.toBe(before)
        expect(kept.nextMs).toBe(new FileRows(storage).nextMs)
      }
    }
    kept.failPending()
    expect(kept.progress()).toEqual(anew())
    expect(kept.nextMs).toBeUndefined()
  })
})
