import { runInDurableObject } from 'cloudflare:test'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { parseManifest } from '../../src/fhir/manifest.ts'
import type { ExportJob } from '../../src/job/export-job.ts'
import { FileRows, type FileState } from '../../src/job/file-rows.ts'
import { Continuations } from '../../src/job/manifest-continues.ts'
import { ManifestPages } from '../../src/job/manifest-pages.ts'
import type { Job } from '../../src/job/model.ts'
import { createTables } from '../../src/job/schema.ts'
import { jobIn } from '../job/support.ts'
import { stubOf, type OurManifest } from './job-support.ts'

/* Pages of any manifest, out of rows that came in any order. */

const BASE = 'https://bulkhead.example'
type Page = OurManifest & { readonly link?: readonly { readonly url: string }[]; readonly outputOrganizedBy?: string }

/** A file that becomes known at the start and is settled later, in an order of its own. */
interface Planned {
  readonly kind: 'output' | 'deleted' | 'error'
  readonly state: FileState
  readonly isStored: boolean
  /** Which of the other files its last block goes on in. */
  readonly continues: number | null
  readonly settledAt: number
  /** Whether a client asks for the status right after it is settled. */
  readonly isAsked: boolean
}

const planned: fc.Arbitrary<Planned> = fc.record({
  kind: fc.constantFrom('output', 'output', 'output', 'deleted', 'error'),
  state: fc.constantFrom<FileState[]>('ready', 'ready', 'ready', 'empty', 'failed', 'material'),
  isStored: fc.boolean(),
  continues: fc.option(fc.nat({ max: 40 }), { freq: 4 }),
  settledAt: fc.nat(),
  isAsked: fc.boolean(),
})
const head = fc.constantFrom<Partial<Job>[]>({}, { organizeBy: 'Patient' }, { organizedBy: 'Practitioner' })

/** Plays an export in the rows of one object, and says what was found wrong with its pages by throwing. */
const play = async (storage: DurableObjectStorage, files: readonly Planned[], parts: Partial<Job>, pageFiles: number) => {
  const { sql } = storage
  sql.exec('DROP TABLE IF EXISTS job; DROP TABLE IF EXISTS file; DROP TABLE IF EXISTS upload; DROP TABLE IF EXISTS part')
  createTables(sql)
  const rows = new FileRows(storage)
  const job = jobIn('collecting', { ...parts, partialManifests: true })
  const complete: Job = { ...job, state: 'complete' }
  let pages = new ManifestPages(sql)
  const read = async (of: Job, page: number, found = pages.settle(of, rows, pageFiles)): Promise<string> =>
    new Response(pages.stream(of, page, found, BASE)).text()

  for (const { kind, continues } of files) {
    sql.exec(`INSERT INTO file (kind, state, continues) VALUES (?, 'pending', ?)`, kind, kind === 'output' ? continues : null)
  }
  const told: string[] = []
  const compare = async (of: Job): Promise<void> => {
    const found = pages.settle(of, rows, pageFiles)
    expect(found.count).toBeGreaterThanOrEqual(told.length)
    for (let page = 1; page <= found.count; page++) {
      const text = await read(of, page, found)
      const before = told[page - 1]
      if (before !== undefined && before !== text) {
        expect(JSON.parse(before)).not.toHaveProperty('link')
        expect(text.startsWith(`${before.slice(0, -1)},"link":[{"relation":"next","url":"${BASE}`)).toBe(true)
      }
      told[page - 1] = text
    }
  }
  for (const [index, { kind, state, isStored, isAsked }] of [...files.entries()].toSorted(
    ([, a], [, b]) => a.settledAt - b.settledAt,
  )) {
    const type = { output: 'Patient', deleted: 'Bundle', error: 'OperationOutcome' }[kind]
    rows.update(index + 1, { state, type, lines: isStored ? index : null, ...(isStored ? { bytes: 10, sha256: 'ab' } : {}) })
    if (isAsked) await compare(job)
    // As if the object had come to life again.
    if (index % 3 === 0) pages = new ManifestPages(sql)
  }
  const changes = (): unknown => sql.exec('SELECT count(page) AS frozen, total(page) AS sum FROM file').one()
  await compare(complete)
  const settled = changes()
  await compare(complete)
  expect(changes()).toEqual(settled)

  return told.map((text) => JSON.parse(text) as Page)
}

