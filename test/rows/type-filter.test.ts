import { describe, expect, it } from 'vitest'
import { compileTypeFilters, typeFilterProblem } from '../../src/rows/type-filter.ts'

type Resource = Readonly<Record<string, unknown>>

/** Whether a resource passes a filter that must be possible. */
const passes = (filter: string, resource: Resource, bases?: readonly string[]): boolean => {
  expect(typeFilterProblem(filter)).toBeUndefined()
  const [[type, test] = ['', () => false]] = [...compileTypeFilters([filter], bases)]
  return test({ resourceType: type, ...resource })
}

const coding = (code: string, system?: string, display?: string): Resource => ({
  code,
  ...(system === undefined ? {} : { system }),
  ...(display === undefined ? {} : { display }),
})
const concept = (code: string, system?: string, text?: string): Resource => ({
  coding: [coding(code, system)],
  ...(text === undefined ? {} : { text }),
})
const to = (reference: string): Resource => ({ reference })

const mg = (value: number, more = {}): Resource => ({
  value,
  unit: 'mg',
  system: 'http://unitsofmeasure.org',
  code: 'mg',
  ...more,
})

describe('tokens, as R4 §3.1.1.4.10 [PA-13]', () => {
  const loinc = { code: { coding: [coding('1234-5', 'http://loinc.org', 'Glucose'), coding('GLU')], text: 'Sugar in blood' } }
  it.each([
    ['code=1234-5', true],
    ['code=1234', false],
    ['code=Glucose', false],
    ['code=http://loinc.org|1234-5', true],
    ['code=http%3A%2F%2Floinc.org%7C1234-5', true],
    ['code=HTTP://LOINC.ORG|1234-5', false],
    ['code=http://snomed.info/sct|1234-5', false],
    ['code=|1234-5', false],
    ['code=|GLU', true],
    ['code=glu', true],
    ['code=http://loinc.org|', true],
    ['code=http://snomed.info/sct|', false],
    ['code=nothing,GLU', true],
    ['code=GLU&code=1234-5', true],
    ['code=GLU&code=other', false],
    ['code:not=GLU', false],
    ['code:not=other', true],
    ['code:not=other,GLU', false],
    ['code:text=sugar', true],
    ['code:text=Sugar%20in', true],
    ['code:text=blood', false],
    ['code:text=glucose', true],
    ['code:text=GLU', true],
    ['code:text=1234', false],
    ['code:missing=true', false],
    ['code:missing=false', true],
    ['%63ode=GLU', true],
  ])('Observation?%s is %s', (query, expected) => {
    expect(passes(`Observation?${query}`, loinc)).toBe(expected)
  })

  it.each([
    ['gender=male', { gender: 'male' }, true],
    ['gender=MALE', { gender: 'male' }, false],
    ['gender=male,female', { gender: 'female' }, true],
    ['gender:not=male', {}, true],
    ['gender:not=male', { gender: 'male' }, false],
    ['gender:missing=true', {}, true],
    ['gender:missing=true', { _gender: { extension: [] } }, true],
    ['active=true', { active: true }, true],
    ['active=false', { active: true }, false],
    ['active=false', { active: false }, true],
    ['active:missing=false', { active: false }, true],
    ['deceased=true', { deceasedDateTime: '2020' }, true],
    ['deceased=true', { deceasedBoolean: true }, true],
    ['deceased=false', { deceasedBoolean: false }, true],
    ['deceased=false', {}, true],
    ['_id=a,b', { id: 'b' }, true],
    ['_id=B', { id: 'b' }, false],
    ['_tag=urn:t|x', { meta: { tag: [coding('y', 'urn:t'), coding('x', 'urn:t')] } }, true],
    ['_tag:not=x', { meta: { tag: [coding('y'), coding('x')] } }, false],
    ['_security=R', { meta: { security: [coding('R')] } }, true],
    ['identifier=urn:mrn|12345', { identifier: [{ system: 'urn:mrn', value: '12345' }] }, true],
    ['identifier=12345', { identifier: [{ system: 'urn:mrn', value: '12345' }] }, true],
    ['identifier=|12345', { identifier: [{ system: 'urn:mrn', value: '12345' }] }, false],
    ['identifier=|12345', { identifier: [{ value: '12345' }] }, true],
    ['identifier=urn:mrn|', { identifier: [{ system: 'urn:mrn' }] }, true],
    ['identifier=a%5C%7Cb', { identifier: [{ value: 'a|b' }] }, true],
    ['identifier=a%5C,b', { identifier: [{ value: 'a,b' }] }, true],
    ['identifier=a%5C,b', { identifier: [{ value: 'a' }] }, false],
    ['identifier=a%5C%24b', { identifier: [{ value: 'a$b' }] }, true],
    ['identifier=a%5C%5Cb', { identifier: [{ value: 'a\\b' }] }, true],
    ['identifier:of-type=urn:t|MR|12', { identifier: [{ type: concept('MR', 'urn:t'), value: '12' }] }, true],
    ['identifier:of-type=urn:t|MR|12', { identifier: [{ type: concept('MR', 'urn:t'), value: '13' }] }, false],
    ['identifier:of-type=urn:t|MR|12', { identifier: [{ type: concept('DL', 'urn:t'), value: '12' }] }, false],
    ['identifier:text=medical', { identifier: [{ type: { text: 'Medical record' }, value: '1' }] }, true],
    ['phone=555', { telecom: [{ system: 'phone', value: '555' }] }, true],
    ['phone=555', { telecom: [{ system: 'fax', value: '555' }] }, false],
    ['telecom=555', { telecom: [{ system: 'fax', value: '555' }] }, true],
    ['phone=%2B1555', { telecom: [{ system: 'phone', value: '+1555' }] }, true],
    ['email=a@b.c', { telecom: [{ system: 'email', value: 'A@b.c' }] }, true],
    ['language=en', { communication: [{ language: concept('en') }] }, true],
  ])('Patient?%s of %j is %s', (query, resource, expected) => {
    expect(passes(`Patient?${query}`, resource)).toBe(expected)
  })

  it('a concept with a text alone has no code but a text', () => {
    expect(passes('Condition?code=Headache', { code: { text: 'Headache' } })).toBe(false)
    expect(passes('Condition?code:text=head', { code: { text: 'Headache' } })).toBe(true)
    expect(passes('Condition?code:missing=false', { code: { text: 'Headache' } })).toBe(true)
  })
})

