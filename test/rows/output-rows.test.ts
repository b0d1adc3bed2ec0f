import { describe, expect, it } from 'vitest'
import { MalformedRow } from '../../src/rows/row-program.ts'
import { newRowProgram } from '../../src/rows/new-row-program.ts'
import { MAX_ROW_BYTES } from '../../src/rows/row.ts'
import { BASE, CONTEXT, cut, run } from './support.ts'

const SINCE_MS = Date.parse('2026-01-01T00:00:00Z')
const OLD = '2025-06-01T00:00:00Z'
const NEW = '2026-06-01T00:00:00Z'
const observation = (members: object = {}): object => ({ resourceType: 'Observation', id: 'o', ...members })
const SUBSETTED = { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' }

describe('one type a file', () => {
  it('leaves out rows of other types and names them [FI-06] [N-22]', async () => {
    const rows = [
      observation(),
      { resourceType: 'Project', id: '1' },
      '{ "id": "x", "resourceType": "Condition" }',
      observation(),
    ]
    const { rows: out, program } = await run(rows)
    expect(out).toEqual([JSON.stringify(observation()), JSON.stringify(observation())])
    expect([...program.otherTypes]).toEqual(['Project', 'Condition'])
    expect([program.readLines, program.lines, program.isChanged]).toEqual([4, 2, true])
  })

  it('takes the given type over that of the first row [FI-06]', async () => {
    const { rows } = await run([{ resourceType: 'Project' }, observation()], { file: { type: 'Observation' } })
    expect(rows).toEqual([JSON.stringify(observation())])
  })

  it('does not take a type for another that begins with its name [FI-06]', async () => {
    const { rows, program } = await run([{ resourceType: 'Medication' }, { resourceType: 'MedicationRequest' }])
    expect([rows.length, [...program.otherTypes]]).toEqual([1, ['MedicationRequest']])
  })

  it.each(['{"id":"1"}', '[]', 'null', '"x"', '{"resourceType":7}', '{"resourceType":"a b"}', '{', '{"x":1}}'])(
    'refuses a row that is no resource: %s',
    async (row) => {
      await expect(run([row], { file: { type: 'Observation' } })).rejects.toThrow(MalformedRow)
    },
  )
})

describe('blocks in which nothing is to be done', () => {
  it('are handed on as they are, without a copy', async () => {
    const block = new TextEncoder().encode(`${JSON.stringify(observation())}\n`.repeat(5_000))
    const program = newRowProgram({}, { kind: 'output', type: 'Observation' }, CONTEXT)
    const out: Uint8Array[] = []
    for await (const passed of program.run(cut(block, []))) out.push(passed)
    expect(out).toHaveLength(1)
    expect(out[0]?.buffer.byteLength).toBe(block.length)
    expect([program.isChanged, program.lines]).toEqual([false, 5_000])
  })

  it('keep bytes that are no text at all', async () => {
    const bytes = Uint8Array.from([
      ...new TextEncoder().encode('{"resourceType":"Observation","x":"'),
      0xff,
      0xc3,
      0x80,
      34,
      125,
      10,
    ])
    const program = newRowProgram({ sinceMs: 0 }, { kind: 'output', type: undefined }, CONTEXT)
    const out: number[] = []
    for await (const passed of program.run(cut(bytes, [3]))) out.push(...passed)
    expect(Uint8Array.from(out)).toEqual(bytes)
  })
})

const passesTime = async (meta: unknown, work: object): Promise<boolean> => {
  const { rows } = await run([typeof meta === 'string' ? meta : observation({ meta })], { work })
  return rows.length === 1
}

describe('times', () => {
  it.each([
    [{ lastUpdated: '2026-01-01T00:00:00.000Z' }, false],
    [{ lastUpdated: '2026-01-01T00:00:00.0005Z' }, true],
    [{ lastUpdated: '2026-01-01T00:00:00.001Z' }, true],
    [{ lastUpdated: '2026-01-01T01:00:00+02:00' }, false],
    [{}, true],
    [{ lastUpdated: '2025' }, true],
    [{ lastUpdated: 20250101 }, true],
    [{ lastUpdated: '2025-13-01T00:00:00Z' }, true],
  ])('_since lets %j through: %j [PA-02]', async (meta, passes) => {
    expect(await passesTime(meta, { sinceMs: SINCE_MS })).toBe(passes)
  })

  it.each([
    ['2026-01-01T00:00:00.000Z', false],
    ['2025-12-31T23:59:59.9999Z', true],
    ['2026-01-01T00:00:00.0005Z', false],
  ])('_until lets %s through: %j [PA-04]', async (lastUpdated, passes) => {
    expect(await passesTime({ lastUpdated }, { untilMs: SINCE_MS })).toBe(passes)
  })

  it.each([
    [`{"resourceType":"Observation","contained":[{"meta":{"lastUpdated":"${OLD}"}}],"meta":{"lastUpdated":"${NEW}"}}`, true],
    [
      `{"resourceType":"Observation","id":"\\",\\"meta\\":{\\"lastUpdated\\":\\"${OLD}\\"","meta":{"lastUpdated":"${NEW}"}}`,
      true,
    ],
    [`{"resourceType":"Observation","id":"1","m\\u0065ta":{"lastUpdated":"${OLD.replace('T', '\\u0054')}"}}`, false],
    [`{"resourceType":"Observation","meta":{"lastUpdated":"${NEW}"},"meta":{"lastUpdated":"${OLD}"}}`, false],
    [`{"resourceType":"Observation","id":"1","meta":{"lastUpdated":"${OLD}"},"meta":{"lastUpdated":"${NEW}"}}`, true],
    [`{"resourceType":"Observation","meta":{"x":{"lastUpdated":"${OLD}"}}}`, true],
  ])('reads what the resource itself says: %s', async (row, passes) => {
    expect(await passesTime(row, { sinceMs: SINCE_MS })).toBe(passes)
  })
})

const passesPatients = async (resource: object | string): Promise<boolean> =>
  (await run([resource], { work: { patients: ['p1'] } })).rows.length === 1

describe('the Patient compartment', () => {
  it.each([
    [observation({ subject: { reference: 'Patient/p1' } }), true],
    [observation({ subject: { reference: `${BASE}/Patient/p1` } }), true],
    [observation({ subject: { reference: 'Patient/p1/_history/2' } }), true],
    [observation({ performer: [{ reference: 'Practitioner/x' }, { reference: 'Patient/p1' }] }), true],
    [JSON.stringify(observation({ subject: { reference: 'Patient/p1' } })).replace('/', '\\/'), true],
    [JSON.stringify(observation({ subject: { reference: 'Patient/p1' } })).replace('p1', 'p\\u0031'), true],
    [observation({ subject: { reference: 'Patient/p10' } }), false],
    [observation({ subject: { reference: 'https://other.example.org/Patient/p1' } }), false],
    [observation({ subject: { reference: 'Patient/p2' }, note: [{ text: 'Patient/p1' }] }), false],
    [observation({ subject: { reference: 'Patient/p2' }, focus: [{ reference: 'Patient/p1' }] }), false],
    [observation(), false],
    [{ resourceType: 'Provenance', target: [{ reference: 'Observation/p1' }] }, false],
    [{ resourceType: 'Patient', id: 'p1' }, true],
    ['{"id":"p1","resourceType":"Patient"}', true],
    [{ resourceType: 'Patient', id: 'p2', link: [{ other: { reference: 'Patient/p1' } }] }, false],
    [{ resourceType: 'Medication', id: 'm' }, true],
  ])('%j passes: %j [PA-09]', async (resource, passes) => {
    expect(await passesPatients(resource)).toBe(passes)
  })

  it('holds for a list of no patients [PA-09]', async () => {
    const { rows } = await run([observation({ subject: { reference: 'Patient/p1' } })], { work: { patients: [] } })
    expect(rows).toEqual([])
  })
})

describe('search filters and provenance', () => {
  it('lets out what the filters of its type find [PA-13] [PA-14]', async () => {
    const work = { typeFilter: ['Observation?status=final', 'Observation?status=amended', 'Patient?active=true'] }
    const { rows } = await run([observation({ status: 'final' }), observation({ status: 'registered' })], { work })
    expect(rows).toEqual([JSON.stringify(observation({ status: 'final' }))])
    expect((await run([{ resourceType: 'Condition' }], { work })).rows).toHaveLength(1)
  })

  it.each([
    ['Observation/1', true],
    [`${BASE}/Observation/1/_history/2`, true],
    ['ObservationDefinition/1', false],
    ['Patient/1', false],
  ])('provenance of %s passes: %j [PA-11]', async (reference, passes) => {
    const row = { resourceType: 'Provenance', target: [{ reference }] }
    expect((await run([row], { work: { provenanceOf: ['Observation'] } })).rows).toHaveLength(passes ? 1 : 0)
  })
})

const pruned = async (row: object | string, ...elements: string[]): Promise<unknown> =>
  JSON.parse((await run([row], { work: { elements } })).rows[0] ?? '')

describe('elements', () => {
  it('keeps what is listed, what is mandatory, and says that it is not whole [PA-08]', async () => {
    const row = observation({
      status: 'final',
      _status: { id: '1' },
      code: {},
      note: [],
      valueQuantity: { value: 1 },
      issued: 'x',
    })
    expect(await pruned(row, 'value')).toEqual(
      observation({ meta: { tag: [SUBSETTED] }, status: 'final', _status: { id: '1' }, code: {}, valueQuantity: { value: 1 } }),
    )
  })

  it('keeps what may turn the meaning around [PA-08]', async () => {
    const row = observation({ implicitRules: 'x', modifierExtension: [{ url: 'y' }], extension: [] })
    expect(await pruned(row, 'note')).toEqual(
      observation({ meta: { tag: [SUBSETTED] }, implicitRules: 'x', modifierExtension: [{ url: 'y' }] }),
    )
  })

  it('leaves a type whole of which no element is listed [PA-08]', async () => {
    const { rows, program } = await run([observation({ note: [] })], { work: { elements: ['Patient.name'] } })
    expect([rows, program.isChanged]).toEqual([[JSON.stringify(observation({ note: [] }))], false])
  })

  it('adds its tag to others, once [PA-08]', async () => {
    const tag = [{ system: 's', code: 'c' }, SUBSETTED]
    expect(await pruned(observation({ meta: { tag: tag.slice(0, 1) } }), 'note')).toEqual(observation({ meta: { tag } }))
    expect(await pruned(observation({ meta: { tag } }), 'note')).toEqual(observation({ meta: { tag } }))
  })

  it('leaves every digit of what stays as it was written', async () => {
    const row = '{"note":1,"resourceType":"Observation", "issued":2 ,"valueQuantity":{"value":1.50},"x":3,"code":1e400}'
    const { rows } = await run([row], { work: { elements: ['value'] } })
    const meta = JSON.stringify({ tag: [SUBSETTED] })
    expect(rows).toEqual([`{"resourceType":"Observation","meta":${meta},"valueQuantity":{"value":1.50},"code":1e400}`])
  })
})

describe('rows that are meant to break something', () => {
  const deep = `{"resourceType":"Observation","note":${'['.repeat(10_000)}${']'.repeat(10_000)},"meta":{"x":${'['.repeat(10_000)}${']'.repeat(10_000)}}}`

  it.each([{ sinceMs: SINCE_MS }, { patients: ['p1'] }, { elements: ['note'] }, { typeFilter: ['Observation?status=final'] }])(
    'a row nested 10,000 deep passes, is left out or is refused as malformed: %j',
    async (work) => {
      const outcome = await run([deep], { work }).then(
        ({ rows }) => rows.length,
        (error: unknown) => error instanceof MalformedRow,
      )
      expect([0, 1, true]).toContain(outcome)
    },
  )

  it('keeps a member named __proto__, and takes nothing from it', async () => {
    const row =
      '{"resourceType":"Observation","__proto__":{"subject":{"reference":"Patient/p1"}},"meta":{"__proto__":{"tag":[]}}}'
    expect((await run([row], { work: { patients: ['p1'] } })).rows).toEqual([])
    expect((await run([row], { work: { sinceMs: 0 } })).rows).toEqual([row])
    expect((await run([row], { work: { elements: ['note'] } })).text).toContain('"meta":{"__proto__":{"tag":[]},"tag":[')
  })

  it('keeps lone surrogates, numbers beyond doubles and members that are repeated', async () => {
    const row = '{"resourceType":"Observation","x":"\\ud800","y":123456789012345678901234567890.10,"y":1e999,"meta":{}}'
    expect((await run([row], { work: { sinceMs: SINCE_MS } })).rows).toEqual([row])
  })

  it.each([
    '{"resourceType":"Observation","a":',
    '{"resourceType":"Observation","a":1}x',
    '{"resourceType":"Observation" "a":1}',
  ])('refuses a row that has to be looked into and is no JSON: %s', async (row) => {
    await expect(run([row], { work: { elements: ['note'] } })).rejects.toThrow(MalformedRow)
    await expect(run([row], { work: { sinceMs: SINCE_MS } })).rejects.toThrow(MalformedRow)
  })
})

describe('a row that is too long to be held', () => {
  const PLAIN = `"reference":"${BASE}/Patient/1"`
  /** References all along, so that some lie across the cuts. */
  const long = `{"resourceType":"Observation","id":"1","x":[${`{${PLAIN}},`.repeat(Math.ceil((MAX_ROW_BYTES + 1_000_000) / (PLAIN.length + 3)))}{}]}`
  const short = JSON.stringify(observation())

  it('passes as it comes, its references rewritten, and rows after it are whole', async () => {
    const { rows, program } = await run([short, long, short], { sizes: [1_000_003] })
    expect(rows[1] === long.replaceAll(PLAIN, '"reference":"Patient/1"')).toBe(true)
    expect([rows[0], rows[2], program.lines, program.readLines]).toEqual([short, short, 3, 3])
  })

  it('is refused where it would have to be parsed', async () => {
    await expect(run([long], { sizes: [1_000_003], work: { patients: ['1'] } })).rejects.toThrow(MalformedRow)
    await expect(run([long], { sizes: [1_000_003], work: { elements: ['note'] } })).rejects.toThrow(MalformedRow)
  })

  it('is left out like any other when it is of another type [FI-06]', async () => {
    const { rows, program } = await run([{ resourceType: 'Patient' }, long, { resourceType: 'Patient' }], { sizes: [1_000_003] })
    expect([rows.length, [...program.otherTypes], program.readLines]).toEqual([2, ['Observation'], 3])
  })
})
