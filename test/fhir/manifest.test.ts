import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type FileKind, type ManifestFile, manifestPieces, parseManifest, typeInFileName } from '../../src/fhir/manifest.ts'

const BASE = 'https://vendor.example/fhir/r4/jobs/1?x=1'
const EMPTY = { output: [], deleted: [], error: [], rejected: 0 }
const outputOf = (...output: readonly unknown[]) => parseManifest({ output }, BASE)

describe('reading', () => {
  it.each<[unknown]>([
    [undefined],
    [null],
    ['Export job has been canceled'],
    ['<html></html>'],
    [''],
    [[]],
    [{}],
    [{ output: {} }],
    [{ output: null }],
    [{ status: 'completed' }],
    [{ resourceType: 'OperationOutcome', issue: [], output: [] }],
    [JSON.parse('{"__proto__": {"output": []}}')],
  ])('%j is no manifest [N-08, N-09]', (body) => {
    expect(parseManifest(body, BASE)).toBeUndefined()
  })

  it('reads a conformant manifest [MF-01, MF-03, MF-04, MF-05, MF-06]', () => {
    const url = 'https://vendor.example/files/1.ndjson'
    const manifest = parseManifest(
      {
        transactionTime: '2026-01-31T00:00:00Z',
        request: 'https://vendor.example/fhir/r4/$export',
        requiresAccessToken: true,
        output: [{ type: 'Patient', url, count: 3, continuesInFile: `${url}2` }],
        deleted: [{ type: 'Bundle', url }],
        error: [{ type: 'OperationOutcome', url }],
        link: { relation: 'next', url: `${url}3` },
        extension: { a: 1 },
        msg: 'x',
      },
      BASE,
    )
    expect(manifest).toEqual({
      transactionTimeMs: Date.UTC(2026, 0, 31),
      requiresAccessToken: true,
      output: [{ type: 'Patient', url, count: 3, continuesInFile: `${url}2` }],
      deleted: [{ type: 'Bundle', url }],
      error: [{ type: 'OperationOutcome', url }],
      nextUrl: `${url}3`,
      rejected: 0,
    })
  })

  it.each<[unknown, object]>([
    [{ output: [] }, {}], // no error, no deleted, no time
    [{ output: [], error: null, deleted: 'none' }, {}],
    [{ output: [], requiresAccessToken: 'true' }, { requiresAccessToken: true }],
    [{ output: [], requiresAccessToken: 'False' }, { requiresAccessToken: false }],
    [{ output: [], requiresAccessToken: 1 }, {}],
    [{ output: [], transactionTime: 'Apr 21, 2023 5:58:02 PM' }, { transactionTimeMs: Date.UTC(2023, 3, 21, 17, 58, 2) }],
    [{ output: [], transactionTime: 'now' }, {}],
    [
      {
        output: [],
        link: [
          { relation: 'self', url: '/s' },
          { relation: 'next', url: '/n' },
        ],
      },
      { nextUrl: 'https://vendor.example/n' },
    ],
    [{ output: [], link: { relation: 'next' } }, {}],
    [{ output: [], outputOrganizedBy: 'Patient' }, { outputOrganizedBy: 'Patient' }],
  ])('%j reads as %j [N-18, N-19, N-20, N-23]', (body, expected) => {
    expect(parseManifest(body, BASE)).toEqual({ ...EMPTY, ...expected })
  })

  it.each<[object, object]>([
    [{ url: '/f/1_Patient.ndjson' }, { url: 'https://vendor.example/f/1_Patient.ndjson', type: 'Patient' }],
    [{ url: 'f/x' }, { url: 'https://vendor.example/fhir/r4/jobs/f/x' }],
    [
      { url: '//store.example/x', type: 'Patient' },
      { url: 'https://store.example/x', type: 'Patient' },
    ],
    [{ url: 's3://bucket/Patient.ndjson' }, { url: 's3://bucket/Patient.ndjson', type: 'Patient' }],
    // Normalising would lose the dots and the case of the host
    [
      { url: 'https://V.example/a/../b?s=%2f&t=a b', type: 'X' },
      { url: 'https://V.example/a/../b?s=%2f&t=a b', type: 'X' },
    ],
    [
      { url: 'https://v.example/x', type: 'Patient', count: '12' },
      { url: 'https://v.example/x', type: 'Patient', count: 12 },
    ],
    [
      { url: 'https://v.example/x', type: 'Patient', count: -1 },
      { url: 'https://v.example/x', type: 'Patient' },
    ],
    [
      { url: 'https://v.example/x', type: 'Patient', count: 'NaN' },
      { url: 'https://v.example/x', type: 'Patient' },
    ],
    [{ url: 'https://v.example/x', type: null }, { url: 'https://v.example/x' }],
  ])('entry %j reads as %j [N-18, N-19, N-22]', (entry, expected) => {
    expect(outputOf(entry)).toEqual({ ...EMPTY, output: [expected] })
  })

  it('moves outcomes from the output to the errors, and keeps several files of a type [MF-15, N-22]', () => {
    const manifest = outputOf(
      { type: 'OperationOutcome', url: 'https://v.example/1' },
      { type: 'Patient', url: 'https://v.example/2' },
      { type: 'Patient', url: 'https://v.example/3' },
    )
    expect(manifest?.output.map(({ url }) => url)).toEqual(['https://v.example/2', 'https://v.example/3'])
    expect(manifest?.error).toEqual([{ type: 'OperationOutcome', url: 'https://v.example/1' }])
  })

  it('counts entries that cannot be fetched instead of losing them silently [N-22]', () => {
    const prototype: unknown = JSON.parse('{"__proto__": {"url": "https://v.example/x"}}')
    expect(outputOf({}, { url: '' }, { url: 7 }, { url: 'http://' }, null, 'https://v.example/x', prototype)).toEqual({
      ...EMPTY,
      rejected: 7,
    })
  })

  it('infers no type for files organized by a resource [MF-06]', () => {
    const manifest = parseManifest({ outputOrganizedBy: 'Patient', output: [{ url: 'https://v.example/Patient.ndjson' }] }, BASE)
    expect(manifest?.output).toEqual([{ url: 'https://v.example/Patient.ndjson' }])
  })

  it.each([
    ['https://v.example/export/x_Patient.ndjson', 'Patient'],
    ['https://v.example/Patient_1.ndjson?sig=Group', 'Patient'],
    ['https://v.example/Observation.000.ndjson.gz', 'Observation'],
    ['https://v.example/Group/1/file', undefined],
    ['https://v.example/Group_7_Patient.ndjson', undefined],
    ['https://v.example/patients.ndjson', undefined],
    ['https://v.example/', undefined],
  ])('the name of %s tells %j [N-22]', (url, type) => {
    expect(typeInFileName(url)).toBe(type)
  })
})