describe('strings, as R4 §3.1.1.4.8 [PA-13]', () => {
  const patient = {
    name: [
      { use: 'official', family: 'Carreño Quinones', given: ['Evelyn', 'Zoë'], prefix: ['Dr.'] },
      { use: 'maiden', family: "O'Brien-Smith", text: 'Eve  O’Brien' },
    ],
    address: [{ use: 'home', line: ['1 Main St.'], city: 'Saint-Denis', state: 'MA', postalCode: '02139', country: 'US' }],
  }
  it.each([
    ['given=eve', true],
    ['given=EVELYN', true],
    ['given=lyn', false],
    ['given:contains=LYN', true],
    ['given:exact=Evelyn', true],
    ['given:exact=evelyn', false],
    ['given:exact=Eve', false],
    ['given=zoe', true],
    ['given=zo%C3%AB', true],
    ['given:exact=Zoe', false],
    ['family=carreno', true],
    ['family=Quinones', true],
    ['family=Smith', true],
    ['family=uinones', false],
    ['family=carreno%20%20quin', true],
    ['family=brien', false],
    ['family=obriensmith', true],
    ['family=obrien', true],
    ["family=o'brien", true],
    ['family:exact=Quinones', false],
    ['family=a,quin', true],
    ['name=evelyn', true],
    ['name=quinones', true],
    ['name=dr', true],
    ['name=eve%20o', true],
    ['name=official', false],
    ['name=eve&name=smith', true],
    ['address=1%20main%20st', true],
    ['address=home', false],
    ['address-city=saint', true],
    ['address-city=denis', false],
    ['address-city=saintdenis', true],
    ['address-state=MA', true],
    ['address-postalcode=021', true],
    ['address-use=home', true],
    ['family:missing=false', true],
  ])('Patient?%s is %s', (query, expected) => {
    expect(passes(`Patient?${query}`, patient)).toBe(expected)
  })

  it('punctuation between the parts of a family name is passed over', () => {
    expect(passes('Patient?family=ramos%20vega', { name: [{ family: 'Ramos . Vega' }] })).toBe(true)
  })

  it('a long name costs no more than its length', () => {
    const family = 'a- '.repeat(300_000)
    expect(passes('Patient?family=zz', { name: [{ family }] })).toBe(false)
    expect(passes('Patient?family=zz', { name: [{ family: `${family} Zz` }] })).toBe(true)
  })
})

