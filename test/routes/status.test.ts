import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { ExportError, wireOf } from '../../src/errors.ts'
import { issueOf, operationOutcome } from '../../src/fhir/operation-outcome.ts'
import { shortened, type StatusAnswer } from '../../src/job/answers.ts'
import type { App } from '../../src/routes/context.ts'
import { status } from '../../src/routes/status.ts'

const JOB = '00000000-0000-4000-8000-000000000000'
const EXPIRES_MS = Date.UTC(2026, 0, 1)
const SEPARATE = { isSeparate: true } as const
const WAITING = { 'x-progress': '20% complete', 'retry-after': '7' }
const inProgress = { kind: 'in-progress', progress: '20% complete', retryAfterSeconds: 7 } as const
const failed = { kind: 'failed', code: 'vendor_job_failed', diagnostics: 'It failed.' } as const
const manifest = (): ReadableStream<Uint8Array> => new Blob(['{}']).stream()
const complete = { kind: 'complete', expiresMs: EXPIRES_MS } as const
const EXPIRES = { expires: 'Thu, 01 Jan 2026 00:00:00 GMT' }
const JSON_TYPE = { 'content-type': 'application/json' }
const FHIR_TYPE = { 'content-type': 'application/fhir+json' }

/** A status request of a job that answers so, and the page that the job was asked for. */
const poll = async (answer: StatusAnswer, query = ''): Promise<{ response: Response; page: number | undefined }> => {
  let page: number | undefined
  const job = {
    poll: async (_client: string, _source: string, _scope: string, asked: number) => {
      page = asked
      return shortened(answer)
    },
  }
  const app = new Hono<App>()
  app.use(async (c, next) => {
    c.set('caller', {
      clientId: 'app',
      scopes: [],
      client: { clientId: 'app', scopes: [], access: { acme: { groups: [], levels: [] } } },
    })
    await next()
  })
  app.get('/fhir/:source/jobs/:job', status)
  app.onError((error, c) => {
    if (!(error instanceof ExportError)) throw error
    return c.json(operationOutcome([issueOf(error)]), wireOf(error.code).status, FHIR_TYPE)
  })
  const SOURCE_ACME = {
    adapter: 'generic',
    fhirBase: 'https://vendor.example/fhir',
    credential: { kind: 'bearer', secret: 'S' },
  }
  const bindings = { PUBLIC_BASE: 'https://bulkhead.example', SOURCE_ACME, JOBS: { idFromName: () => '', get: () => job } }
  return { response: await app.request(`/fhir/acme/jobs/${JOB}${query}`, {}, bindings), page }
}

/** Looked at where all answers are. */
const OF_EVERY_ANSWER = [
  'cache-control',
  'content-security-policy',
  'referrer-policy',
  'strict-transport-security',
  'x-content-type-options',
]

describe('the answer to a poll', () => {
  it.each<[StatusAnswer, number, Record<string, string>, string]>([
    [inProgress, 202, WAITING, ''],
    [{ ...inProgress, manifest: manifest() }, 202, { ...WAITING, ...JSON_TYPE }, '{}'],
    [{ ...complete, manifest: manifest() }, 200, { ...EXPIRES, ...JSON_TYPE }, '{}'],
    [failed, 500, FHIR_TYPE, 'It failed.'],
    // Told apart
    [{ ...inProgress, ...SEPARATE }, 200, { ...WAITING, 'x-export-status': '202 Accepted' }, ''],
    [
      { ...inProgress, ...SEPARATE, manifest: manifest() },
      200,
      { ...WAITING, ...JSON_TYPE, 'x-export-status': '202 Accepted' },
      '{}',
    ],
    [{ ...complete, ...SEPARATE, manifest: manifest() }, 200, { ...EXPIRES, ...JSON_TYPE, 'x-export-status': '200 OK' }, '{}'],
    [{ ...failed, ...SEPARATE }, 200, { ...FHIR_TYPE, 'x-export-status': '500 Internal Server Error' }, 'It failed.'],
    [
      { ...failed, ...SEPARATE, code: 'vendor_rejected' },
      200,
      { ...FHIR_TYPE, 'x-export-status': '400 Bad Request' },
      'It failed.',
    ],
    // About the poll, whoever asks
    [{ kind: 'absent' }, 404, FHIR_TYPE, 'no such export'],
    [{ kind: 'no-page' }, 404, FHIR_TYPE, 'no such page'],
    [{ kind: 'forbidden' }, 403, FHIR_TYPE, 'token'],
    [{ kind: 'too-often', retryAfterSeconds: 3 }, 429, FHIR_TYPE, 'too often'],
  ])('%j is HTTP %d with %j [KO-10, ST-01, ST-05, ST-10, ST-11, ST-13]', async (answer, code, headers, body) => {
    const { response } = await poll(answer)
    expect(response.status).toBe(code)
    const own = [...response.headers].filter(([name]) => !OF_EVERY_ANSWER.includes(name))
    expect(Object.fromEntries(own)).toEqual(headers)
    const text = await response.text()
    if (body === '') expect(text).toBe('')
    else expect(text).toContain(body)
  })

  it.each([
    ['', 1],
    ['?page=1', 1],
    ['?page=2', 2],
    ['?page=999999999', 999_999_999],
    ['?_format=json', 1],
    ['?page=0', undefined],
    ['?page=', undefined],
    ['?page=-1', undefined],
    ['?page=1.0', undefined],
    ['?page=02', undefined],
    ['?page=%31%30', 10],
    ['?page=9999999999', undefined],
    ['?page=<script>', undefined],
  ])('with the query %j is about page %s of the manifest', async (query, expected) => {
    const { response, page } = await poll(inProgress, query)
    expect(page).toBe(expected)
    expect(response.status).toBe(expected === undefined ? 404 : 202)
    // What was asked for is not repeated.
    expect(await response.text()).not.toContain('script')
  })
})
