import { Hono } from 'hono'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { app } from '../../src/app.ts'
import { CLIENT_ASSERTION_TYPE } from '../../src/auth/client-assertion.ts'
import type { Env } from '../../src/env.ts'
import { ExportError, type ExportErrorCode } from '../../src/errors.ts'
import type { AuditedEvent, AuditRecord } from '../../src/fhir/audit-event.ts'
import { audited, noteForAudit } from '../../src/routes/audit-trail.ts'
import type { App } from '../../src/routes/context.ts'
import { assertionBy, clientWith, envOf, makeKey, NOW_MS, tampered, type TestKey } from '../auth/support.ts'

// The ledger itself is tested where it runs; here only what is sent to it, and when.
vi.mock('cloudflare:workers', () => ({ DurableObject: Object }))

const JOB = '0d9b2a52-6f0a-4b0e-9f2a-5d0d4b4b1c11'
const OPERATOR_TOKEN = 'operator.0123456789abcdef0123456789abcdef'

let records: { ledger: string; record: AuditRecord }[]
let failures: number
let gate: Promise<void>
let touched: string[]
let background: Promise<unknown>[]
let lines: Record<string, unknown>[]
let key: TestKey
let signing: TestKey

const LEDGERS = {
  idFromName: (name: string) => name,
  get: (ledger: string) => {
    touched.push(ledger)
    return {
      useJti: async () => true,
      audit: async (record: AuditRecord) => {
        if (failures > 0) {
          failures -= 1
          throw new Error('canary-of-the-platform')
        }
        await gate
        records.push({ ledger, record })
      },
    }
  },
}
const context = {
  waitUntil: (work: Promise<unknown>) => void background.push(work),
  passThroughOnException: () => undefined,
  props: {},
}

beforeAll(async () => {
  ;[key, signing] = await Promise.all([makeKey('ES384', 'k1'), makeKey('ES384', 's1')])
})
beforeEach(() => {
  records = []
  failures = 0
  gate = Promise.resolve()
  touched = []
  background = []
  lines = []
  vi.useFakeTimers({ toFake: ['Date'], now: NOW_MS })
  for (const level of ['info', 'warn', 'error'] as const) {
    vi.spyOn(console, level).mockImplementation((line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>))
  }
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

/** One audited route that answers, or is refused, as the test says. */
const asked = async (
  event: AuditedEvent,
  end: number | ExportErrorCode,
  method = 'GET',
  path = `/fhir/acme/jobs/${JOB}`,
  manifest = end === 200,
) => {
  const one = new Hono<App>()
  one.use(async (c, next) => {
    c.set('caller', { clientId: 'app', client: clientWith({}), scopes: [] })
    await next()
  })
  one.onError((_, c) => c.body(null, 400))
  one.on(['GET', 'DELETE'], ['/fhir/:source/jobs/:job', '/fhir/:source/jobs/:job/files/:file'], audited(event), (c) => {
    if (typeof end !== 'number') throw new ExportError(end, 'because')
    if (event === 'kickoff') noteForAudit(c, { jobId: 'noted', types: ['Patient'] })
    return event === 'manifest' && manifest
      ? c.body('{}', end as 200, { 'Content-Type': 'application/json' })
      : c.body(null, end as 200)
  })
  const response = await one.request(path, { method }, envOf({ LEDGERS }), context)
  return response
}
const settled = () => Promise.all(background)

/** Of a Worker that can issue tokens. */
const tokenEnv = (): Env =>
  envOf({
    TOKEN_SIGNING_KEYS: JSON.stringify({ keys: [signing.closed] }),
    CLIENT_APP: { clientId: 'app', jwks: { keys: [key.open] }, scopes: ['system/Patient.rs'], access: {} },
    LEDGERS,
  })

const askToken = async (parts: Readonly<Record<string, string>> = {}, bindings = tokenEnv()): Promise<Response> => {
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    scope: 'system/*.rs',
    client_assertion_type: CLIENT_ASSERTION_TYPE,
    client_assertion: await assertionBy(key),
    ...parts,
  })
  return app.request('/auth/token', { method: 'POST', body: form }, bindings, context)
}

const askOperator = (path: string, operatorToken: unknown, sent = OPERATOR_TOKEN): Promise<Response> =>
  Promise.resolve(
    app.request(
      path,
      { headers: { Authorization: `Bearer ${sent}` } },
      envOf({ LEDGERS, ...(operatorToken === undefined ? {} : { OPERATOR_TOKEN: operatorToken }) }),
      context,
    ),
  )