describe('dates, as R4 §3.1.1.4.5 and §3.1.1.4.7 [PA-13]', () => {
  it.each([
    // The examples of the specification
    ['2013-01-14', '2013-01-14T00:00:00Z', true],
    ['eq2013-01-14', '2013-01-14T10:00:00Z', true],
    ['eq2013-01-14', '2013-01-15T00:00:00Z', false],
    ['ne2013-01-14', '2013-01-15T00:00:00Z', true],
    ['ne2013-01-14', '2013-01-14T00:00:00Z', false],
    ['ne2013-01-14', '2013-01-14T10:00:00Z', false],
    ['lt2013-01-14T10:00', '2013-01-14', true],
    ['gt2013-01-14T10:00', '2013-01-14', true],
    ['ge2013-03-14', { start: '2013-01-21' }, true],
    ['le2013-03-14', { start: '2013-01-21' }, true],
    ['sa2013-03-14', { start: '2013-03-15' }, true],
    ['sa2013-03-14', { start: '2013-01-21' }, false],
    ['sa2013-03-14', { end: '2013-01-21' }, false],
    ['eb2013-03-14', { start: '2013-03-15' }, false],
    ['eb2013-03-14', { start: '2013-01-21' }, false],
    ['eb2013-03-14', { end: '2013-01-21' }, true],
    ['ap2013-03-14', '2013-03-14', true],
    ['ap2013-03-14', '2013-01-21', false],
    ['ap2013-03-14', '2015-06-15', false],
    // The day itself is not after itself
    ['gt2013-01-14', '2013-01-14T10:00:00Z', false],
    ['gt2013-01-14', '2013-01-15', true],
    ['lt2013-01-14', '2013-01-14', false],
    ['lt2013-01-14', '2013-01-13T23:59:59Z', true],
    ['ge2013-01-14', '2013-01-14', true],
    ['ge2013-01-14', '2013-01-13T23:59:59Z', false],
    ['le2013-01-14', '2013-01-14T23:59:59Z', true],
    ['le2013-01-14', '2013-01-15T00:00:00Z', false],
    // Precision: a year is not within a day, but it may be before and after it
    ['2013-01-14', '2013', false],
    ['2013', '2013-01-14', true],
    ['2013-01', '2013-01-31T23:59:59.999Z', true],
    ['2013-01', '2013-02-01', false],
    ['gt2013-06-01', '2013', true],
    ['lt2013-06-01', '2013', true],
    ['ne2013-06-01', '2013', true],
    ['2012-02', '2012-02-29', true],
    ['2013-12', '2013-12-31', true],
    ['2013-02', '2013-03-01', false],
    ['sa2012-02', '2012-03-01', true],
    ['2013-01-14T10:00', '2013-01-14T10:00:59Z', true],
    ['2013-01-14T10:00', '2013-01-14T10:01:00Z', false],
    ['2013-01-14T10:00:00Z', '2013-01-14T10:00:00.5Z', true],
    ['gt2013-01-14T10:00:00.250Z', '2013-01-14T10:00:00.251Z', true],
    ['gt2013-01-14T10:00:00.250Z', '2013-01-14T10:00:00.250Z', false],
    // Zones
    ['2013-01-14T23:00:00-05:00', '2013-01-15T04:00:00Z', true],
    ['ge2013-01-14T00:00:00+02:00', '2013-01-13T22:00:00Z', true],
    ['ge2013-01-14T00:00:00 02:00', '2013-01-13T22:00:00Z', true],
    ['ge2013-01-14T00%3A00%3A00%2B02%3A00', '2013-01-13T21:59:59Z', false],
    // Periods
    ['2013', { start: '2013-01-01', end: '2013-12-31' }, true],
    ['2013', { start: '2013-01-01' }, false],
    ['2013-02', { start: '2013-01-01', end: '2013-12-31' }, false],
    ['ap2013-02', { start: '2013-01-01', end: '2013-12-31' }, true],
    ['gt2013-06', { start: '2013-01-01', end: '2013-06-30' }, false],
    ['ge2013-06', { start: '2013-01-01', end: '2013-06-30' }, true],
    ['lt0002', '0001-01-01', true],
    // What is no date is not compared
    ['ne2013', 'soon', false],
    ['ge2013', '2013-02-30', false],
    ['ge2013', { id: 'x' }, false],
    ['2014,2013', '2013-05', true],
  ] as const)('Observation?date=%s of %j is %s', (value, effective, expected) => {
    const member = typeof effective === 'string' ? 'effectiveDateTime' : 'effectivePeriod'
    expect(passes(`Observation?date=${value}`, { [member]: effective })).toBe(expected)
  })

  it('two criteria make an interval', () => {
    const within = 'Procedure?date=ge2010-01-01&date=le2011-12-31'
    expect(passes(within, { performedPeriod: { start: '2010-05-01', end: '2010-05-02' } })).toBe(true)
    expect(passes(within, { performedDateTime: '2012-01-01' })).toBe(false)
    expect(passes(within, { performedString: 'in 2010' })).toBe(false)
  })

  it.each([
    ['2013-02-01', true],
    ['ge2013-03-25', false],
    ['lt2013-01-31', false],
  ])('a Timing counts by its outer limits: ap%s', (value, expected) => {
    const bounds = { repeat: { boundsPeriod: { start: '2013-01-31', end: '2013-03-24' }, period: 2, periodUnit: 'd' } }
    const filter = `Observation?date=${/^\d/.test(value) ? 'ap' : ''}${value}`
    expect(passes(filter, { effectiveTiming: bounds })).toBe(expected)
    expect(passes(filter, { effectiveTiming: { event: ['2013-01-31', '2013-03-24'] } })).toBe(expected)
  })

  it('_lastUpdated is compared, and a resource without it does not match', () => {
    expect(passes('Condition?_lastUpdated=gt2026-01-01T00:00:00Z', { meta: { lastUpdated: '2026-01-01T00:00:01Z' } })).toBe(true)
    expect(passes('Condition?_lastUpdated=gt2026-01-01T00:00:00Z', { meta: { lastUpdated: '2025-12-31T00:00:00Z' } })).toBe(false)
    expect(passes('Condition?_lastUpdated=gt2026-01-01T00:00:00Z', {})).toBe(false)
  })
})

