import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileTypeFilters } from '../../src/rows/type-filter.ts'

/** Enough of each that values often meet. */
const CODES = ['a', 'B', 'b', 'c|d', 'e,f', '']
const SYSTEMS = ['urn:x', 'urn:X', 'urn:y', undefined]

const test = (type: string, query: string): ((resource: Record<string, unknown>) => boolean) => {
  const [compiled] = compileTypeFilters([`${type}?${query}`]).values()
  return (resource) => compiled?.(resource) ?? false
}
const escaped = (text: string): string => text.replace(/[\\,|$]/g, (character) => `\\${character}`)
const parameter = (name: string, values: readonly string[]): string => `${name}=${encodeURIComponent(values.join(','))}`
/** A text without case and acute accents, which are the only ones here. */
const base = (text: string): string => text.normalize('NFD').replaceAll('\u0301', '').toLowerCase()

const RUNS = { numRuns: 3000 }

describe('evaluated filters are what plain code finds', () => {
  it('for tokens: any coding by code and system, alternatives, negation [PA-13]', () => {
    const coding = fc.record({
      code: fc.constantFrom(...CODES.filter((code) => code !== '')),
      system: fc.constantFrom(...SYSTEMS),
    })
    const wanted = fc.record({
      code: fc.constantFrom(...CODES),
      system: fc.constantFrom('any', ...SYSTEMS),
    })
    const property = fc.property(
      fc.array(coding, { maxLength: 3 }),
      fc.array(
        wanted.filter(({ code, system }) => code !== '' || (system !== undefined && system !== 'any')),
        { minLength: 1, maxLength: 3 },
      ),
      fc.constantFrom('Observation', 'Condition', 'MedicationRequest'),
      fc.boolean(),
      (codings, values, type, isNegated) => {
        const member = type === 'MedicationRequest' ? 'medicationCodeableConcept' : 'code'
        const words = values.map(({ code, system }) => (system === 'any' ? '' : `${system ?? ''}|`) + escaped(code))
        let expected = false
        for (const { code, system } of codings) {
          for (const value of values) {
            const isCode = value.code === '' || value.code.toLowerCase() === code.toLowerCase()
            if (isCode && (value.system === 'any' || value.system === system)) expected = true
          }
        }
        const query = parameter(`code${isNegated ? ':not' : ''}`, words)
        expect(test(type, query)({ [member]: { coding: codings } })).toBe(expected !== isNegated)
      },
    )
    fc.assert(property, RUNS)
  })

  it('for codes of FHIR itself: case counts [PA-13]', () => {
    const word = fc.constantFrom('final', 'FINAL', 'amended', undefined)
    const property = fc.property(word, fc.array(word, { minLength: 1, maxLength: 2 }), (status, values) => {
      const given = values.map((value) => value ?? 'other')
      const resource = status === undefined ? {} : { status }
      expect(test('Observation', parameter('status', given))(resource)).toBe(given.some((value) => value === status))
      expect(test('Observation', `status:missing=${status === undefined}`)(resource)).toBe(true)
    })
    fc.assert(property, RUNS)
  })

  it('for strings: what begins with it, without case and accents [PA-13]', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'A', 'á', 'e\u0301', 'é', 'E', 'b'), minLength: 1, maxLength: 4 })
    const property = fc.property(fc.array(letters, { maxLength: 3 }), letters, (given, value) => {
      const resource = { name: [{ given }] }
      const [plain, exact, contains] = ['given', 'given:exact', 'given:contains'].map((name) =>
        test('Patient', parameter(name, [value])),
      )
      expect(plain?.(resource)).toBe(given.some((each) => base(each).slice(0, base(value).length) === base(value)))
      expect(exact?.(resource)).toBe(given.includes(value))
      expect(contains?.(resource)).toBe(given.some((each) => base(each).split(base(value)).length > 1))
    })
    fc.assert(property, RUNS)
  })

  it('for dates: every prefix over every precision, against the seconds that a value covers [PA-13]', () => {
    /** A date of early 2020 or so, a leap year, and the first and last second that it covers. */
    const dates = fc
      .record({
        at: fc.date({ min: new Date('2019-12-30T00:00:00Z'), max: new Date('2020-05-02T00:00:00Z'), noInvalidDate: true }),
        length: fc.constantFrom(4, 7, 10, 19),
        offsetHours: fc.constantFrom(0, 5, -8),
      })
      .map(({ at, length, offsetHours }) => {
        const text = at.toISOString().slice(0, length)
        if (length === 19) {
          const second = Date.parse(`${text}Z`) / 1000 - offsetHours * 3600
          const zone = `${offsetHours < 0 ? '-' : '+'}${String(Math.abs(offsetHours)).padStart(2, '0')}:00`
          return { text: `${text}${zone}`, first: second, last: second }
        }
        const next = new Date(`${text}${'-01-01'.slice(length - 4)}T00:00:00Z`)
        const first = next.getTime() / 1000
        if (length === 4) next.setUTCFullYear(next.getUTCFullYear() + 1)
        if (length === 7) next.setUTCMonth(next.getUTCMonth() + 1)
        if (length === 10) next.setUTCDate(next.getUTCDate() + 1)
        return { text, first, last: next.getTime() / 1000 - 1 }
      })
    const period = fc
      .record({ start: fc.option(dates), end: fc.option(dates) })
      .filter(({ start, end }) => start !== null || end !== null)
    const target = fc.oneof(
      dates.map(({ text, first, last }) => ({ resource: { effectiveDateTime: text }, first, last })),
      period.map(({ start, end }) => ({
        resource: {
          effectivePeriod: { ...(start === null ? {} : { start: start.text }), ...(end === null ? {} : { end: end.text }) },
        },
        first: start?.first ?? -Infinity,
        last: end?.last ?? Infinity,
      })),
    )
    const prefixes = ['', 'eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'] as const
    const property = fc.property(target, dates, fc.constantFrom(...prefixes), ({ resource, first, last }, search, prefix) => {
      const contains = first >= search.first && last <= search.last
      const expected = {
        '': contains,
        eq: contains,
        ne: !contains,
        gt: last > search.last,
        lt: first < search.first,
        ge: last >= search.first,
        le: first <= search.last,
        sa: first > search.last,
        eb: last < search.first,
        ap: last >= search.first && first <= search.last,
      }[prefix]
      expect(test('Observation', parameter('date', [`${prefix}${search.text}`]))(resource)).toBe(expected)
    })
    fc.assert(property, RUNS)
  })

  it('for criteria together: all of one filter, any of several [PA-14]', () => {
    const choice = fc.record({ status: fc.constantFrom('final', 'amended'), patient: fc.constantFrom('1', '2', '3') })
    const property = fc.property(choice, fc.array(choice, { minLength: 1, maxLength: 3 }), (row, filters) => {
      const queries = filters.map(({ status, patient }) => `Observation?status=${status}&patient=Patient/${patient}`)
      const compiled = compileTypeFilters(queries).get('Observation')
      const resource = { status: row.status, subject: { reference: `Patient/${row.patient}` } }
      expect(compiled?.(resource)).toBe(filters.some(({ status, patient }) => status === row.status && patient === row.patient))
    })
    fc.assert(property, RUNS)
  })

  it('nothing that a client writes makes anything but an answer or a sentence', () => {
    const piece = fc.constantFrom(
      'code',
      'date',
      'subject',
      ':',
      '.',
      'not',
      'missing',
      '=',
      ',',
      '|',
      '\\',
      '%',
      '%2C',
      '+',
      '&',
      'ge',
      '2020',
      'Patient/1',
      'é',
      '\u0000',
    )
    const property = fc.property(fc.array(piece, { minLength: 1, maxLength: 8 }), (pieces) => {
      let compiled: ((resource: Record<string, unknown>) => boolean) | undefined
      try {
        compiled = test('Observation', pieces.join(''))
      } catch (error) {
        expect((error as Error).message).toMatch(/^(Observation|The filter).*\.$/)
        return
      }
      expect([true, false]).toContain(compiled({ code: { coding: [{ code: 'x' }] }, subject: { reference: 'Patient/1' } }))
    })
    fc.assert(property, RUNS)
  })
})