describe('what is recorded', () => {
  it.each<[AuditedEvent, number | ExportErrorCode, string, string | undefined]>([
    ['manifest', 200, 'GET', 'success'],
    ['manifest', 202, 'GET', undefined],
    ['manifest', 200, 'HEAD', undefined],
    ['manifest', 'polled_too_often', 'GET', undefined],
    ['manifest', 'vendor_job_failed', 'GET', undefined],
    ['manifest', 'job_not_found', 'GET', 'refused'],
    ['manifest', 'scope_insufficient', 'GET', 'refused'],
    ['file', 200, 'GET', 'success'],
    ['file', 206, 'GET', 'success'],
    ['file', 200, 'HEAD', undefined],
    ['file', 304, 'GET', undefined],
    ['file', 416, 'GET', undefined],
    ['file', 'not_acceptable', 'GET', undefined],
    ['file', 'vendor_file_unavailable', 'GET', undefined],
    ['file', 'job_not_found', 'HEAD', 'refused'],
    ['kickoff', 202, 'GET', 'success'],
    ['kickoff', 'parameter_invalid', 'GET', undefined],
    ['kickoff', 'source_not_found', 'GET', 'refused'],
    ['kickoff', 'vendor_rejected', 'GET', 'refused'],
    ['kickoff', 'kickoff_ambiguous', 'GET', 'failed'],
    ['delete', 202, 'DELETE', 'success'],
    ['delete', 'job_not_found', 'DELETE', 'refused'],
    ['delete', 'internal', 'DELETE', 'failed'],
    ['group-read', 200, 'GET', 'success'],
    ['group-read', 'group_not_found', 'GET', 'refused'],
  ])('%s that ends with %s by %s: %s', async (event, end, method, outcome) => {
    await asked(event, end, method)
    await settled()
    expect(records.map(({ ledger, record }) => [ledger, record.clientId, record.event, record.outcome])).toEqual(
      outcome === undefined ? [] : [['app', 'app', event, outcome]],
    )
    expect(touched).toHaveLength(records.length)
    if (typeof end !== 'number' && records[0]) expect(records[0].record.code).toBe(end)
  })

  it('what a path names when it looks like an id of ours, and what the route knows', async () => {
    await asked('file', 200, 'GET', `/fhir/acme/jobs/${JOB}/files/Patient.3.ndjson`)
    await asked('kickoff', 202)
    await settled()
    const [file, kickoff] = records.map(({ record }) => record)
    expect(file).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      event: 'file',
      clientId: 'app',
      outcome: 'success',
      sourceId: 'acme',
      jobId: JOB,
      fileName: 'Patient.3.ndjson',
    })
    expect(kickoff).toMatchObject({ jobId: 'noted', types: ['Patient'] })
  })

  it('never a text that a client put where an id stands', async () => {
    await asked('file', 'job_not_found', 'GET', '/fhir/John%20Doe%201970/jobs/John-Doe/files/John-Doe-1970.ndjson')
    await settled()
    expect(records).toHaveLength(1)
    expect(JSON.stringify(records)).not.toMatch(/John|Doe/)
  })
})

describe('a poll', () => {
  it.each([
    [200, false, 0],
    [202, true, 1],
  ])('that is answered %i, with a manifest: %s, is recorded %i times [ST-10, ST-13]', async (status, manifest, times) => {
    await asked('manifest', status, 'GET', undefined, manifest)
    await settled()
    expect(records).toHaveLength(times)
  })
})

