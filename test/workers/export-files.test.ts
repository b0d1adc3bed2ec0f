import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Bench, manifestOf, namesIn, objectsOf, type Entry, type OurManifest } from './job-support.ts'
import { EVERYTHING, addTokenSource, bindings, holdTime, letGo, ndjson } from './support.ts'

let bench: Bench

beforeEach(() => {
  holdTime()
  bench = Bench.withSource()
})
afterEach(() => {
  letGo()
  bench.vendor.verify()
})

const page = (url: string) => ({ link: [{ relation: 'next', url }] })
const fresh = () => new Response('', { status: 404 })
const isLine = (line: string): boolean => line !== ''

/** The export with these files, finished. */
const exportOf = async (output: readonly Entry[], types?: readonly string[]) => {
  bench.vendor.on(bench.status, bench.manifest(output))
  const started = await bench.complete(types ? { types } : {})
  return { ...started, manifest: await manifestOf(bench, started.job) }
}

/** What an `error` file of ours says, a text per line. */
const outcomesIn = async (job: Awaited<ReturnType<Bench['start']>>['job'], manifest: OurManifest): Promise<string[]> => {
  const texts: string[] = []
  for (const name of namesIn(manifest.error)) {
    const file = await job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, name)
    if (file.kind !== 'text') throw new Error(`${name} is ${file.kind}`)
    for (const line of file.text.split('\n').filter(isLine)) {
      const outcome = JSON.parse(line) as { resourceType: string; issue: { diagnostics: string }[] }
      texts.push(`${outcome.resourceType}: ${outcome.issue.map(({ diagnostics }) => diagnostics).join()}`)
    }
  }
  return texts
}

describe('the vendor’s manifest', () => {
  it('is followed page by page, and all of it is in ours [N-23]', async () => {
    const second = `${bench.source.base}/jobs/1/2`
    const third = `${bench.source.base}/jobs/1/3`
    const file = (name: string) => [{ type: 'Patient', url: bench.file(name, ndjson('Patient', 1)) }]
    bench.vendor.on(bench.status, bench.manifest(file('a'), page(second)))
    bench.vendor.on(`GET ${second}`, bench.manifest(file('b'), page(third)))
    bench.vendor.on(`GET ${third}`, bench.manifest(file('c')))
    const { job } = await bench.complete()
    const manifest = await manifestOf(bench, job)
    expect(namesIn(manifest.output)).toEqual(['Patient.1.ndjson', 'Patient.2.ndjson', 'Patient.3.ndjson'])
    expect(manifest).not.toHaveProperty('link')
  })

  it('whose page cannot be read now is read again from the first, and no file is listed twice [N-23]', async () => {
    const second = `${bench.source.base}/jobs/1/2`
    bench.vendor.on(bench.status, bench.manifest([{ type: 'Patient', url: bench.file('a', ndjson('Patient', 1)) }], page(second)))
    const last = bench.manifest([{ type: 'Patient', url: bench.file('b', ndjson('Patient', 1)) }])
    bench.vendor.on(`GET ${second}`, () => new Response('', { status: 503 }), last)
    const { job } = await bench.complete()
    expect(namesIn((await manifestOf(bench, job)).output)).toEqual(['Patient.1.ndjson', 'Patient.2.ndjson'])
    expect(bench.vendor.count(bench.status)).toBe(2)
  })

  it('may list files outside the client’s right: they are not even fetched [KO-14]', async () => {
    const { manifest, jobId } = await exportOf(
      [
        { type: 'Patient', url: bench.file('p', ndjson('Patient', 1)) },
        { type: 'Observation', url: bench.file('forbidden') },
      ],
      ['Patient'],
    )
    expect(namesIn(manifest.output)).toEqual(['Patient.1.ndjson'])
    expect(bench.vendor.count(`GET ${bench.file('forbidden')}`)).toBe(0)
    expect(await objectsOf(jobId)).toHaveLength(1)
  })

  it('may name no type: the first line tells, and is held to the client’s right all the same [N-22, KO-14]', async () => {
    const { job, manifest } = await exportOf(
      [{ url: bench.file('1', ndjson('Patient', 1)) }, { url: bench.file('2', ndjson('Observation', 1)) }],
      ['Patient'],
    )
    expect(namesIn(manifest.output)).toEqual(['Patient.1.ndjson'])
    expect(await job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, 'Observation.2.ndjson')).toEqual({
      kind: 'absent',
    })
  })

  it('may list files without a line: they are not in ours, and not missing either [MF-07]', async () => {
    const { manifest } = await exportOf([
      { type: 'Patient', url: bench.file('p', '') },
      { type: 'Observation', url: bench.file('o', ndjson('Observation', 1)) },
    ])
    expect(namesIn(manifest.output)).toEqual(['Observation.2.ndjson'])
    expect(manifest.error).toEqual([])
  })

  it('keeps its outcomes and deletions apart from its output [MF-11, MF-15]', async () => {
    const deletion = { resourceType: 'Bundle', type: 'transaction', entry: [{ request: { method: 'DELETE', url: 'Patient/1' } }] }
    bench.vendor.on(
      bench.status,
      bench.manifest([{ type: 'OperationOutcome', url: bench.file('oo', ndjson('OperationOutcome', 1)) }], {
        deleted: [{ type: 'Bundle', url: bench.file('del', `${JSON.stringify(deletion)}\n`) }],
      }),
    )
    const { job } = await bench.complete()
    const manifest = await manifestOf(bench, job)
    expect(manifest.output).toEqual([])
    expect(manifest.deleted).toMatchObject([{ type: 'Bundle', count: 1 }])
    expect(manifest.error).toMatchObject([{ type: 'OperationOutcome', count: 1 }])
  })
})

