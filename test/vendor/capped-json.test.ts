import { expect, it } from 'vitest'
import { MAX_JSON_DEPTH, MAX_JSON_VALUES, MAX_STRING_LENGTH, parseCappedJson } from '../../src/vendor/capped-json.ts'

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
const REFUSED = expect.objectContaining({ code: 'vendor_answer_invalid' }) as unknown
const parse = (text: string, maxStringLength?: number): unknown => {
  try {
    return parseCappedJson(text, maxStringLength)
  } catch (error) {
    return error
  }
}

it.each([
  '{}',
  ' [1, 2.5e3, "three", null, true] ',
  String.raw`{"a":"\\","b":"\"[[[","c":"\\\"{{{","d":""}`,
  '"text"',
  '{"a":{"b":[{"c":[]}]}}',
])('%s is what JSON.parse makes of it', (text) => {
  expect(parse(text, MAX_STRING_LENGTH)).toEqual(JSON.parse(text))
})

it('JSON may be as deep as is allowed, and no deeper', () => {
  expect(parse(nested(MAX_JSON_DEPTH))).toEqual(JSON.parse(nested(MAX_JSON_DEPTH)))
  expect(parse(nested(MAX_JSON_DEPTH + 1))).toEqual(REFUSED)
  expect(parse('{"a":'.repeat(MAX_JSON_DEPTH + 1))).toEqual(REFUSED)
})

it('lists side by side are no deeper than one', () => {
  expect(parse(`[${Array.from({ length: 1000 }, () => '[]').join()}]`)).toHaveLength(1000)
})

it('brackets within strings count for nothing, whatever is escaped around them', () => {
  const brackets = '['.repeat(MAX_JSON_DEPTH * 2)
  for (const text of [`"${brackets}"`, String.raw`"\"${brackets}"`, String.raw`"\\\"${brackets}"`])
    expect(parse(`[${text}]`)).toEqual(JSON.parse(`[${text}]`))
  expect(parse(String.raw`["\\",${brackets}`)).toEqual(REFUSED)
})

it('a million levels cost one pass and no stack', () => {
  expect(parse(nested(1_000_000))).toEqual(REFUSED)
  expect(parse(`"${'\\'.repeat(2_000_000)}"`)).toHaveLength(1_000_000)
})

it('JSON may hold as many values as are allowed, and no more', () => {
  expect(parse(`[${'0,'.repeat(MAX_JSON_VALUES - 2)}0]`)).toHaveLength(MAX_JSON_VALUES - 1)
  expect(parse(`[${'0,'.repeat(MAX_JSON_VALUES)}0]`)).toEqual(REFUSED)
  expect(parse(`[${'{},'.repeat(MAX_JSON_VALUES / 2)}{}]`)).toEqual(REFUSED)
})

it('a string may be as long as is asked for, and without a wish as long as it likes', () => {
  expect(parse(`"${'a'.repeat(10)}"`, 10)).toBe('a'.repeat(10))
  expect(parse(`"${'a'.repeat(11)}"`, 10)).toEqual(REFUSED)
  expect(parse(`{"${'a'.repeat(11)}":1}`, 10)).toEqual(REFUSED)
  expect(parse(`"${'a'.repeat(1_000_000)}"`)).toHaveLength(1_000_000)
})

it.each(['{', '[1,]', '"open', ']]]', '{"a":1}}', ''])('%j is a syntax error, as ever', (text) => {
  expect(parse(text)).toBeInstanceOf(SyntaxError)
})

it('a key that names a prototype is a member like any other, and changes none', () => {
  const parsed = parseCappedJson('{"__proto__":{"output":[]}}') as Record<string, unknown>
  expect(Object.hasOwn(parsed, 'output')).toBe(false)
  expect(parsed['output']).toBeUndefined()
  expect(({} as Record<string, unknown>)['output']).toBeUndefined()
})

it('an error says nothing of what was sent', () => {
  expect(String(parse(`["secret",${nested(100)}]`))).not.toContain('secret')
})
