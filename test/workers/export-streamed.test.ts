import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Bench, manifestOf, objectsOf, ring, settled, stored, type Entry } from './job-support.ts'
import { EVERYTHING, holdTime, letGo, ndjson } from './support.ts'

let bench: Bench

beforeEach(() => {
  holdTime()
})
afterEach(() => {
  letGo()
  bench.vendor.verify()
})

/** The export with these files, finished. */
const exportOf = async (output: readonly Entry[]) => {
  bench.vendor.on(bench.status, bench.manifest(output))
  const started = await bench.complete()
  return { ...started, manifest: await manifestOf(bench, started.job) }
}

describe('with retention none', () => {
  const CONTENT = ndjson('Patient', 2)
  beforeEach(() => {
    bench = Bench.withSource({ retention: 'none' })
  })

  it('files stay at the vendor and nothing rests with us', async () => {
    const url = bench.file('p', CONTENT)
    const { job, jobId, manifest } = await exportOf([{ type: 'Patient', url }])
    expect(manifest.output).toEqual([
      { type: 'Patient', url: `https://bulkhead.example/fhir/${bench.source.id}/jobs/${jobId}/files/Patient.1.ndjson` },
    ])
    expect(await job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, 'Patient.1.ndjson')).toMatchObject({
      kind: 'vendor',
      type: 'Patient',
      url,
      fileKind: 'output',
    })
    expect(bench.vendor.count(`GET ${url}`)).toBe(0)
    expect(await objectsOf(jobId)).toEqual([])
  })

  it('a URL that ran out is signed anew when a file is asked for again [N-25]', async () => {
    const url = bench.file('p')
    const signed = (mark: string) => bench.manifest([{ type: 'Patient', url: `${url}?sig=${mark}` }])
    bench.vendor.on(bench.status, signed('old'), signed('new'))
    const { job } = await bench.complete()
    // The vendor is not asked for its status sooner than it may be.
    vi.setSystemTime(Date.now() + 5_000)
    expect(
      await job.freshFile({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, 'Patient.1.ndjson'),
    ).toMatchObject({
      kind: 'vendor',
      url: `${url}?sig=new`,
    })
    expect(await job.freshFile({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, 'Patient.2.ndjson')).toEqual({
      kind: 'absent',
    })
    expect(bench.vendor.count(bench.status)).toBe(2)
  })

  it('the export lasts as long as the vendor says [N-34]', async () => {
    const expiresMs = Math.floor(Date.now() / 1_000) * 1_000 + 3_600_000
    bench.vendor.on(bench.status, bench.manifest([], {}, { Expires: new Date(expiresMs).toUTCString() }))
    const { job } = await bench.complete()
    const view = await bench.view(job)
    expect(view).toMatchObject({ kind: 'complete', expiresMs })
  })

  it('DELETE tells the vendor, which holds the files, once downloads that had begun are over [DL-04, N-31]', async () => {
    const { job } = await exportOf([{ type: 'Patient', url: bench.file('p') }])
    await job.delete({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING })
    expect(await bench.view(job)).toEqual({ kind: 'absent' })
    await settled(job)
    expect(bench.vendor.count(`DELETE ${bench.statusUrl}`)).toBe(0)
    await ring(job)
    expect(bench.vendor.count(`DELETE ${bench.statusUrl}`)).toBe(1)
    expect(await stored(job)).toBe('')
  })
})
