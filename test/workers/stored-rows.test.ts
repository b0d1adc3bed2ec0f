import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ExportJob } from '../../src/job/export-job.ts'
import { SCHEMA_VERSION } from '../../src/job/model.ts'
import rowsV1 from '../fixtures/rows/job-v1.json'
import { alarmOf, Bench, manifestOf, namesIn, ring, stored, stubOf, type JobStub } from './job-support.ts'
import { EVERYTHING, bindings, holdTime, letGo, ndjson } from './support.ts'

/** Rows of past versions, as those versions wrote them; each must load for ever. */
const VERSIONS = [rowsV1]
const FIXTURE_MS = 4_000_000_050_000
const SOURCE = { id: 'fixture', base: 'https://vendor.example/fhir', tokenUrl: '' }

type Rows = typeof rowsV1
type Stage = keyof Rows['rows']

let bench: Bench
let jobs = 0

beforeEach(() => {
  holdTime()
  vi.setSystemTime(FIXTURE_MS)
  Object.assign(bindings, {
    VENDOR_SECRET: 'vendor-token',
    SOURCE_FIXTURE: { adapter: 'generic', fhirBase: SOURCE.base, credential: { kind: 'bearer', secret: 'VENDOR_SECRET' } },
  })
  bench = new Bench(SOURCE)
})
afterEach(() => {
  letGo()
  bench.vendor.verify()
})

/** An object that finds these rows when it next comes to life. */
const withRows = async ({ schema, rows }: Rows, stage: Stage, version?: number): Promise<JobStub> => {
  const job = stubOf(`stored-${(jobs += 1)}`)
  const { job: row, file } = rows[stage]
  await runInDurableObject<ExportJob, void>(job, async (_, { storage }) => {
    for (const statement of schema) storage.sql.exec(statement)
    storage.sql.exec('INSERT INTO job VALUES (1, ?, ?)', version ?? row.version, JSON.stringify(row.body))
    for (const one of file) {
      const marks = Object.keys(one).map(() => '?')
      storage.sql.exec(`INSERT INTO file (${Object.keys(one).join()}) VALUES (${marks.join()})`, ...Object.values(one))
    }
    await storage.setAlarm(row.body.nextMs)
  })
  await evictDurableObject(job)
  return job
}

describe.each(VERSIONS)('rows of version $rows.running.job.version', (rows) => {
  it('of a running export are taken up: the vendor job is asked, and no kick-off sent', async () => {
    const job = await withRows(rows, 'running')
    expect(await bench.view(job)).toEqual({ kind: 'in-progress', progress: '20% complete', retryAfterSeconds: 5 })
    bench.vendor.on(bench.status, bench.small())
    await ring(job)
    expect(await bench.kind(job)).toBe('complete')
    expect(bench.vendor.requests[0]).toBe(bench.status)
  })

  it('of an export whose files are coming are taken up: only what is missing is fetched', async () => {
    const job = await withRows(rows, 'collecting')
    bench.file('o', ndjson('Observation', 3))
    await ring(job)
    expect((await manifestOf(bench, job)).output).toMatchObject([
      { type: 'Patient', count: 2 },
      { type: 'Observation', count: 3 },
    ])
    expect(bench.vendor.requests).toEqual(['GET https://vendor.example/fhir/files/o'])
  })

  it('of a finished export give the same manifest and files', async () => {
    const job = await withRows(rows, 'complete')
    const manifest = await manifestOf(bench, job)
    expect(manifest).toMatchObject({
      transactionTime: '2096-10-02T07:06:35.000Z',
      request: rows.rows.complete.job.body.request,
      output: [{ type: 'Patient', count: 2 }],
      error: [{ type: 'OperationOutcome', count: 2 }],
    })
    const [patients] = rows.rows.complete.file
    expect(await job.file({ clientId: 'app', sourceId: 'fixture', scopes: EVERYTHING }, 'Patient.1.ndjson')).toMatchObject({
      kind: 'stored',
      sha256: patients?.sha256,
    })
    expect(
      await job.file({ clientId: 'app', sourceId: 'fixture', scopes: EVERYTHING }, namesIn(manifest.error)[0] ?? ''),
    ).toMatchObject({ kind: 'text' })
  })

  it('of a kick-off whose answer was never stored fail as ambiguous, and nothing is sent [N-06]', async () => {
    const job = await withRows(rows, 'submitting')
    await ring(job)
    expect(await bench.view(job)).toMatchObject({ kind: 'failed', code: 'kickoff_ambiguous' })
    expect(bench.vendor.requests).toEqual([])
  })
})

it('rows of a later version are left alone', async () => {
  const job = await withRows(rowsV1, 'running', SCHEMA_VERSION + 1)
  await expect(bench.view(job)).rejects.toThrow(`version ${SCHEMA_VERSION + 1}`)
  await expect(stored(job)).rejects.toThrow(`version ${SCHEMA_VERSION + 1}`)
  await expect(alarmOf(job)).rejects.toThrow(`version ${SCHEMA_VERSION + 1}`)
})
