import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { directoryDataset } from '../../sandbox/data-directory.ts'
import { digest, generatedDataset, type Dataset } from '../../sandbox/dataset.ts'
import { listOf, memberOf, parseJson, stringOf } from '../../sandbox/json.ts'
import { digestLines, lines } from '../../sandbox/ndjson.ts'
import { generateResources, GENERATED_TYPES, unitsOf } from '../../sandbox/patients.ts'

const textOf = async (chunks: AsyncIterable<Uint8Array>): Promise<string> => {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all).toString('utf8')
}

const firstOf = async (dataset: Dataset, perFile: number) =>
  digestLines((await dataset.files('Observation', perFile)).slice(0, 1).map((file) => file.open()))

const isContext = (type: string): boolean => ['Practitioner', 'Organization', 'Location', 'Device'].includes(type)

describe('the generator', () => {
  it('gives the same content twice, and the same patients whatever their number', async () => {
    const [small, again, large] = [generatedDataset(30), generatedDataset(30), generatedDataset(60)]
    for (const type of small.types) expect(await digest(small, type)).toEqual(await digest(again, type))
    expect(await firstOf(small, 30)).toEqual(await firstOf(large, 30))
  })

  it('gives 12 to 16 KB for each patient', async () => {
    const dataset = generatedDataset(200)
    let bytes = 0
    for (const type of dataset.types) bytes += (await digest(dataset, type)).bytes
    expect(bytes / 200).toBeGreaterThan(12_000)
    expect(bytes / 200).toBeLessThan(16_500)
  })

  it('refers only to resources that are there', () => {
    const patients = 450
    const ids = new Set<string>()
    const references = new Set<string>()
    for (const type of GENERATED_TYPES) {
      for (const resource of generateResources(type, 0, unitsOf(type, patients))) {
        expect(ids.has(`${type}/${resource.id}`)).toBe(false)
        ids.add(`${type}/${resource.id}`)
        for (const [, reference = ''] of JSON.stringify(resource).matchAll(/"reference":"([^"]+)"/g)) references.add(reference)
        expect(memberOf(resource['meta'], 'lastUpdated')).toMatch(/^202\d-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/)
      }
    }
    expect([...references].filter((reference) => !ids.has(reference))).toEqual([])
  })

  it('cuts 100,000 patients into slices that can be read alone, with exact counts', async () => {
    const dataset = generatedDataset(100_000)
    for (const type of dataset.types) {
      const files = await dataset.files(type, 1000)
      for (const file of [files[0], files.at(-1)]) {
        if (file === undefined) throw new Error(`No ${type}`)
        expect((await digestLines([file.open()])).resources).toBe(file.resources)
      }
    }
    const patients = await dataset.files('Patient', 1000)
    expect(patients).toHaveLength(100)
    expect(patients.reduce((sum, file) => sum + file.resources, 0)).toBe(100_000)
  })

  it.each([1, 7, 41])('joins slices of %i patients to the same content', async (perFile) => {
    const dataset = generatedDataset(41)
    for (const type of dataset.types.filter((candidate) => !isContext(candidate))) {
      const files = await dataset.files(type, perFile)
      expect(files).toHaveLength(Math.ceil(41 / perFile))
      expect(await digestLines(files.map((file) => file.open()))).toEqual(await digest(dataset, type))
    }
  })

  it('puts the text of each document in its line', () => {
    const [document] = generateResources('DocumentReference', 0, 1)
    const attachment = memberOf(listOf(document?.['content'])[0], 'attachment')
    expect(memberOf(attachment, 'contentType')).toBe('text/plain; charset=utf-8')
    expect(Buffer.from(stringOf(memberOf(attachment, 'data')), 'base64').toString('utf8')).toContain('pat-000001 (synthetic)')
  })
})

const row = (resourceType: string, id: string): string => JSON.stringify({ resourceType, id })

describe('a directory of NDJSON', () => {
  let directory = ''
  let dataset: Dataset

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sandbox-'))
    await writeFile(join(directory, 'Patient.000.ndjson'), `${row('Patient', 'a')}\n${row('Patient', 'b')}`)
    await writeFile(join(directory, 'Patient.001.ndjson'), `${row('Patient', 'c')}\r\n\n`)
    await writeFile(join(directory, 'things.ndjson'), `${row('Condition', 'd')}\n`)
    await writeFile(join(directory, 'Observation.ndjson'), '')
    await writeFile(join(directory, 'notes.txt'), 'not for export')
    dataset = await directoryDataset(directory)
  })
  afterAll(() => rm(directory, { recursive: true }))

  it('tells types by file name, else by the first line, and leaves empty files out', () => {
    expect(dataset.types.toSorted()).toEqual(['Condition', 'Patient'])
    expect(dataset.patients).toBe(3)
  })

  it('serves whole files as they are, final newline or not', async () => {
    const files = await dataset.files('Patient')
    expect(files.map(({ resources }) => resources)).toEqual([2, 1])
    expect(await Promise.all(files.map((file) => textOf(file.open())))).toEqual([
      `${row('Patient', 'a')}\n${row('Patient', 'b')}`,
      `${row('Patient', 'c')}\r\n\n`,
    ])
  })

  it('counts and hashes each resource followed by exactly one newline', async () => {
    const canonical = ['a', 'b', 'c'].map((id) => `${row('Patient', id)}\n`).join('')
    expect(await digest(dataset, 'Patient')).toEqual({
      resources: 3,
      bytes: canonical.length,
      sha256: createHash('sha256').update(canonical).digest('hex'),
    })
  })

  it.each([
    [1, [1, 1, 1]],
    [2, [2, 1]],
    [Infinity, [3]],
  ])('cuts into files of %j resources', async (perFile, counts) => {
    const files = await dataset.files('Patient', perFile)
    expect(files.map(({ resources }) => resources)).toEqual(counts)
    expect(await digestLines(files.map((file) => file.open()))).toEqual(await digest(dataset, 'Patient'))
  })

  it('names its patients', async () => {
    const ids: string[] = []
    for await (const id of dataset.patientIds()) ids.push(id)
    expect(ids).toEqual(['a', 'b', 'c'])
  })
})

async function* pieces(): AsyncGenerator<Uint8Array> {
  for (const part of ['{"a":', '"ü"}\n{', '}\n', '\n{"b":1}']) yield Buffer.from(part)
}

describe('lines', () => {
  it('finds lines across chunks', async () => {
    const found: string[] = []
    for await (const line of lines(pieces())) found.push(line.toString('utf8'))
    expect(found).toEqual(['{"a":"ü"}', '{}', '{"b":1}'])
    expect(parseJson(found[0] ?? '')).toEqual({ a: 'ü' })
  })
})