/** Entries as they come: some at a time, as text or in UTF-8. */
function* piecesOf(files: Iterable<ManifestFile>, atATime = 3): Generator<string | Uint8Array> {
  const texts = [...files].map((file) => JSON.stringify(file))
  for (let first = 0; first < texts.length; first += atATime) {
    const text = texts.slice(first, first + atATime).join()
    yield first % 2 === 0 ? text : new TextEncoder().encode(text)
  }
}
const textOf = (piece: string | Uint8Array): string => (typeof piece === 'string' ? piece : new TextDecoder().decode(piece))

function* inUtf8(files: Iterable<ManifestFile>): Generator<Uint8Array> {
  for (const one of files) yield new TextEncoder().encode(JSON.stringify(one))
}

function* manyFiles(): Generator<ManifestFile> {
  for (let index = 0; index < 100_000; index += 1) {
    yield { type: 'Patient', url: `https://facade.example/files/${index}`, count: index }
  }
}

describe('writing', () => {
  const head = { transactionTimeMs: 0, request: 'https://facade.example/fhir/acme/$export?_type="x"' }
  const write = (files: Partial<Record<FileKind, Iterable<ManifestFile>>>, extra = {}): string =>
    [...manifestPieces({ ...head, ...extra }, (kind) => piecesOf(files[kind] ?? []))].map(textOf).join('')

  it('always has its three lists and asks for a token [MF-03, MF-04, MF-14, N-18]', () => {
    const text = write({})
    expect(JSON.parse(text)).toEqual({
      transactionTime: '1970-01-01T00:00:00.000Z',
      request: head.request,
      requiresAccessToken: true,
      output: [],
      deleted: [],
      error: [],
    })
    const keys = [...text.matchAll(/"(\w+)":/g)].map(([, key]) => key)
    expect(keys).toEqual(['transactionTime', 'request', 'requiresAccessToken', 'output', 'deleted', 'error'])
  })

  it('writes files, organization and extension [MF-05..MF-10, MF-18]', () => {
    const file = { type: 'Patient', url: 'https://facade.example/1', count: 0 }
    const text = write(
      { output: [file, { url: 'https://facade.example/2' }], error: [file] },
      { outputOrganizedBy: 'Patient', extension: { a: 1 } },
    )
    expect(JSON.parse(text)).toMatchObject({
      outputOrganizedBy: 'Patient',
      output: [file, { url: 'https://facade.example/2' }],
      deleted: [],
      error: [file],
      extension: { a: 1 },
    })
  })

  it('links to the next page in an array of one object, behind everything else [MF-16]', () => {
    const nextUrl = 'https://facade.example/fhir/acme/jobs/1?page=2'
    const [without, withLink] = [write({}, { extension: { a: 1 } }), write({}, { extension: { a: 1 }, nextUrl })]
    expect(JSON.parse(withLink)).toEqual({ ...JSON.parse(without), link: [{ relation: 'next', url: nextUrl }] })
    // So a page that gets its link changes in nothing else, byte for byte [ST-14].
    expect(withLink.startsWith(without.slice(0, -1))).toBe(true)
  })

  it('lists files that go on in others, with what is known of their bytes [MF-09, MF-18]', () => {
    const file = {
      url: 'https://facade.example/1',
      count: 2,
      continuesInFile: 'https://facade.example/2',
      extension: { sha256: 'ab', bytes: 7 },
    }
    expect(JSON.parse(write({ output: [file] }, { outputOrganizedBy: 'Patient' }))).toMatchObject({ output: [file] })
  })

  const word = fc.string({ unit: 'binary', maxLength: 30 })
  const file: fc.Arbitrary<ManifestFile> = fc.record(
    {
      url: word,
      type: word,
      count: fc.nat(),
      continuesInFile: word,
      extension: fc.record({ sha256: word, bytes: fc.nat() }),
    },
    { requiredKeys: ['url'] },
  )
  const list = fc.array(file, { maxLength: 200 })

  it('is JSON with these keys and these files, whatever they hold [MF-01..MF-18]', () => {
    fc.assert(
      fc.property(
        fc.record({ output: list, deleted: list, error: list }),
        fc.record({ outputOrganizedBy: word, nextUrl: word, extension: fc.dictionary(word, fc.nat()) }, { requiredKeys: [] }),
        fc.date({ min: new Date(0), max: new Date('9999-12-31T00:00:00Z'), noInvalidDate: true }),
        (lists, { nextUrl, ...more }, time) => {
          const manifest: unknown = JSON.parse(
            write(lists, { ...more, ...(nextUrl === undefined ? {} : { nextUrl }), transactionTimeMs: time.getTime() }),
          )
          expect(manifest).toEqual(
            JSON.parse(
              JSON.stringify({
                transactionTime: time.toISOString(),
                request: head.request,
                requiresAccessToken: true,
                ...more,
                ...lists,
                ...(nextUrl === undefined ? {} : { link: [{ relation: 'next', url: nextUrl }] }),
              }),
            ),
          )
        },
      ),
    )
  })

  it('holds no more than what it is given at a time [MF-04]', () => {
    let text = ''
    let longest = 0
    for (const piece of manifestPieces(head, (kind) => (kind === 'output' ? inUtf8(manyFiles()) : []))) {
      longest = Math.max(longest, piece.length)
      text += textOf(piece)
    }
    expect(longest).toBeLessThan(300)
    expect(JSON.parse(text)).toHaveProperty('output.99999.count', 99_999)
  })
})
