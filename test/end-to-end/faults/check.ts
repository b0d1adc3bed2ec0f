import { afterAll, beforeAll } from 'vitest'
import { SOURCES, type World } from '../support.ts'
import { countFiles, sourceIdOf, startFaultyWorld } from './faulty-world.ts'
import { play } from './play.ts'
import type { Row, SourceId } from './row.ts'

/** Worlds at a time: rows wait more than they work. */
const WORLDS = 3

/** Told in place of what is wrong when a row was not played at all. */
const NOT_PLAYED = 'not played'

const wordsOf = (problem: unknown): readonly string[] => [String(problem)]

/**
 * Plays rows in several worlds at once, and in each at all sources; a vendor meets the faults of one row at a time.
 *
 * @returns What became of a row at a source: every promise that was not kept.
 */
export const usePlayedRows = (rows: readonly Row[]): ((row: Row, id: SourceId) => Promise<readonly string[]>) => {
  const results = new Map<string, PromiseWithResolvers<readonly string[]>>()
  const worlds: (World & { close(): Promise<void> })[] = []
  const keyOf = (row: Row, id: SourceId): string => sourceIdOf(rows, row, id)
  const queueAt = (id: SourceId): Row[] => rows.filter((row) => row.skipped?.[id] === undefined)
  for (const id of SOURCES) for (const row of queueAt(id)) results.set(keyOf(row, id), Promise.withResolvers())
  let playing: Promise<unknown> = Promise.resolve()

  const work = async (world: World, id: SourceId, queue: Iterator<Row>): Promise<void> => {
    const files = await countFiles(world, id)
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      const sourceId = keyOf(next.value, id)
      results.get(sourceId)?.resolve(await play(world, next.value, { id, sourceId, files }).catch(wordsOf))
    }
  }

  beforeAll(async () => {
    worlds.push(...(await Promise.all(Array.from({ length: WORLDS }, () => startFaultyWorld(rows)))))
    playing = Promise.allSettled(
      SOURCES.flatMap((id) => {
        const queue = queueAt(id).values()
        return worlds.map((world) => work(world, id, queue))
      }),
    ).finally(() => {
      for (const { resolve } of results.values()) resolve([NOT_PLAYED])
    })
  })
  afterAll(async () => {
    await playing
    await Promise.all(worlds.map((world) => world.close()))
  })
  return (row, id) => results.get(keyOf(row, id))?.promise ?? Promise.resolve([NOT_PLAYED])
}
