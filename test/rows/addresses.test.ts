import { describe, expect, it } from 'vitest'
import { BASE, run } from './support.ts'

const OURS = 'https://bulk.example.com/attachments/'
const asked: unknown[] = []
const context = {
  vendorBases: [BASE, 'https://ehr.example.org/fhir'],
  attachmentUrl: async (url: string, about: object): Promise<string | undefined> => {
    asked.push([url, about])
    return url.includes('public') ? undefined : OURS + url.split('/').at(-1)
  },
}
const row = (members: string): string => `{"resourceType":"DocumentReference","id":"d",${members}}`
const rewritten = async (members: string): Promise<string> => {
  asked.length = 0
  const { rows } = await run([row(members)], { context, sizes: [7] })
  return rows[0]?.slice(row('').length - 1, -1) ?? ''
}

const documentOf = (id: string, at: string): string =>
  `{"resourceType":"DocumentReference","id":"${id}","meta":{"lastUpdated":"${at}"},"subject":{"reference":"${BASE}/Patient/1"},"content":[{"attachment":{"url":"${BASE}/Binary/1"}},{"attachment":{"url":"Binary/2"}}],"custodian":{"reference":"${BASE}/Organization/1"}}`

describe('references that are written absolutely', () => {
  it.each([
    [`"subject":{"reference":"${BASE}/Patient/1"}`, '"subject":{"reference":"Patient/1"}'],
    [`"a":{"reference":"${BASE}/Patient/1/_history/2"},"v":1.0`, '"a":{"reference":"Patient/1/_history/2"},"v":1.0'],
    [`"a":{ "reference" : "${BASE}/Patient/1" }`, '"a":{ "reference" : "Patient/1" }'],
    [`"a":{"reference":"${BASE.replaceAll('/', '\\/')}\\/Patient\\/ü"}`, '"a":{"reference":"Patient/ü"}'],
    ['"a":{"reference":"https://ehr.example.org/fhir/Patient/1"}', '"a":{"reference":"Patient/1"}'],
  ])('under the address of the vendor become relative [KO-17]: %s', async (before, after) => {
    expect(await rewritten(before)).toBe(after)
  })

  it.each([
    '"a":{"reference":"https://ehr.example.org/other/Patient/1"}',
    '"a":{"reference":"https://ehr.example.org.evil.example/fhir/r4/Patient/1"}',
    `"a":{"reference":"${BASE}"}`,
    `"a":{"reference":"${BASE}XPatient/1"}`,
    `"a":{"display":"${BASE}/Patient/1"}`,
    `"a":"\\"reference\\":\\"${BASE}/Patient/1\\""`,
    `"a\\"reference":"${BASE}/Patient/1"`,
    `"identifier":[{"system":"${BASE}/Patient"}]`,
    `"fullUrl":"${BASE}/Patient/1"`,
    `"text":{"div":"<a href=\\"${BASE}/Binary/1\\">x</a>"}`,
  ])('and all else stays as it is [KO-17]: %s', async (members) => {
    expect(await rewritten(members)).toBe(members)
  })
})

it('a vendor of several addresses, one within another, is known by the longest [KO-17]', async () => {
  const vendorBases = [
    'https://example.org/fhir',
    'https://example.org/fhir/r4',
    'http://a.example.org/f',
    'https://example.org:8443',
  ]
  const before = vendorBases.map((base) => ({ reference: `${base.replaceAll('/', '\\/')}\\/Patient\\/1` }))
  const escaped = row(`"a":${JSON.stringify(before).replaceAll('\\\\', '\\')}`)
  const { rows } = await run([escaped, escaped.replaceAll('\\/', '/')], { context: { vendorBases } })
  for (const out of rows) expect(out).toBe(row(`"a":${JSON.stringify(before.map(() => ({ reference: 'Patient/1' })))}`))
  const observation = { resourceType: 'Observation', subject: { reference: 'https://example.org/fhir/r4/Patient/1' } }
  expect((await run([observation], { context: { vendorBases }, work: { patients: ['1'] } })).rows).toHaveLength(1)
})

describe('addresses of attachments', () => {
  it.each([
    [`"content":[{"attachment":{"url":"${BASE}/Binary/1"}}]`, `${BASE}/Binary/1`, {}],
    [
      '"content":[{"attachment":{"contentType":"text/plain","url":"Binary/1"}}]',
      `${BASE}/Binary/1`,
      { contentType: 'text/plain' },
    ],
    ['"content":[{"attachment":{"url":"/fhir/r4/Binary/1","title":"ü"}}]', `${BASE}/Binary/1`, {}],
    ['"content":[{"attachment":{"url":"https://ehr.example.org/docs/1"}}]', 'https://ehr.example.org/docs/1', {}],
    ['"a":{"url":"https:\\/\\/ehr.example.org\\/docs\\/1", "extension":[{"url":"x"}]}', 'https://ehr.example.org/docs/1', {}],
    [`"extension":[{"url":"x","valueAttachment":{"url":"${BASE}/Binary/1"}}]`, `${BASE}/Binary/1`, {}],
  ])('at the vendor become ours [FI-14]: %s', async (members, url, about) => {
    const after = await rewritten(members)
    expect(asked).toEqual([[url, { type: 'DocumentReference', ...about }]])
    expect(after).toContain(`"url":"${OURS}1"`)
    expect(after.replace(`"${OURS}1"`, '@')).toBe(members.replace(/"(?:[^"]*\/docs\\?\/1|[^"]*Binary\/1)"/, '@'))
  })

  it.each([
    `"extension":[{"url":"${BASE}/StructureDefinition/x","valueString":"y"}]`,
    `"extension":[{"url":"${BASE}/Binary/1"}]`,
    `"modifierExtension":[{"url":"${BASE}/Binary/1","id":"x"}]`,
    `"content":[{"attachment":{"url":"${BASE}/Binary/public"}}]`,
    '"content":[{"attachment":{"url":"https://other.example.org/Binary/1"}}]',
    '"content":[{"attachment":{"url":"https://ehr.example.org@other.example.org/Binary/1"}}]',
    '"content":[{"attachment":{"url":"//other.example.org/Binary/1"}}]',
    `"url":"${BASE}/Questionnaire/1"`,
    `"link":[{"relation":"self","url":"${BASE}/Binary/1"}]`,
    '"note":[{"text":"\\"url\\":\\"Binary/1\\""}]',
  ])('elsewhere, and what is no attachment, stay as they are [FI-14]: %s', async (members) => {
    expect(await rewritten(members)).toBe(members)
  })

  it('are rewritten beside references, and not in rows that are left out [FI-14]', async () => {
    asked.length = 0
    const work = { sinceMs: Date.parse('2026-01-01T00:00:00Z') }
    const { rows } = await run([documentOf('a', '2025-01-01T00:00:00Z'), documentOf('b', '2026-02-01T00:00:00Z')], {
      context,
      work,
    })
    expect(rows).toEqual([
      `{"resourceType":"DocumentReference","id":"b","meta":{"lastUpdated":"2026-02-01T00:00:00Z"},"subject":{"reference":"Patient/1"},"content":[{"attachment":{"url":"${OURS}1"}},{"attachment":{"url":"${OURS}2"}}],"custodian":{"reference":"Organization/1"}}`,
    ])
    expect(asked).toHaveLength(2)
  })

  it('are not looked for in what an export leaves out [PA-08] [FI-14]', async () => {
    asked.length = 0
    const { text } = await run([row(`"content":[],"note":{"url":"${BASE}/Binary/1"}`)], { context, work: { elements: ['date'] } })
    expect([text.includes('Binary'), asked]).toEqual([false, []])
  })
})