const numberIn = (url: string): number => Number(/\.(\d+)\.ndjson$/.exec(url)?.[1])

it('pages partition the files, are never changed once told, and together are the whole manifest [ST-14, MF-06..MF-18]', async () => {
  await runInDurableObject<ExportJob, void>(stubOf('any-manifest'), async (_, { storage }) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(planned, { maxLength: 40 }),
        head,
        fc.integer({ min: 1, max: 12 }),
        async (files, parts, pageFiles) => {
          const all = await play(storage, files, parts, pageFiles)
          const organizedBy = parts.organizeBy ?? parts.organizedBy
          const keys = ['transactionTime', 'request', 'requiresAccessToken', 'output', 'deleted', 'error']
          for (const [index, page] of all.entries()) {
            const isLast = index === all.length - 1
            expect(new Set(Object.keys(page))).toEqual(
              new Set([...keys, ...(organizedBy === undefined ? [] : ['outputOrganizedBy']), ...(isLast ? [] : ['link'])]),
            )
            expect({ ...page, output: 0, deleted: 0, error: 0, link: 0 }).toEqual({
              ...all[0],
              output: 0,
              deleted: 0,
              error: 0,
              link: 0,
            })
            if (!isLast) {
              expect(page.output.length + page.deleted.length).toBe(pageFiles)
              expect(page.error).toEqual([])
              expect(page.link).toEqual([{ relation: 'next', url: `${BASE}/fhir/acme/jobs/j1?page=${index + 2}` }])
            }
          }
          const ready = files.flatMap(({ state }, index) => (state === 'ready' ? [index + 1] : []))
          const readyOutput = ready.filter((n) => files[n - 1]?.kind === 'output')
          for (const kind of ['output', 'deleted', 'error'] as const) {
            const listed = all.flatMap((page) => page[kind])
            const expected = ready.filter((n) => files[n - 1]?.kind === kind)
            expect(listed.map(({ url }) => numberIn(url)).toSorted((a, b) => a - b)).toEqual(expected)
            for (const entry of listed) {
              const file = files[numberIn(entry.url) - 1]
              const next = kind === 'output' ? readyOutput.find((n) => n === file?.continues) : undefined
              const target = (entry as { continuesInFile?: string }).continuesInFile
              expect(target === undefined ? undefined : numberIn(target)).toBe(next)
              expect('type' in entry).toBe(kind !== 'output' || organizedBy === undefined)
              expect('extension' in entry).toBe(file?.isStored)
            }
          }
        },
      ),
      { numRuns: 150 },
    )
  })
})

/** Fills a job with files of one type. */
const fill = (sql: SqlStorage, files: number): void => {
  createTables(sql)
  sql.exec(
    `WITH RECURSIVE one(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM one WHERE n < ?)
       INSERT INTO file (n, kind, type, state, lines, bytes, sha256) SELECT n, 'output', 'Patient', 'ready', n, 1, 'ab' FROM one`,
    files,
  )
}

/** A database that counts what is billed. */
const counting = (sql: SqlStorage) => {
  const cursors: { readonly rowsRead: number; readonly rowsWritten: number }[] = []
  const exec: SqlStorage['exec'] = (query, ...values) => {
    const cursor = sql.exec<never>(query, ...values)
    cursors.push(cursor)
    return cursor
  }
  const take = (): { readonly read: number; readonly written: number } => {
    const taken = cursors.splice(0)
    const sum = (of: 'rowsRead' | 'rowsWritten'): number => taken.reduce((total, cursor) => total + cursor[of], 0)
    return { read: sum('rowsRead'), written: sum('rowsWritten') }
  }
  return { sql: { exec } as SqlStorage, take }
}

