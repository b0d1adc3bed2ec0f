import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { vi } from 'vitest'
import type { ExportJob } from '../../src/job/export-job.ts'
import type { JobRequest } from '../../src/job/model.ts'
import { EVERYTHING, addSource, bindings, FakeVendor, ndjson, type TestSource } from './support.ts'

let jobs = 0

export type JobStub = DurableObjectStub<ExportJob>
type Answer = () => Response

export interface Entry {
  readonly type?: string
  readonly url?: string
  readonly count?: number
}

/** One source, its fake vendor, and what exports of it look like. */
export class Bench {
  readonly vendor = new FakeVendor()
  readonly source: TestSource
  readonly kickoff: string
  readonly statusUrl: string
  readonly status: string

  constructor(source: TestSource) {
    this.source = source
    this.kickoff = `GET ${source.base}/Patient/$export`
    this.statusUrl = `${source.base}/jobs/1`
    this.status = `GET ${this.statusUrl}`
    this.vendor.on(this.kickoff, this.accepted())
    this.vendor.on(`DELETE ${this.statusUrl}`, () => new Response(null, { status: 202 }))
  }

  static withSource(parts: Readonly<Record<string, unknown>> = {}): Bench {
    return new Bench(addSource(parts))
  }

  accepted(headers: Readonly<Record<string, string>> = {}): Answer {
    return () => new Response(null, { status: 202, headers: { 'Content-Location': this.statusUrl, ...headers } })
  }

  running(progress: string): Answer {
    return () => new Response(null, { status: 202, headers: { 'X-Progress': progress } })
  }

  /** Where the vendor has a file; with its answer when there is one. */
  file(name: string, text?: string): string {
    const url = `${this.source.base}/files/${name}`
    if (text !== undefined) this.vendor.on(`GET ${url}`, () => new Response(text))
    return url
  }

  manifest(output: readonly Entry[], more: Readonly<Record<string, unknown>> = {}, headers: Record<string, string> = {}): Answer {
    const transactionTime = new Date(Date.now() - 5_000).toISOString()
    const body = { transactionTime, request: 'theirs', requiresAccessToken: true, output, error: [], ...more }
    return () => Response.json(body, { headers })
  }

  /** Two patients and one observation, in a file each. */
  small(): Answer {
    return this.manifest([
      { type: 'Patient', url: this.file('p', ndjson('Patient', 2)) },
      { type: 'Observation', url: this.file('o', ndjson('Observation', 1)) },
    ])
  }

  request(parts: Partial<JobRequest> = {}): JobRequest {
    return {
      jobId: `job-${(jobs += 1)}`,
      clientId: 'app',
      sourceId: this.source.id,
      level: 'patient',
      params: { type: [], elements: [], typeFilter: [], patient: [], includeAssociatedData: [] },
      request: `https://bulkhead.example/fhir/${this.source.id}/Patient/$export`,
      notes: [],
      ...parts,
    }
  }

  /** Starts an export and answers whatever it was answered. */
  async start(parts: Partial<JobRequest> = {}) {
    const request = this.request(parts)
    const job = stubOf(request.jobId)
    return { job, jobId: request.jobId, clientId: request.clientId, answer: await job.start(request) }
  }

  /** Starts an export and rings until it is complete. */
  async complete(parts: Partial<JobRequest> = {}) {
    const started = await this.start(parts)
    for (let turn = 0; turn < 40 && (await this.kind(started.job, started.clientId)) === 'in-progress'; turn++)
      await ring(started.job)
    return started
  }

  async view(job: JobStub, clientId = 'app') {
    return job.view({ clientId: clientId, sourceId: this.source.id, scopes: EVERYTHING })
  }

  /** How the export stands. A manifest that nobody reads would keep the object from being evicted. */
  async kind(job: JobStub, clientId = 'app'): Promise<string> {
    const view = await this.view(job, clientId)
    if (view.kind === 'complete') await view.manifest.cancel()
    return view.kind
  }
}

export const stubOf = (jobId: string): JobStub => bindings.JOBS.get(bindings.JOBS.idFromName(jobId))

export interface OurManifest {
  readonly transactionTime: string
  readonly request: string
  readonly output: readonly { readonly type: string; readonly url: string; readonly count?: number }[]
  readonly deleted: OurManifest['output']
  readonly error: OurManifest['output']
}

/** The manifest of a finished export. */
export const manifestOf = async (bench: Bench, job: JobStub, clientId = 'app'): Promise<OurManifest> => {
  const view = await bench.view(job, clientId)
  if (view.kind !== 'complete') throw new Error(`the job is not complete: ${JSON.stringify(view)}`)
  return new Response(view.manifest).json<OurManifest>()
}

/** Names of the files in a list of the manifest. */
export const namesIn = (list: OurManifest['output']): string[] => list.map(({ url }) => url.slice(url.lastIndexOf('/') + 1))

export const alarmOf = async (job: JobStub): Promise<number | null> =>
  runInDurableObject<ExportJob, number | null>(job, async (_, { storage }) => storage.getAlarm())

/** Lets the time of the job's alarm come, and the alarm ring. */
export const ring = async (job: JobStub): Promise<void> => {
  const atMs = await alarmOf(job)
  if (atMs !== null) vi.setSystemTime(Math.max(Date.now(), atMs))
  await runDurableObjectAlarm(job)
}

/** Rings until `wanted` holds. */
export const ringUntil = async (job: JobStub, wanted: () => boolean | Promise<boolean>): Promise<void> => {
  for (let turn = 0; turn < 60; turn++) {
    if (await wanted()) return
    await ring(job)
  }
  throw new Error('the job never came to it')
}

/** Waits for the work that a call has left behind. */
export const settled = async (job: JobStub): Promise<void> =>
  runInDurableObject<ExportJob, void>(job, async (instance) => instance.alarm())

/** Everything that the job's object has stored, as text. */
export const stored = async (job: JobStub): Promise<string> =>
  runInDurableObject<ExportJob, string>(job, async (_, { storage }) => {
    const { sql } = storage
    const tables = sql.exec<{ name: string }>(`SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('job', 'file')`)
    const rows = tables.toArray().map(({ name }) => [name, sql.exec(`SELECT * FROM ${name}`).toArray()])
    return rows.length === 0 ? '' : JSON.stringify([rows, await storage.getAlarm()])
  })

/** Ends the life of a job's object in the middle of whatever it does. What held it is broken off; ask for it anew. */
export const crash = async (job: JobStub): Promise<void> =>
  runInDurableObject<ExportJob, void>(job, (_, state) => state.abort('crash')).catch(() => undefined)

/** Objects of a job that rest in R2. */
export const objectsOf = async (jobId: string): Promise<string[]> =>
  (await bindings.FILES.list({ prefix: `jobs/${jobId}/` })).objects.map(({ key }) => key)
