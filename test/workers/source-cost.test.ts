import { runInDurableObject } from 'cloudflare:test'
import { expect, it } from 'vitest'
import { Slots } from '../../src/source/slots.ts'
import { freshGate } from './source-support.ts'

const START_MS = 1_800_000_000_000
const HOUR_MS = 3_600_000
const open = (): number => 0

/** A database that counts the rows which its statements read, indexes included. */
const counting = (sql: SqlStorage) => {
  const cursors: { readonly rowsRead: number }[] = []
  const exec: SqlStorage['exec'] = (query, ...values) => {
    const cursor = sql.exec<never>(query, ...values)
    cursors.push(cursor)
    return cursor
  }
  const rowsRead = (): number => cursors.splice(0).reduce((total, cursor) => total + cursor.rowsRead, 0)
  return { sql: { exec } as SqlStorage, rowsRead }
}

const applicant = (job: string) => ({
  jobId: job,
  clientId: `client-${job.at(-1)}`,
  sourceId: 'source',
  target: 'patient/',
  coolMs: 0,
  inFlight: Infinity,
})

it('a slot costs no more when a thousand are taken than when few are, nor does giving it back', async () => {
  await runInDurableObject(freshGate(), (_, { storage }) => {
    const { sql, rowsRead } = counting(storage.sql)
    const slots = new Slots(sql)
    const take = (index: number): void => {
      const now = START_MS + index
      slots.expire(now)
      slots.join(applicant(`job-${index}`), now)
      if (slots.standing(`job-${index}`, open, now).isServed) slots.grant(`job-${index}`, HOUR_MS, now)
    }
    const costOf = (work: () => void): number => {
      rowsRead()
      work()
      return rowsRead()
    }
    for (let index = 0; index < 20; index++) take(index)
    const few = { taking: costOf(() => take(20)), giving: costOf(() => slots.giveBack('job-20', true)) }
    for (let index = 21; index < 1_021; index++) take(index)
    expect(slots.count()).toBe(1_020)
    const many = { taking: costOf(() => take(1_021)), giving: costOf(() => slots.giveBack('job-1021', true)) }
    expect(many.taking).toBeLessThanOrEqual(few.taking + 2)
    expect(many.giving).toBeLessThanOrEqual(few.giving + 2)
    slots.expire(START_MS + HOUR_MS + 20)
    expect(slots.count()).toBe(1_000)
  })
})