it('pages of 20,000 files are written as they are read, some at a time [MF-04, MF-16]', async () => {
  await runInDurableObject<ExportJob, void>(stubOf('large-manifest'), async (_, { storage }) => {
    fill(storage.sql, 20_000)
    const [rows, pages] = [new FileRows(storage), new ManifestPages(storage.sql)]
    const [whole, partial] = [jobIn('complete'), jobIn('complete', { partialManifests: true })]
    const read = async (job: Job, page: number, found = pages.settle(job, rows, 7_000)): Promise<Page> => {
      let text = ''
      for await (const chunk of pages.stream(job, page, found, BASE)) {
        expect(chunk.byteLength).toBeLessThan(1_000_000)
        text += new TextDecoder().decode(chunk)
      }
      return JSON.parse(text) as Page
    }
    const numbers = Array.from({ length: 20_000 }, (_one, index) => index + 1)
    for (let time = 0; time < 2; time++) expect((await read(whole, 1)).output.map(({ url }) => numberIn(url))).toEqual(numbers)
    const { count } = pages.settle(partial, rows, 7_000)
    expect(count).toBe(3)
    for (let time = 0; time < 2; time++) {
      const listed: number[] = []
      for (let page = 1; page <= count; page++) listed.push(...(await read(partial, page)).output.map(({ url }) => numberIn(url)))
      expect(listed).toEqual(numbers)
    }
  })
})

it('a long manifest is written once: whoever reads it again has the same bytes for next to no rows, in another life of the object too [ST-14]', async () => {
  await runInDurableObject<ExportJob, void>(stubOf('kept-manifest'), async (_, { storage }) => {
    fill(storage.sql, 4_500)
    const { sql, take } = counting(storage.sql)
    const rows = new FileRows(storage)
    let pages = new ManifestPages(sql)
    const job = jobIn('complete')
    const read = async (base = BASE): Promise<string> =>
      new Response(pages.stream(job, 1, pages.settle(job, rows, 1_000), base)).text()
    const first = await read()
    const written = take()
    expect(written.read).toBeLessThan(3 * 4_500 + 50)
    expect(written.written).toBeLessThan(8)
    for (let life = 0; life < 2; life++) {
      expect(await read()).toBe(first)
      expect(await read()).toBe(first)
      const again = take()
      expect(again.read).toBeLessThan(30)
      expect(again.written).toBe(0)
      pages = new ManifestPages(sql)
    }
    // Where the facade is found is its configuration's, and may be another one.
    expect(await read('https://moved.example')).toBe(
      first.replaceAll(`${BASE}/fhir/acme/jobs/j1/files`, 'https://moved.example/fhir/acme/jobs/j1/files'),
    )
  })
})

it('a manifest of few files writes no row, and reads one for each of them and list', async () => {
  await runInDurableObject<ExportJob, void>(stubOf('small-manifest'), async (_, { storage }) => {
    fill(storage.sql, 100)
    const { sql, take } = counting(storage.sql)
    const pages = new ManifestPages(sql)
    await new Response(pages.stream(jobIn('complete'), 1, { frozen: 0, count: 1 }, BASE)).text()
    const { read, written } = take()
    expect(written).toBe(0)
    expect(read).toBeLessThanOrEqual(3 * 100 + 1)
  })
})

it('pages that a lower limit makes of the rest are not what was kept of it', async () => {
  await runInDurableObject<ExportJob, void>(stubOf('other-limit'), async (_, { storage }) => {
    fill(storage.sql, 5_000)
    const rows = new FileRows(storage)
    const job = jobIn('complete', { partialManifests: true })
    const listed = async (pageFiles: number): Promise<number[]> => {
      const pages = new ManifestPages(storage.sql)
      const found = pages.settle(job, rows, pageFiles)
      const numbers: number[] = []
      for (let page = 1; page <= found.count; page++) {
        const text = await new Response(pages.stream(job, page, found, BASE)).text()
        numbers.push(...(JSON.parse(text) as Page).output.map(({ url }) => numberIn(url)))
      }
      return numbers
    }
    const numbers = Array.from({ length: 5_000 }, (_one, index) => index + 1)
    for (const pageFiles of [10_000, 3_000, 1_000]) expect(await listed(pageFiles)).toEqual(numbers)
  })
})

