import {
  createExecutionContext,
  env,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
  waitOnExecutionContext,
} from 'cloudflare:test'
import { exportJWK, generateKeyPair } from 'jose'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { app } from '../../src/app.ts'
import { issueAccessToken } from '../../src/auth/access-token.ts'
import { ledgerOf, type ClientLedger, type LedgerEntry } from '../../src/client/client-ledger.ts'
import { OPEN_AT_MOST_MS } from '../../src/client/open-jobs.ts'
import { configOf } from '../../src/config.ts'
import { addSource, bindings, FakeVendor, holdTime, letGo } from './support.ts'

const MOST = 3
const CLIENTS = ['first', 'second', 'third', 'fourth', 'fifth'] as const
type ClientId = (typeof CLIENTS)[number]

const source = addSource()
const KICKOFF = `GET ${source.base}/Patient/$export`
const STATUS_URL = `${source.base}/jobs/1`
let vendor: FakeVendor

const clientWith = (clientId: ClientId): object => ({
  clientId,
  jwksUrl: 'https://app.example/jwks.json',
  scopes: ['system/*.rs'],
  access: { [source.id]: {} },
})

beforeAll(async () => {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const signing = { ...(await exportJWK(privateKey)), kid: 's' }
  Object.assign(env, {
    TOKEN_SIGNING_KEYS: JSON.stringify({ keys: [signing] }),
    LIMITS: { openExportsPerClient: MOST, retryAfterMaxSeconds: 90 },
    ...Object.fromEntries(CLIENTS.map((id) => [`CLIENT_${id.toUpperCase()}`, clientWith(id)])),
  })
})
beforeEach(() => {
  holdTime()
  vendor = new FakeVendor()
  vendor.on(KICKOFF, () => new Response(null, { status: 202, headers: { 'Content-Location': STATUS_URL } }))
  vendor.on(`GET ${STATUS_URL}`, () => new Response(null, { status: 202 }))
  vendor.on(`DELETE ${STATUS_URL}`, () => new Response(null, { status: 202 }))
})
afterEach(() => {
  letGo()
})

/** A request by a client, and all that it sets off. */
const send = async (clientId: ClientId, method: string, path: string): Promise<Response> => {
  const { token } = await issueAccessToken(configOf(bindings), { clientId, scopes: ['system/*.rs'], nowMs: Date.now() })
  const context = createExecutionContext()
  const headers = { Authorization: `Bearer ${token}`, Prefer: 'respond-async' }
  const response = await app.request(path, { method, headers }, bindings, context)
  await waitOnExecutionContext(context)
  return response
}
const kickoff = async (clientId: ClientId): Promise<Response> => send(clientId, 'GET', `/fhir/${source.id}/Patient/$export`)
const pathOf = (response: Response): string => new URL(response.headers.get('Content-Location') ?? '').pathname
const fill = async (clientId: ClientId): Promise<Response[]> => {
  const responses: Response[] = []
  for (let count = 0; count < MOST; count++) responses.push(await kickoff(clientId))
  expect(responses.map(({ status }) => status)).toEqual(responses.map(() => 202))
  return responses
}

describe('a client with as many open exports as it may have', () => {
  it('gets 429 that says when and what to do, nothing goes upstream, and others are not held up [AU-21]', async () => {
    await fill('first')
    const asked = vendor.requests.length
    const response = await kickoff('first')
    expect(response.status).toBe(429)
    expect(response.headers.get('Retry-After')).toBe('90')
    expect(await response.json()).toEqual({
      resourceType: 'OperationOutcome',
      issue: [
        {
          severity: 'error',
          code: 'throttled',
          diagnostics: expect.stringMatching(/^This client has 3 exports queued or running.* Wait until one ends, or delete one/),
        },
      ],
    })
    expect(vendor.requests.length).toBe(asked)
    expect((await kickoff('second')).status).toBe(202)
  })

  it('may start another as soon as one of them is deleted [AU-21]', async () => {
    const [one] = await fill('third')
    expect((await kickoff('third')).status).toBe(429)
    const path = one ? pathOf(one) : ''
    expect((await send('third', 'DELETE', path)).status).toBe(202)
    await runDurableObjectAlarm(bindings.JOBS.get(bindings.JOBS.idFromName(path.slice(path.lastIndexOf('/') + 1))))
    expect((await kickoff('third')).status).toBe(202)
    expect((await kickoff('third')).status).toBe(429)
  })

  it('goes beyond by no more than it has in flight at one instant, and gets no further [AU-21]', async () => {
    const answers = await Promise.all(Array.from({ length: 2 * MOST }, async () => kickoff('fourth')))
    const started = answers.filter(({ status }) => status === 202).length
    expect(started).toBeGreaterThanOrEqual(MOST)
    expect((await kickoff('fourth')).status).toBe(429)
  })

  it('has room for what the vendor refused [AU-21]', async () => {
    vendor.on(KICKOFF, () => Response.json({ resourceType: 'OperationOutcome', issue: [{ code: 'invalid' }] }, { status: 400 }))
    for (let count = 0; count <= MOST; count++) expect((await kickoff('fifth')).status).toBe(400)
  })
})