describe('references, as R4 §3.1.1.4.12 [PA-13]', () => {
  const BASE = 'https://ehr.example/r4'
  it.each([
    ['subject=1', to('Patient/1'), true],
    ['subject=1', to('Group/1'), true],
    ['subject=1', to('Patient/11'), false],
    ['subject=1', to('https://other.example/Patient/1'), false],
    ['subject=Patient/1', to('Patient/1'), true],
    ['subject=Patient/1', to('Group/1'), false],
    ['subject=Patient/1', to('Patient/1/_history/3'), true],
    ['subject=Patient/1', to(`${BASE}/Patient/1`), true],
    ['subject=1', to(`${BASE}/Patient/1`), true],
    ['subject=Patient/1', to('https://other.example/Patient/1'), false],
    [`subject=${BASE}/Patient/1`, to('Patient/1'), true],
    ['subject=https://other.example/Patient/1', to('https://other.example/Patient/1'), true],
    ['subject=urn:uuid:7', to('urn:uuid:7'), true],
    ['subject:Patient=1', to('Patient/1'), true],
    ['subject:Patient=1', to('Group/1'), false],
    ['subject:Patient=Patient/1', to('Patient/1'), true],
    ['subject=Patient/2,Patient/1', to('Patient/1'), true],
    ['patient=1', to('Patient/1'), true],
    ['patient=Patient/1', to('Patient/1'), true],
    ['patient=1', to('Group/1'), false],
    ['patient:missing=true', to('Group/1'), true],
    ['subject:missing=true', to('Group/1'), false],
    ['subject:identifier=urn:mrn|7', { identifier: { system: 'urn:mrn', value: '7' } }, true],
    ['subject:identifier=urn:mrn|8', { identifier: { system: 'urn:mrn', value: '7' } }, false],
    ['patient:identifier=7', { type: 'Patient', identifier: { value: '7' } }, true],
  ])('Observation?%s of %j is %s', (query, subject, expected) => {
    expect(passes(`Observation?${query}`, { subject }, [BASE])).toBe(expected)
  })

  it('a canonical without a version stands for all of them', () => {
    const response = { questionnaire: 'https://forms.example/q|2.0' }
    expect(passes('QuestionnaireResponse?questionnaire=https://forms.example/q', response)).toBe(true)
    expect(passes('QuestionnaireResponse?questionnaire=https://forms.example/q|2.0', response)).toBe(true)
    expect(passes('QuestionnaireResponse?questionnaire=https://forms.example/q|1.0', response)).toBe(false)
    expect(passes('Patient?_profile=https://p.example/a', { meta: { profile: ['https://p.example/ab'] } })).toBe(false)
    expect(passes('Patient?_profile=https://p.example/a', { meta: { profile: ['https://p.example/a|7.0.0'] } })).toBe(true)
  })
})

