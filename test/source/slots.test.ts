import { expect, it } from 'vitest'
import { Slots } from '../../src/source/slots.ts'
import { gateDatabase } from './support.ts'

const START_MS = 1_800_000_000_000
const MINUTE_MS = 60_000
const open = (): number => 0
const asks = (job: string, parts: Readonly<Record<string, unknown>> = {}) => ({
  jobId: job,
  clientId: job.slice(0, 1),
  sourceId: 's',
  target: 'patient/',
  coolMs: 0,
  inFlight: 2,
  ...parts,
})

it('a lease that ran out counts no longer as a turn of its client', () => {
  const slots = new Slots(gateDatabase())
  for (const [index, job] of ['a1', 'b1'].entries()) {
    slots.join(asks(job), START_MS + index)
    slots.grant(job, MINUTE_MS, START_MS + index)
  }
  slots.giveBack('b1', true)
  for (const job of ['a2', 'b2']) slots.join(asks(job), START_MS + 2)
  const first = (now: number): string | undefined => slots.served(open, now)[0]?.job
  expect(first(START_MS + 2)).toBe('b2')
  slots.expire(START_MS + MINUTE_MS)
  expect(first(START_MS + MINUTE_MS)).toBe('a2')
})

it('a vendor that is busy for longer than it said is left alone for longer, though its job has no slot any more', () => {
  const slots = new Slots(gateDatabase())
  slots.join(asks('a1'), START_MS)
  slots.grant('a1', MINUTE_MS, START_MS)
  slots.requeue('a1', 'source', START_MS + 1_000, START_MS)
  expect(slots.served(open, START_MS + 1_000)).toHaveLength(1)
  slots.requeue('a1', 'source', START_MS + 5_000, START_MS + 1_000)
  expect(slots.served(open, START_MS + 4_999)).toEqual([])
  expect(slots.served(open, START_MS + 5_000)).toHaveLength(1)
})

it('a job whose source has other limits by now keeps its place', () => {
  const slots = new Slots(gateDatabase())
  slots.join(asks('a1'), START_MS)
  slots.join(asks('a2'), START_MS + 1)
  slots.join(asks('a1', { inFlight: 1, coolMs: MINUTE_MS }), START_MS + 2)
  expect(slots.standing('a1', open, START_MS + 2)).toMatchObject({ place: 1, isServed: true })
  expect(slots.standing('a2', open, START_MS + 2)).toMatchObject({ place: 2 })
})

it('many that wait cost one that asks again next to nothing: the queue is not worked out anew', () => {
  const sql = gateDatabase()
  let reads = 0
  const exec: SqlStorage['exec'] = (query, ...values) => {
    reads += /FROM (waiting|client|kickoff)/.test(query) && query.startsWith('SELECT') ? 1 : 0
    return sql.exec(query, ...values)
  }
  const slots = new Slots({ ...sql, exec })
  for (let index = 0; index < 100; index++) slots.join(asks(`a${index}`, { inFlight: 1 }), START_MS + index)
  slots.served(open, START_MS + 200)
  reads = 0
  for (let index = 0; index < 100; index++) {
    slots.join(asks(`a${index}`, { inFlight: 1 }), START_MS + 300)
    expect(slots.standing(`a${index}`, open, START_MS + 300).place).toBeGreaterThan(0)
  }
  expect(reads).toBe(0)
})

it('kick-offs are remembered for as long as their targets cool down, and not at all where none does', () => {
  const sql = gateDatabase()
  const slots = new Slots(sql)
  const targets = (): unknown[] => sql.exec('SELECT target FROM kickoff ORDER BY target').toArray()
  const grant = (job: string, target: string, coolMs: number, now: number): void => {
    slots.join(asks(job, { target, coolMs, inFlight: 1_000 }), now)
    slots.grant(job, MINUTE_MS, now)
  }
  for (let index = 0; index < 100; index++) grant(`a${index}`, `group/${index}`, 0, START_MS)
  expect(targets()).toEqual([])
  grant('b1', 'group/1', MINUTE_MS, START_MS)
  grant('b2', 'group/2', MINUTE_MS, START_MS + 1)
  slots.join(asks('b3', { target: 'group/1', coolMs: MINUTE_MS, inFlight: 1_000 }), START_MS + MINUTE_MS - 1)
  expect(slots.standing('b3', open, START_MS + MINUTE_MS - 1).isServed).toBe(false)
  grant('b4', 'group/4', MINUTE_MS, START_MS + MINUTE_MS)
  expect(targets()).toEqual([{ target: 'group/2' }, { target: 'group/4' }])
  expect(slots.standing('b3', open, START_MS + MINUTE_MS).isServed).toBe(true)
})

it('a lease ends at its time whichever was granted, held or given back before', () => {
  const slots = new Slots(gateDatabase())
  const grant = (job: string, leaseMs: number): void => {
    slots.join(asks(job, { inFlight: 10 }), START_MS)
    slots.grant(job, leaseMs, START_MS)
  }
  grant('a1', 3_000)
  slots.expire(START_MS)
  grant('a2', 1_000)
  grant('a3', 2_000)
  slots.expire(START_MS + 999)
  expect(slots.count()).toBe(3)
  slots.giveBack('a2', true)
  slots.expire(START_MS + 1_500)
  slots.hold('a1', START_MS + 1_800)
  slots.expire(START_MS + 1_800)
  expect(slots.count()).toBe(1)
  expect(slots.has('a3')).toBe(true)
  slots.expire(START_MS + 2_000)
  expect(slots.count()).toBe(0)
})
