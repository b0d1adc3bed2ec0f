import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { prepare } from '../../src/source/schema.ts'

/** As much of a Durable Object's database as the gate uses, on one in memory. */
export const database = (): SqlStorage => {
  const sqlite = new DatabaseSync(':memory:')
  const statements = new Map<string, StatementSync>()
  const exec = (query: string, ...values: SQLInputValue[]) => {
    if (values.length === 0 && query.trim().endsWith(';')) {
      sqlite.exec(query)
      return { toArray: () => [] }
    }
    const statement = statements.get(query) ?? sqlite.prepare(query)
    statements.set(query, statement)
    const rows = statement.all(...values)
    return { toArray: () => rows, one: () => rows[0] }
  }
  return { exec } as unknown as SqlStorage
}

/** The same with the gate's tables. */
export const gateDatabase = (): SqlStorage => {
  const sql = database()
  prepare(sql)
  return sql
}

/** mulberry32: small, seeded, good enough to choose with. */
export const randomOf = (seed: number) => {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  return {
    below,
    pick: <const T>(values: readonly T[]): T => {
      const [value] = values.slice(below(values.length))
      if (value === undefined) throw new Error('nothing to pick from')
      return value
    },
  }
}