describe('numbers and quantities, as R4 §3.1.1.4.6 and §3.1.1.4.11 [PA-13]', () => {
  it.each([
    ['5.4', mg(5.4), true],
    ['5.4', mg(5.35), true],
    ['5.4', mg(5.45), false],
    ['5.40', mg(5.35), false],
    ['100', mg(99.5), true],
    ['100', mg(100.5), false],
    ['100.00', mg(100.004), true],
    ['ne100', mg(100.4), false],
    ['ne100', mg(101), true],
    ['gt5.4', mg(5.4), false],
    ['gt5.4', mg(5.41), true],
    ['ge5.4', mg(5.4), true],
    ['lt5.4', mg(5.39), true],
    ['le5.4', mg(5.4), true],
    ['sa5.4', mg(5.41), true],
    ['eb5.4', mg(5.41), false],
    ['gt54e-1', mg(5.5), true],
    ['ap5', mg(5.5), true],
    ['ap5', mg(5.6), false],
    ['-5', mg(-5), true],
    ['5.4|http://unitsofmeasure.org|mg', mg(5.4), true],
    ['5.4|http://unitsofmeasure.org|g', mg(5.4), false],
    ['5.4||mg', mg(5.4), true],
    ['5.4||mg', { value: 5.4, unit: 'mg' }, true],
    ['5.4|http://unitsofmeasure.org|mg', { value: 5.4, unit: 'mg' }, false],
    ['lt5', mg(5, { comparator: '<' }), true],
    ['ge5', mg(5, { comparator: '<' }), false],
    ['gt7', mg(5, { comparator: '>=' }), true],
    ['5', mg(5, { comparator: '>' }), false],
    ['gt1', { unit: 'mg' }, false],
  ])('Observation?value-quantity=%s of %j is %s', (value, quantity, expected) => {
    expect(passes(`Observation?value-quantity=${value}`, { valueQuantity: quantity })).toBe(expected)
  })

  it('a range counts by its ends, a probability by its value', () => {
    const onset = { onsetRange: { low: { value: 40, code: 'a' }, high: { value: 50, code: 'a' } } }
    expect(passes('Condition?onset-age=gt45||a', onset)).toBe(true)
    expect(passes('Condition?onset-age=gt50||a', onset)).toBe(false)
    expect(passes('Condition?onset-age=45', onset)).toBe(false)
    expect(passes('Condition?onset-age=gt45||mo', onset)).toBe(false)
    expect(passes('RiskAssessment?probability=gt0.8', { prediction: [{ probabilityDecimal: 0.9 }] })).toBe(true)
    expect(passes('RiskAssessment?probability=gt0.8', { prediction: [{ probabilityDecimal: 0.8 }] })).toBe(false)
  })
})