describe('a record', () => {
  it.each<[AuditedEvent, number]>([
    ['manifest', 200],
    ['file', 200],
  ])('of a %s holds up no byte', async (event, status) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    gate = promise
    expect((await asked(event, status)).status).toBe(status)
    expect(records).toEqual([])
    resolve()
    await settled()
    expect(records).toHaveLength(1)
  })

  it.each<[AuditedEvent, string]>([
    ['kickoff', 'GET'],
    ['delete', 'DELETE'],
  ])('of a %s is there before the answer, and is written though the client hangs up', async (event, method) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    gate = promise
    let isAnswered = false
    const answer = asked(event, 202, method).then(() => {
      isAnswered = true
    })
    await vi.waitFor(() => expect(touched).toHaveLength(1))
    expect([isAnswered, background.length]).toEqual([false, 1])
    resolve()
    await answer
    expect(records).toHaveLength(1)
  })

  it('is sent again when the ledger was away for a moment, under the same id', async () => {
    failures = 1
    await asked('file', 200)
    await settled()
    expect([touched.length, records.length, lines.length]).toEqual([2, 1, 0])
  })

  it.each<[AuditedEvent, number, string]>([
    ['file', 200, 'GET'],
    ['kickoff', 202, 'GET'],
    ['delete', 202, 'DELETE'],
  ])('of a %s that cannot be written is an error in the log, and the answer stands', async (event, status, method) => {
    failures = 2
    expect((await asked(event, status, method)).status).toBe(status)
    await settled()
    const jobId = event === 'kickoff' ? 'noted' : JOB
    expect(lines).toEqual([{ level: 'error', event: 'audit.failed', code: event, sourceId: 'acme', jobId, error: 'Error' }])
  })
})

describe('the token endpoint', () => {
  it('records what it gives, with the granted scopes and nothing of the token', async () => {
    const response = await askToken()
    const { access_token: token } = (await response.json()) as { access_token: string }
    expect(records.map(({ ledger, record }) => ({ ledger, ...record, id: '' }))).toEqual([
      { ledger: 'app', id: '', event: 'token', clientId: 'app', outcome: 'success', scopes: ['system/Patient.rs'] },
    ])
    expect(JSON.stringify(records)).not.toContain(token.slice(-20))
  })

  it('gives out no token that could not be recorded', async () => {
    failures = 2
    const response = await askToken()
    expect(response.status).toBe(500)
    expect(await response.text()).not.toMatch(/access_token|canary|eyJ/)
    expect(lines).toEqual([{ level: 'error', event: 'audit.failed', code: 'token', error: 'Error' }])
  })

  it('records the refusal of a client that has proven who it is', async () => {
    expect((await askToken({ scope: 'system/Observation.rs' })).status).toBe(400)
    expect(records).toMatchObject([{ ledger: 'app', record: { event: 'token', outcome: 'refused', code: 'invalid_scope' } }])
  })

  it('touches no ledger for a stranger, and logs a code only [AU-07]', async () => {
    const strangers: Readonly<Record<string, string>>[] = [
      { client_assertion: tampered(await assertionBy(key)) },
      { client_assertion: await assertionBy(key, { claims: { iss: 'canary-client', sub: 'canary-client' } }) },
      { client_assertion: 'canary' },
      { client_id: 'canary-other' },
      { grant_type: 'password' },
    ]
    for (const parts of strangers) expect((await askToken(parts)).status).toBe(400)
    expect([touched, records]).toEqual([[], []])
    expect(lines).toEqual([
      ...strangers.slice(1).map(() => ({ level: 'warn', event: 'audit.token_refused', code: 'invalid_client' })),
      { level: 'warn', event: 'audit.token_refused', code: 'unsupported_grant_type' },
    ])
  })
})

describe('the operator’s route', () => {
  it.each([undefined, ''])('is not there where no operator is configured (%j)', async (secret) => {
    const answer = await askOperator('/operator/clients/app/audit', secret)
    const nowhere = await askOperator('/nowhere', secret)
    expect([answer.status, await answer.text()]).toEqual([404, await nowhere.text()])
    expect(touched).toEqual([])
  })

  it.each(['short', 'x'.repeat(31), `${'x'.repeat(40)} ${'y'.repeat(40)}`, 7_777_777])(
    'names a secret that will not do, here and in /health/ready, and shows nothing of it (%j)',
    async (secret) => {
      const answer = await askOperator('/operator/clients/app/audit', secret, String(secret))
      expect(answer.status).toBe(500)
      expect(await answer.text()).toContain('OPERATOR_TOKEN: must be 32')
      const { problems } = (await (await askOperator('/health/ready', secret)).json()) as { problems: string[] }
      expect(problems.filter((problem) => problem.startsWith('OPERATOR_TOKEN'))).toHaveLength(1)
      expect(problems.join()).not.toContain(String(secret).slice(0, 20))
      expect(touched).toEqual([])
    },
  )

  it('touches no ledger for who is no operator', async () => {
    for (const sent of ['', 'x'.repeat(32), OPERATOR_TOKEN.slice(1)]) {
      expect((await askOperator('/operator/clients/app/audit', OPERATOR_TOKEN, sent)).status).toBe(401)
    }
    expect(touched).toEqual([])
  })
})