const entry = (jobId: string, createdMs: number): LedgerEntry => ({
  jobId,
  sourceId: source.id,
  level: 'patient',
  request: 'r',
  createdMs,
})

describe('the count of open exports', () => {
  const STATES = ['queued', 'submitting', 'running', 'collecting', 'complete', 'failed', 'cancelled', 'expired'] as const

  it('is of those that have not ended, whatever they wait for, and stops at the most that is asked', async () => {
    const ledger = ledgerOf(bindings, 'states')
    await runInDurableObject<ClientLedger, void>(ledger, (instance) => {
      for (const state of STATES) {
        instance.addJob(entry(state, Date.now()))
        instance.setJobState(state, state)
      }
    })
    expect(await ledger.openJobs(100)).toBe(4)
    expect(await ledger.openJobs(3)).toBe(3)
    await ledger.removeJob('running')
    expect(await ledger.openJobs(100)).toBe(3)
  })

  it('leaves out one so old that its end must have gone unheard', async () => {
    const ledger = ledgerOf(bindings, 'unheard')
    await ledger.addJob(entry('lost', Date.now() - OPEN_AT_MOST_MS))
    await ledger.addJob(entry('old', Date.now() - OPEN_AT_MOST_MS + 1))
    expect(await ledger.openJobs(100)).toBe(1)
  })

  it('goes on counting as time passes: one becomes too old while the object lives, and one that was told late ends once', async () => {
    const ledger = ledgerOf(bindings, 'ageing')
    const nowMs = Date.now()
    for (const [index, jobId] of ['a', 'b', 'c'].entries()) await ledger.addJob(entry(jobId, nowMs + index))
    expect(await ledger.openJobs(100)).toBe(3)
    await ledger.addJob(entry('b', nowMs))
    await ledger.setJobState('b', 'complete')
    await ledger.setJobState('b', 'complete')
    await ledger.setJobState('nobody', 'running')
    expect(await ledger.openJobs(100)).toBe(2)
    vi.setSystemTime(nowMs + OPEN_AT_MOST_MS)
    expect(await ledger.openJobs(100)).toBe(1)
  })

  it('is the same in another life of the object', async () => {
    const ledger = ledgerOf(bindings, 'evicted')
    for (let index = 0; index < 5; index++) await ledger.addJob(entry(`j${index}`, Date.now()))
    expect(await ledger.openJobs(100)).toBe(5)
    await ledger.setJobState('j1', 'failed')
    await ledger.removeJob('j2')
    expect(await ledger.openJobs(100)).toBe(3)
    await evictDurableObject(ledger)
    expect(await ledger.openJobs(100)).toBe(3)
  })

  it('reads no row, however many are open or have ended', async () => {
    await runInDurableObject<ClientLedger, void>(ledgerOf(bindings, 'many'), (instance, { storage }) => {
      instance.openJobs(100)
      for (let index = 0; index < 1_000; index++) {
        instance.addJob(entry(`j${index}`, Date.now()))
        if (index % 2 === 0) instance.setJobState(`j${index}`, 'complete')
      }
      const queries = vi.spyOn(storage.sql, 'exec')
      expect(instance.openJobs(10_000)).toBe(500)
      expect(queries).not.toHaveBeenCalled()
    })
  })

  it('is right in a ledger of an earlier version, whose index it does without', async () => {
    const ledger = ledgerOf(bindings, 'earlier')
    await runInDurableObject<ClientLedger, void>(ledger, (_, { storage }) => {
      storage.sql.exec(`
        DROP TABLE jobs;
        CREATE TABLE jobs (
          seq INTEGER PRIMARY KEY AUTOINCREMENT, schemaVersion INTEGER NOT NULL, jobId TEXT NOT NULL UNIQUE, sourceId TEXT NOT NULL,
          level TEXT NOT NULL, groupId TEXT, request TEXT NOT NULL, createdMs INTEGER NOT NULL, state TEXT NOT NULL
        );
        CREATE INDEX open_jobs ON jobs (createdMs) WHERE state IN ('queued', 'submitting', 'running', 'collecting');
        CREATE INDEX jtis_by_expiry ON jtis (expiresMs);
      `)
      for (const state of STATES)
        storage.sql.exec(
          `INSERT INTO jobs (schemaVersion, jobId, sourceId, level, request, createdMs, state) VALUES (1, ?, 's', 'patient', 'r', ?, ?)`,
          state,
          Date.now(),
          state,
        )
    })
    await evictDurableObject(ledger)
    expect(await ledger.openJobs(100)).toBe(4)
    await ledger.addJob(entry('new', Date.now()))
    expect(await ledger.openJobs(100)).toBe(5)
    expect((await ledger.jobs({ limit: 1 })).jobs).toMatchObject([{ jobId: 'new' }])
  })
})
