import { describe, expect, it } from 'vitest'
import { MalformedRow } from '../../src/rows/row-program.ts'
import type { RowWork } from '../../src/rows/row-work.ts'
import { MAX_ROW_BYTES, MOST_VALUES } from '../../src/rows/row.ts'
import { typeFilterProblem } from '../../src/rows/type-filter.ts'
import { BASE, CONTEXT, run } from './support.ts'

/* Rows as large as may be looked into, made to cost more than their length. A test that takes minutes has found what it looks for. */

const MEBIBYTE = 1024 * 1024
/** Blocks as they come from the network. */
const SIZES = [256 * 1024]
/** Room for a slow machine; work that grew with the square of these rows would take minutes. */
const SOON_MS = 20_000

const filled = (piece: string, bytes = MAX_ROW_BYTES - MEBIBYTE): string => piece.repeat(Math.floor(bytes / piece.length))
const row = (members: string, type = 'Observation'): string => `{"resourceType":"${type}","id":"1",${members}}`
const OURS = 'https://bulk.example.com/attachments/'
const withAttachments = { ...CONTEXT, attachmentUrl: async (url: string) => OURS + url.slice(-1) }

describe('a row of 15 MiB costs no more than its length', { timeout: SOON_MS }, () => {
  it.each<[string, string]>([
    ['of references that lead nowhere', `"a":[${filled('{"reference":"https://ehr.example.org/x"},')}0]`],
    [
      'of references of which none is under the base, and a last one that is escaped',
      `"a":[${filled('{"reference":"https://ehr.example.org/x"},')}"\\u0041"]`,
    ],
    ['of nothing but escapes', `"a":"${filled('\\u0041')}"`],
    ['of backslashes', `"a":"${filled('\\\\')}"`],
    ['of quotes', `"a":"${filled('\\"')}"`],
    ['of what begins like an address', `"url":"${filled('/Binary')}"`],
    ['of hosts', `"url":"${filled('ehr.example.org')}"`],
    ['of brackets', `"a":${'['.repeat(7 * MEBIBYTE)}${']'.repeat(7 * MEBIBYTE)}`],
    ['of members', filled('"a":0,') + '"a":0'],
  ])('%s', async (_, members) => {
    for (const work of [{}, { elements: ['code'] }, { sinceMs: 0 }] satisfies RowWork[])
      expect((await run([row(members)], { work, context: withAttachments, sizes: SIZES })).rows).toHaveLength(1)
  })

  it('of attachments, each a member of its own, every other of which goes', async () => {
    const members = Array.from({ length: 150_000 }, (_, n) => `"${n % 2 === 0 ? 'code' : 'x'}":[{"url":"Binary/${n % 10}"}]`)
    const { rows } = await run([row(members.join(','))], {
      work: { elements: ['code'] },
      context: withAttachments,
      sizes: SIZES,
    })
    expect(rows[0]?.split(OURS)).toHaveLength(75_001)
    expect(rows[0]).not.toContain('Binary')
  })
})

describe('a row that would take more memory than there is', { timeout: SOON_MS }, () => {
  it.each<[string, RowWork, string]>([
    ['of more values than may be held', { typeFilter: ['Observation?status=final'] }, row(`"a":[${filled('{},')}0]`)],
    [
      'of more values than may be held, in a member that is looked at',
      { patients: ['1'] },
      row(`"subject":[${filled('{},')}{"reference":"Patient/1"}]`),
    ],
    [
      'of more values than may be held, beyond ASCII',
      { typeFilter: ['Observation?status=final'] },
      row(`"a":["ü",${filled('{},')}0]`),
    ],
    [
      'of a name that goes on and on',
      { typeFilter: ['Patient?family=x'] },
      row(`"name":[{"family":"${filled('a ')}"}]`, 'Patient'),
    ],
    [
      'of a text that goes on and on',
      { typeFilter: ['Patient?name:contains=x'] },
      row(`"name":[{"text":"${filled('ä')}"}]`, 'Patient'),
    ],
  ])('%s is refused', async (_, work, text) => {
    await expect(run([text], { work, sizes: SIZES })).rejects.toThrow(MalformedRow)
  })

  it('of addresses that ours would make many times as long is refused', async () => {
    const text = row(`"content":[${filled('{"url":"Binary/1"},')}0]`)
    const context = { ...CONTEXT, attachmentUrl: async () => OURS + 'x'.repeat(300) }
    await expect(run([text], { context, sizes: SIZES })).rejects.toThrow(MalformedRow)
  })

  it('passes where it need not be parsed, and commas of a narrative are no values', async () => {
    const narrative = row(`"status":"final","text":{"div":"${filled(',{[')}"}`)
    expect((await run([narrative], { work: { typeFilter: ['Observation?status=final'] }, sizes: SIZES })).rows).toHaveLength(1)
    const values = row(`"a":[${'0,'.repeat(2 * MOST_VALUES)}0]`)
    expect((await run([values], { work: { elements: ['a'] }, sizes: SIZES })).rows).toHaveLength(1)
  })
})

it('a row of which only the start can be held is not taken for somebody else’s: the rest may name the patient [PA-09]', async () => {
  const long = row(`"note":"${filled('x', 2 * MAX_ROW_BYTES)}","subject":{"reference":"Patient/1"}`)
  await expect(run([long], { work: { patients: ['1'] }, sizes: SIZES })).rejects.toThrow(MalformedRow)
})

it('an attachment belongs to its own row, in a file of several types too [FI-13, FI-14, AU-17]', async () => {
  const asked: unknown[] = []
  const context = {
    ...CONTEXT,
    attachmentUrl: async (url: string, { type }: { readonly type: string }) => {
      asked.push([type, url.slice(BASE.length)])
      return OURS + url.slice(-1)
    },
  }
  const document = { resourceType: 'DocumentReference', id: 'd', content: [{ attachment: { url: 'Binary/1' } }] }
  const person = { resourceType: 'Patient', id: 'p', photo: [{ url: `${BASE}/Binary/2` }] }
  const header = { resourceType: 'Parameters', parameter: [] }
  await run([header, document, person, header], { file: { type: 'Parameters', isMixed: true }, context })
  expect(asked).toEqual([
    ['DocumentReference', '/Binary/1'],
    ['Patient', '/Binary/2'],
  ])
})

it(
  'twenty thousand patients are looked for in one search, and rows of others do not pass [PA-09]',
  { timeout: SOON_MS },
  async () => {
    const patients = Array.from({ length: 20_000 }, (_, n) => `p${n}`)
    const rows = Array.from({ length: 100_000 }, (_, n) =>
      row(`"subject":{"reference":"Patient/${n % 2 === 0 ? 'p' : 'q'}${n % 20_000}"}`),
    )
    const out = await run(rows, { work: { patients }, sizes: SIZES })
    expect(out.rows).toEqual(rows.filter((_, n) => n % 2 === 0))
  },
)

describe('a filter of thousands of alternatives', () => {
  it.each([
    ['values', `Observation?code=${Array.from({ length: 1_001 }, (_, n) => n).join(',')}`],
    ['criteria', `Observation?${Array.from({ length: 101 }, () => 'code=1').join('&')}`],
  ])('is refused for its many %s [PA-16]', (what, filter) => {
    expect(typeFilterProblem(filter)).toMatch(new RegExp(`more than [\\d,]+ ${what}`))
  })

  it('of a thousand is evaluated [PA-13]', () => {
    expect(typeFilterProblem(`Observation?code=${Array.from({ length: 1_000 }, (_, n) => n).join(',')}`)).toBeUndefined()
  })
})