describe('filters together', () => {
  it('of one type are alternatives, of two types are apart [PA-14]', () => {
    const tests = compileTypeFilters(['Condition?category=a', 'Condition?category=b&encounter=1', 'Patient?gender=male'])
    const condition = tests.get('Condition')
    expect([...tests.keys()]).toEqual(['Condition', 'Patient'])
    expect(condition?.({ category: [concept('a')] })).toBe(true)
    expect(condition?.({ category: [concept('b')] })).toBe(false)
    expect(condition?.({ category: [concept('b')], encounter: to('Encounter/1') })).toBe(true)
    expect(condition?.({ category: [concept('c')] })).toBe(false)
    expect(tests.get('Patient')?.({ gender: 'female' })).toBe(false)
  })

  it.each([
    {},
    { code: null, subject: null, category: [null], effectivePeriod: null },
    { code: 'x', subject: 'Patient/1', category: 'y', effectiveDateTime: 7, valueQuantity: [] },
    { code: { coding: ['z', null, 3] }, category: [[{}]], valueQuantity: { value: 'many' } },
  ])('a resource that is not as it should be does not match, and nothing throws: %j', (resource) => {
    const filters = [
      'code=q',
      'subject=2',
      'category=q',
      'date=ge2020',
      'value-quantity=gt1',
      'code:text=q',
      '_lastUpdated=2020',
      '_tag=q',
    ]
    for (const filter of filters) expect(passes(`Observation?${filter}`, resource)).toBe(false)
  })
})

describe('a filter that cannot be evaluated is refused with what to do [PA-16]', () => {
  it.each([
    ['Observation?subject.name=peter', /chained .* Name the resource's id/],
    ['Observation?subject:Patient.name=peter', /chained/],
    ['Patient?_has:Observation:patient:code=1234-5', /other resources/],
    ['Condition?code:in=http://acme.example/vs', /terminology/],
    ['Condition?code:not-in=http://acme.example/vs', /terminology/],
    ['Condition?code:below=126851005', /List the codes/],
    ['Encounter?location:above=1', /hierarchy/],
    ['Observation?code-value-quantity=a$gt5', /\/metadata/],
    ['Location?near=42|-71', /\/metadata/],
    ['Patient?phonetic=smith', /\/metadata/],
    ['Patient?_text=x', /\/metadata/],
    ['Patient?_filter=x', /\/metadata/],
    ['Patient?nonsense=x', /Patient\?nonsense is not a search parameter/],
    ['Patient?constructor=x', /not a search parameter/],
    ['Patient?gender', /no value/],
    ['Patient?gender=', /no value/],
    ['Patient?gender=male,', /a code alone/],
    ['Patient?given:exact=Eve,', /must be text/],
    ['Patient?_profile=,https://p.example/a', /must be a URI/],
    ['Patient?gender=http://hl7.org/fhir/administrative-gender|male', /a code alone/],
    ['Patient?active:text=x', /modifier/],
    ['Patient?name:text=x', /modifier/],
    ['Patient?birthdate:not=2000', /modifier/],
    ['Patient?gender:missing=maybe', /true or false/],
    ['Patient?birthdate=tomorrow', /a date, such as/],
    ['Patient?birthdate=2000-13', /a date/],
    ['Patient?birthdate=2001-02-29', /a date/],
    ['Patient?birthdate=2000-01-01T10', /a date/],
    ['Patient?family=%2D', /must be text/],
    ['Patient?family=%E0%A4', /percent-encoded/],
    ['Patient?family=100%', /%25/],
    ['Patient?name=a+b', /%2B/],
    ['Patient?identifier=|', /system\|code/],
    ['Patient?identifier=a|b|c', /system\|code/],
    ['Patient?identifier:of-type=a|b', /system\|code\|value/],
    ['Patient?identifier:exact=1', /modifier/],
    ['Observation?value-quantity=many', /a number/],
    ['Observation?value-quantity=1e2', /a number/],
    ['Observation?value-quantity=5|mg', /a number/],
    ['Observation?value-quantity=5|s|', /a number/],
    ['Observation?subject:Patient=Group/1', /Type\/id/],
    ['Observation?subject:Patient=https://x.example/Patient/1', /Type\/id/],
    ['Observation?subject:Nonsense=1', /modifier/],
    ['Observation?subject=a/b/c', /Type\/id/],
    ['Patient?&', /no criterion/],
    ['Patient', /Use Type\?query/],
  ])('%s', (filter, sentence) => {
    expect(typeFilterProblem(filter)).toMatch(sentence)
    expect(() => compileTypeFilters([filter])).toThrow(sentence)
  })

  it('says nothing of the value', () => {
    for (const filter of [
      'Patient?birthdate=SECRET',
      'Patient?gender:in=SECRET',
      'Observation?subject.name=SECRET',
      'Patient?x=SECRET',
    ]) {
      expect(typeFilterProblem(filter)).not.toContain('SECRET')
    }
  })
})