describe('a file that cannot be had', () => {
  it('is reported in `error`, and the rest is delivered [ST-09]', async () => {
    const broken = bench.file('broken')
    bench.vendor.on(`GET ${broken}`, () => new Response('no', { status: 500 }))
    const { job, manifest } = await exportOf([
      { type: 'Patient', url: bench.file('p', ndjson('Patient', 2)) },
      { type: 'Observation', url: broken },
    ])
    expect(namesIn(manifest.output)).toEqual(['Patient.1.ndjson'])
    expect(manifest.error).toMatchObject([{ type: 'OperationOutcome', count: 1 }])
    expect(await outcomesIn(job, manifest)).toEqual([expect.stringMatching(/^OperationOutcome: A Observation file .*number 2/)])
  })

  it.each([
    ['a login page', '<!DOCTYPE html><title>Log in</title>'],
    ['another type', ndjson('Condition', 1)],
  ])('because it is %s is never delivered [N-09, ST-09]', async (_, text) => {
    const { job, manifest } = await exportOf([
      { type: 'Patient', url: bench.file('p', ndjson('Patient', 2)) },
      { type: 'Observation', url: bench.file('wrong', text) },
    ])
    expect(namesIn(manifest.output)).toEqual(['Patient.1.ndjson'])
    expect(await outcomesIn(job, manifest)).toHaveLength(1)
    expect(await job.file({ clientId: 'app', sourceId: bench.source.id, scopes: EVERYTHING }, 'Observation.2.ndjson')).toEqual({
      kind: 'absent',
    })
  })

  it('because its URL lies on a host that nobody trusts is not asked for, and reported [N-26]', async () => {
    const { job, manifest } = await exportOf([
      { type: 'Patient', url: bench.file('p', ndjson('Patient', 2)) },
      { type: 'Observation', url: 'https://elsewhere.example/o' },
    ])
    expect(namesIn(manifest.output)).toEqual(['Patient.1.ndjson'])
    expect(await outcomesIn(job, manifest)).toHaveLength(1)
  })

  it('at first is tried again [N-28]', async () => {
    const late = bench.file('late')
    bench.vendor.on(`GET ${late}`, fresh, fresh, () => new Response(ndjson('Patient', 3)))
    const { manifest } = await exportOf([{ type: 'Patient', url: late }])
    expect(manifest.output).toMatchObject([{ count: 3 }])
    expect(manifest.error).toEqual([])
  })

  it('fails the export when no other could be had either [ST-05]', async () => {
    const broken = bench.file('broken')
    bench.vendor.on(`GET ${broken}`, () => new Response('no', { status: 500 }))
    bench.vendor.on(bench.status, bench.manifest([{ type: 'Patient', url: broken }]))
    const { job } = await bench.complete()
    expect(await bench.view(job)).toMatchObject({ kind: 'failed', code: 'files_unavailable' })
  })
})

