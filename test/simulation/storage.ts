import type { Database } from './database.ts'
import type { World } from './world.ts'

/** What one object keeps, whatever becomes of its lives. */
export interface Kept {
  readonly database: Database
  alarmMs: number | null
}

/** Storage as one life of an object sees it. What is written between two waits is kept as one; nothing can come in between. */
export const storageOf = (world: World, kept: Kept, isAlive: () => boolean): unknown => {
  const alive = (): void => {
    if (!isAlive()) world.broken('the simulation itself: a dead object touched its storage')
  }
  const settled = async <T>(work: () => T): Promise<T> => {
    alive()
    return work()
  }
  return {
    sql: {
      exec: (query: string, ...bindings: string[]) => {
        alive()
        return kept.database.exec(query, ...bindings)
      },
    },
    transactionSync: <T>(work: () => T): T => kept.database.transaction(work),
    getAlarm: () => settled(() => kept.alarmMs),
    setAlarm: (time: number | Date) =>
      settled(() => {
        world.held(Number.isFinite(Number(time)), 'an alarm is set for a point in time')
        kept.alarmMs = Number(time)
      }),
    deleteAlarm: () => settled(() => void (kept.alarmMs = null)),
    deleteAll: () => settled(() => kept.database.clear()),
    sync: () => settled(() => undefined),
  }
}
