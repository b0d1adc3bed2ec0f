import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ExportJob } from '../../src/job/export-job.ts'
import { SCHEMA_VERSION } from '../../src/job/model.ts'
import rowsV1 from '../fixtures/rows/job-v1.json'
import rowsV2 from '../fixtures/rows/job-v2.json'
import { linesOf, objectAt, PART_BYTES, ServedFile, storedAs } from './collecting-support.ts'
import { alarmOf, Bench, manifestOf, namesIn, ring, stored, stubOf, type JobStub } from './job-support.ts'
import { EVERYTHING, bindings, holdTime, letGo, ndjson } from './support.ts'

/** Rows of past versions, as those versions wrote them; each must load for ever. */
const VERSIONS: readonly Rows[] = [rowsV1, rowsV2]
const FIXTURE_MS = 4_000_000_050_000
const SOURCE = { id: 'fixture', base: 'https://vendor.example/fhir', tokenUrl: '' }

type Row = Readonly<Record<string, string | number | null>>
type Stage = 'running' | 'collecting' | 'complete' | 'submitting'

/** The tables of one version, and what they held at four moments of an export's life. */
interface Rows {
  readonly schema: readonly string[]
  readonly rows: Readonly<
    Record<
      Stage,
      {
        readonly job: { readonly version: number; readonly body: { readonly nextMs: number; readonly request: string } }
        readonly file: readonly Row[]
        /** Since version 2. */
        readonly upload?: readonly Row[]
        readonly part?: readonly Row[]
      }
    >
  >
}

/** The file that version 2 had stored two parts of. */
const LARGE = (): ServedFile => new ServedFile(linesOf(2 * PART_BYTES + 500_000, 'a', 'Observation'))

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
  const { job: row, file, upload = [], part = [] } = rows[stage]
  await runInDurableObject<ExportJob, void>(job, async (_, { storage }) => {
    for (const statement of schema) storage.sql.exec(statement)
    storage.sql.exec('INSERT INTO job VALUES (1, ?, ?)', version ?? row.version, JSON.stringify(row.body))
    for (const [table, lines] of Object.entries({ file, upload, part })) {
      for (const one of lines) {
        const marks = Object.keys(one).map(() => '?')
        storage.sql.exec(`INSERT INTO ${table} (${Object.keys(one).join()}) VALUES (${marks.join()})`, ...Object.values(one))
      }
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
    const large = bench.file('large')
    bench.vendor.on(`GET ${large}`, (request) => LARGE().answer(request))
    for (let turn = 0; turn < 5 && (await bench.kind(job)) === 'in-progress'; turn++) await ring(job)
    const missing = rows.rows.collecting.file.filter(({ state }) => state === 'pending')
    expect((await manifestOf(bench, job)).output.slice(0, 2)).toMatchObject([
      { type: 'Patient', count: 2 },
      { type: 'Observation', count: 3 },
    ])
    expect((await manifestOf(bench, job)).output).toHaveLength(1 + missing.length)
    expect([...new Set(bench.vendor.requests)].toSorted()).toEqual(missing.map(({ url }) => `GET ${url}`).toSorted())
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

it('rows of an upload that was half done are taken up behind its last part', async () => {
  const bytes = linesOf(2 * PART_BYTES + 500_000, 'a', 'Observation')
  // R2 names uploads and parts as it likes.
  const upload = await bindings.FILES.createMultipartUpload('jobs/fixture-job/3')
  const etags: string[] = []
  for (const n of [1, 2]) {
    const { etag } = await upload.uploadPart(n, bytes.slice((n - 1) * PART_BYTES, n * PART_BYTES))
    etags.push(etag)
  }
  const { collecting } = rowsV2.rows
  const named: Rows = {
    ...rowsV2,
    rows: {
      ...rowsV2.rows,
      collecting: {
        ...collecting,
        upload: collecting.upload.map((one) => ({ ...one, id: upload.uploadId })),
        part: collecting.part.map((one, index) => ({ ...one, etag: etags[index] ?? '' })),
      },
    },
  }
  const job = await withRows(named, 'collecting')
  bench.file('o', ndjson('Observation', 3))
  const large = LARGE()
  const url = bench.file('large')
  bench.vendor.on(`GET ${url}`, (request) => large.answer(request))
  await ring(job)
  const wanted = await storedAs(bytes)
  expect((await manifestOf(bench, job)).output[2]).toMatchObject({ type: 'Observation', count: wanted.lines })
  expect(await objectAt('jobs/fixture-job/3')).toEqual({ bytes: wanted.bytes, sha256: wanted.sha256 })
  expect(large.asked).toEqual([{ range: `bytes=${2 * PART_BYTES}-`, ifRange: '"v1"' }])
})

it('a file of several types that version 1 had yet to read is parted, as any other [N-22]', async () => {
  const job = await withRows(rowsV1, 'collecting')
  bench.file('o', ndjson('Observation', 3) + ndjson('Patient', 1))
  for (let turn = 0; turn < 9 && (await bench.kind(job)) === 'in-progress'; turn++) await ring(job)
  expect((await manifestOf(bench, job)).output).toMatchObject([
    { type: 'Patient', count: 2 },
    { type: 'Observation', count: 3 },
    { type: 'Patient', count: 1 },
  ])
})

it('rows of a later version are left alone', async () => {
  const job = await withRows(rowsV1, 'running', SCHEMA_VERSION + 1)
  await expect(bench.view(job)).rejects.toThrow(`version ${SCHEMA_VERSION + 1}`)
  await expect(stored(job)).rejects.toThrow(`version ${SCHEMA_VERSION + 1}`)
  await expect(alarmOf(job)).rejects.toThrow(`version ${SCHEMA_VERSION + 1}`)
})