it('entries are JSON whatever types and addresses are made of [MF-05..MF-08]', async () => {
  await runInDurableObject<ExportJob, void>(stubOf('odd-words'), async (_, { storage }) => {
    const word = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 20 })
      .filter((text) => !text.includes('\0') && text.isWellFormed())
    await fc.assert(
      fc.asyncProperty(word, word, fc.nat(), async (type, base, lines) => {
        storage.sql.exec('DROP TABLE IF EXISTS file')
        createTables(storage.sql)
        const insert = `INSERT INTO file (kind, type, state, lines, bytes, sha256) VALUES ('output', ?, 'ready', ?, 7, ?)`
        storage.sql.exec(insert, type, lines, base)
        const job = jobIn('complete')
        const stream = new ManifestPages(storage.sql).stream(job, 1, { frozen: 0, count: 1 }, base)
        const { output } = JSON.parse(await new Response(stream).text()) as Page
        const url = `${base}/fhir/acme/jobs/j1/files/${type}.1.ndjson`
        expect(output).toEqual([{ type, url, count: lines, extension: { sha256: base, bytes: 7 } }])
      }),
    )
  })
})

it('the vendor’s own continuations are rows, whichever page of its manifest lists what goes on [MF-09]', async () => {
  await runInDurableObject<ExportJob, void>(stubOf('continued'), async (_, { storage }) => {
    const { sql } = storage
    createTables(sql)
    const rows = new FileRows(storage)
    const continuations = new Continuations(sql)
    const page = (...output: readonly (readonly [name: string, next?: string])[]): void => {
      const manifest = parseManifest(
        {
          outputOrganizedBy: 'Patient',
          output: output.map(([name, next]) => ({
            url: `/${name}`,
            ...(next === undefined ? {} : { continuesInFile: `/${next}` }),
          })),
        },
        'https://vendor.example/jobs/1',
      )
      if (!manifest) throw new Error('no manifest')
      rows.addPage(manifest, undefined, 'pending')
      continuations.add(manifest)
    }
    const continuesOf = (): unknown[] =>
      sql
        .exec('SELECT continues FROM file ORDER BY n')
        .toArray()
        .map((row) => row['continues'])
    page(['a', 'b'], ['b', 'd'], ['c'], ['x', 'nowhere'])
    expect(continuesOf()).toEqual([2, null, null, null])
    page(['d', 'c'])
    expect(continuesOf()).toEqual([2, 5, null, null, 3])
    rows.clear()
    continuations.clear()
    page(['nowhere'])
    page(['x'])
    expect(continuesOf()).toEqual([null, null])
  })
})

it('a file whose last block goes on in another is on no page before that one is ready [MF-09, ST-14]', async () => {
  await runInDurableObject<ExportJob, void>(stubOf('split-block'), async (_, { storage }) => {
    const { sql } = storage
    createTables(sql)
    sql.exec(
      `INSERT INTO file (kind, type, state, continues) VALUES ('output', 'Patient', 'pending', 2), ('output', 'Patient', 'pending', NULL)`,
    )
    const [rows, pages] = [new FileRows(storage), new ManifestPages(sql)]
    const job = jobIn('collecting', { partialManifests: true, organizeBy: 'Patient' })
    rows.update(1, { state: 'ready' })
    expect(pages.settle(job, rows, 1).count).toBe(0)
    rows.update(2, { state: 'ready' })
    const found = pages.settle(job, rows, 1)
    expect(found.count).toBe(2)
    const url = `${BASE}/fhir/acme/jobs/j1/files/Patient`
    expect(JSON.parse(await new Response(pages.stream(job, 1, found, BASE)).text())).toMatchObject({
      outputOrganizedBy: 'Patient',
      output: [{ url: `${url}.1.ndjson`, continuesInFile: `${url}.2.ndjson` }],
    })
  })
})
