import { expect, it } from 'vitest'
import { prepare } from '../../src/source/schema.ts'
import { Slots } from '../../src/source/slots.ts'
import { database } from './support.ts'

const NOW_MS = 1_800_000_000_000
const HOUR_MS = 3_600_000

/** As version 0.1.0 made them. */
const FIRST_TABLES = `
  CREATE TABLE IF NOT EXISTS lease (job TEXT PRIMARY KEY, client TEXT NOT NULL, target TEXT NOT NULL, until_ms INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS waiting (job TEXT PRIMARY KEY, client TEXT NOT NULL, since_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL, ready_ms INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS client (id TEXT PRIMARY KEY, granted_ms INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS kickoff (target TEXT PRIMARY KEY, at_ms INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS live (job TEXT PRIMARY KEY);
`

/** A gate of that version: one export runs, one waits, and one cools down. */
const firstGate = (): SqlStorage => {
  const sql = database()
  sql.exec(FIRST_TABLES)
  sql.exec(`INSERT INTO lease VALUES ('running', 'app', 'group/1', ?)`, NOW_MS + HOUR_MS)
  sql.exec(`INSERT INTO waiting VALUES ('waits', 'app', ?, ?, ?)`, NOW_MS - 5_000, NOW_MS - 5_000, NOW_MS - 5_000)
  sql.exec(`INSERT INTO waiting VALUES ('cools', 'app', ?, ?, ?)`, NOW_MS - 9_000, NOW_MS + HOUR_MS, NOW_MS + HOUR_MS)
  sql.exec(`INSERT INTO client VALUES ('app', ?)`, NOW_MS - 10_000)
  sql.exec(`INSERT INTO live VALUES ('running'), ('waits'), ('cools')`)
  prepare(sql)
  return sql
}
const open = (): number => 0
const asks = (job: string) => ({ jobId: job, clientId: 'app', sourceId: 's', target: 'group/2', coolMs: 0, inFlight: 1 })

it('rows of the first version keep their slots, places and cool-downs', () => {
  const slots = new Slots(firstGate())
  expect(slots.has('running')).toBe(true)
  slots.join(asks('new'), NOW_MS)
  slots.join(asks('waits'), NOW_MS)
  expect(['waits', 'new', 'cools'].map((job) => slots.standing(job, open, NOW_MS).place)).toEqual([1, 2, 3])
  expect(slots.standing('cools', open, NOW_MS).cooledMs).toBe(NOW_MS + HOUR_MS)
})

it('a lease of the first version can be put back, held and dropped like any other', () => {
  const sql = firstGate()
  const slots = new Slots(sql)
  slots.requeue('running', 'target', NOW_MS + 1_000, NOW_MS)
  expect(slots.count()).toBe(0)
  expect(slots.standing('running', open, NOW_MS + 1_000).place).toBe(1)
  slots.drop('running')
  expect(slots.standing('waits', open, NOW_MS + 1_000).place).toBe(1)
})

it('tables are brought up to date once, and left alone from then on', () => {
  const sql = firstGate()
  prepare(sql)
  prepare(sql)
  expect(new Slots(sql).has('running')).toBe(true)
})

it('tables of before are made anew, so that a row of them is one to write, and keep what they hold', () => {
  const sql = firstGate()
  const tables = sql.exec<{ name: string; sql: string }>(`SELECT name, sql FROM sqlite_master WHERE type = 'table'`).toArray()
  expect(tables.map(({ name }) => name).toSorted()).toEqual(
    ['client', 'kickoff', 'lease', 'live', 'pause', 'swept', 'token_wait', 'waiting'].toSorted(),
  )
  for (const table of tables) expect(table.sql).toMatch(/WITHOUT ROWID$/)
  expect(sql.exec('SELECT job FROM live ORDER BY job').toArray()).toEqual([
    { job: 'cools' },
    { job: 'running' },
    { job: 'waits' },
  ])
  expect(sql.exec('SELECT id, granted_ms FROM client').toArray()).toEqual([{ id: 'app', granted_ms: NOW_MS - 10_000 }])
})