it('what a lenient kick-off left out is told in `error`, one outcome each [MF-22]', async () => {
  bench.vendor.on(bench.status, bench.small())
  const notes = ['_elements', 'organizeOutputBy'].map((name) => ({
    severity: 'warning' as const,
    code: 'not-supported' as const,
    diagnostics: `${name} was left out`,
  }))
  const { job } = await bench.complete({ notes })
  const manifest = await manifestOf(bench, job)
  expect(manifest.error).toMatchObject([{ type: 'OperationOutcome', count: 2 }])
  expect(await outcomesIn(job, manifest)).toEqual([
    'OperationOutcome: _elements was left out',
    'OperationOutcome: organizeOutputBy was left out',
  ])
})

describe('a URL that ran out', () => {
  it('is signed anew by one more reading of the status, for all files together [N-25]', async () => {
    const names = ['a', 'b', 'c'] as const
    const signed = (mark: string) => names.map((name) => ({ type: 'Patient', url: `${bench.file(name)}?sig=${mark}` }))
    for (const { url } of signed('old')) bench.vendor.on(`GET ${url}`, () => new Response('expired', { status: 403 }))
    for (const [index, { url }] of signed('new').entries())
      bench.vendor.on(`GET ${url}`, () => new Response(ndjson('Patient', index + 1)))
    bench.vendor.on(bench.status, bench.manifest(signed('old')), bench.manifest(signed('new')))
    const { job } = await bench.complete()
    expect((await manifestOf(bench, job)).output.map(({ count }) => count)).toEqual([1, 2, 3])
    expect(bench.vendor.count(bench.status)).toBe(2)
  })
})

describe('the vendor’s token', () => {
  it('that dies between two files is renewed once, and nothing is lost [N-12]', async () => {
    bench = new Bench(addTokenSource())
    let tokens = 0
    bench.vendor.on(`POST ${bench.source.tokenUrl}`, () => {
      tokens += 1
      return Response.json({ access_token: `t${tokens}`, expires_in: 3_600 })
    })
    const guarded = (name: string) => {
      const url = bench.file(name)
      bench.vendor.on(`GET ${url}`, (request) =>
        request.headers.get('Authorization') === 'Bearer t2'
          ? new Response(ndjson('Patient', 1))
          : new Response('', { status: 401 }),
      )
      return { type: 'Patient', url }
    }
    const { manifest } = await exportOf(['a', 'b', 'c', 'd'].map(guarded))
    expect(manifest.output).toHaveLength(4)
    expect(tokens).toBe(2)
  })
})

describe('a source that wants its files deleted at the vendor', () => {
  it('has them deleted once we hold them all, and the export stays whole [N-32]', async () => {
    bench = Bench.withSource({ deleteAfterCollecting: true })
    bench.vendor.on(bench.status, bench.small())
    const { job, jobId } = await bench.complete()
    expect(bench.vendor.count(`DELETE ${bench.statusUrl}`)).toBe(1)
    expect(namesIn((await manifestOf(bench, job)).output)).toHaveLength(2)
    expect(await bindings.FILES.head(`jobs/${jobId}/2`)).not.toBeNull()
  })
})
