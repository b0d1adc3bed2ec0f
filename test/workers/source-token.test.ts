import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { SourceGate } from '../../src/source/source-gate.ts'
import { addTokenSource, bindings, FakeVendor, holdTime, letGo } from './support.ts'

let gates = 0
const freshGate = () => bindings.GATES.get(bindings.GATES.idFromName(`token-gate-${(gates += 1)}`))
let vendor: FakeVendor

beforeEach(() => {
  holdTime()
  vendor = new FakeVendor()
})
afterEach(() => {
  letGo()
  vendor.verify()
})

const granting =
  (token: string, seconds: number | string = 300) =>
  () =>
    Response.json({ access_token: token, token_type: 'bearer', expires_in: seconds })
const refusing =
  (status: number, headers: Record<string, string> = {}) =>
  () =>
    new Response('{}', { status, headers })

describe('the token [N-36]', () => {
  const { id, tokenUrl } = addTokenSource()
  const POST = `POST ${tokenUrl}`
  it('is asked for once, however many need it at the same time', async () => {
    vendor.on(POST, granting('t1'), granting('t2'))
    const gate = freshGate()
    const answers = await Promise.all(Array.from({ length: 100 }, async () => gate.token(id)))
    expect(new Set(answers.map((answer) => (answer.kind === 'token' ? answer.token : answer.kind)))).toEqual(new Set(['t1']))
    expect(vendor.requests).toEqual([POST])
  })

  it('is renewed when four fifths of its life are over, and not before', async () => {
    vendor.on(POST, granting('t1', '1000'), granting('t2'))
    const gate = freshGate()
    const startMs = Date.now()
    expect(await gate.token(id)).toEqual({ kind: 'token', token: 't1', expiresMs: startMs + 800_000 })
    vi.setSystemTime(startMs + 799_999)
    expect(await gate.token(id)).toEqual({ kind: 'token', token: 't1', expiresMs: startMs + 800_000 })
    vi.setSystemTime(startMs + 800_000)
    expect(await gate.token(id)).toMatchObject({ kind: 'token', token: 't2' })
    expect(vendor.count(POST)).toBe(2)
  })

  it('is asked for once more after a refusal, and then it is one', async () => {
    vendor.on(POST, refusing(400), granting('t1'))
    expect(await freshGate().token(id)).toMatchObject({ kind: 'token', token: 't1' })
    vendor.on(POST, refusing(401))
    expect(await freshGate().token(id)).toEqual({ kind: 'refused' })
    expect(vendor.count(POST)).toBe(4)
  })

  it('of an endpoint that is down is asked for once, and its wait is passed on', async () => {
    vendor.on(POST, refusing(503, { 'Retry-After': '7' }))
    expect(await freshGate().token(id)).toEqual({ kind: 'unavailable', retryAfterMs: 7_000 })
    expect(vendor.count(POST)).toBe(1)
  })

  it.each([
    [429, '120', 120_000],
    [503, '7', 7_000],
    // A date that nobody lives to see must not close a source for ever.
    [503, 'Fri, 31 Dec 2199 23:59:59 GMT', 3_600_000],
  ])(
    'of an endpoint that answers %d with Retry-After %j is not asked for again before, not after a restart either',
    async (status, value, waitMs) => {
      vendor.on(POST, refusing(status, { 'Retry-After': value }), granting('t1'))
      const gate = freshGate()
      const startMs = Date.now()
      expect(await gate.token(id)).toEqual({ kind: 'unavailable', retryAfterMs: waitMs })
      vi.setSystemTime(startMs + 1_000)
      expect(await gate.token(id)).toEqual({ kind: 'unavailable', retryAfterMs: waitMs - 1_000 })
      await evictDurableObject(gate)
      vi.setSystemTime(startMs + waitMs - 1)
      expect(await gate.renew(id, 'stale')).toEqual({ kind: 'unavailable', retryAfterMs: 1 })
      expect(vendor.count(POST)).toBe(1)
      vi.setSystemTime(startMs + waitMs)
      expect(await gate.token(id)).toMatchObject({ kind: 'token', token: 't1' })
    },
  )

  it('that is still good is handed out while the endpoint wants to be left alone', async () => {
    vendor.on(POST, granting('t1', 1_000), refusing(429, { 'Retry-After': '600' }))
    const gate = freshGate()
    await gate.token(id)
    expect(await gate.renew(id, 't1')).toEqual({ kind: 'unavailable', retryAfterMs: 600_000 })
    const other = addTokenSource()
    expect(await gate.token(other.id)).toMatchObject({ kind: 'unavailable' })
    expect(vendor.count(POST)).toBe(3)
  })

  it('is asked for again after a failure: none is remembered', async () => {
    vendor.on(POST, refusing(500), granting('t1'))
    const gate = freshGate()
    expect(await gate.token(id)).toEqual({ kind: 'unavailable' })
    expect(await gate.token(id)).toMatchObject({ token: 't1' })
  })

  it('that the vendor refused is replaced once, by however many it was refused to', async () => {
    vendor.on(POST, granting('t1'), granting('t2'), granting('t3'))
    const gate = freshGate()
    await gate.token(id)
    const answers = await Promise.all(Array.from({ length: 20 }, async () => gate.renew(id, 't1')))
    expect(answers.every((answer) => answer.kind === 'token' && answer.token === 't2')).toBe(true)
    // Somebody who comes late with the old one gets the new one.
    expect(await gate.renew(id, 't1')).toMatchObject({ token: 't2' })
    expect(vendor.count(POST)).toBe(2)
  })

  it('never rests in storage', async () => {
    vendor.on(POST, granting('secret-token'))
    const gate = freshGate()
    await gate.token(id)
    const tables = await runInDurableObject<SourceGate, string>(gate, (_, { storage }) => {
      const names = storage.sql.exec<{ name: string }>(
        `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'`,
      )
      return JSON.stringify(names.toArray().map(({ name }) => storage.sql.exec(`SELECT * FROM "${name}"`).toArray()))
    })
    expect(tables).not.toContain('secret-token')
  })
})
