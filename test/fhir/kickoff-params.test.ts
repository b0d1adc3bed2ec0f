import { describe, expect, it } from 'vitest'
import { ExportError } from '../../src/errors.ts'
import {
  KICKOFF_PARAMETERS,
  type KickoffOptions,
  type KickoffParams,
  parseKickoffParameters,
  parseKickoffQuery,
} from '../../src/fhir/kickoff-params.ts'
import { RESOURCE_TYPES } from '../../src/fhir/resource-types.ts'

const STRICT: KickoffOptions = { level: 'group', lenient: false, base: 'https://facade.example/fhir/acme' }
const LENIENT: KickoffOptions = { ...STRICT, lenient: true }
const NONE: KickoffParams = { type: [], elements: [], patient: [], includeAssociatedData: [], typeFilter: [] }

const body = (...parameter: readonly object[]): object => ({ resourceType: 'Parameters', parameter })

const errorOf = (run: () => unknown): ExportError => {
  try {
    run()
  } catch (error) {
    if (error instanceof ExportError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

it('knows the ten parameters of 3.0.0 and the 146 concrete types of R4 [PA-07]', () => {
  expect(KICKOFF_PARAMETERS).toHaveLength(10)
  expect(RESOURCE_TYPES.size).toBe(146)
  expect(RESOURCE_TYPES.has('DomainResource')).toBe(false)
})

describe('a credential among the parameters', () => {
  const names = [
    'access_token',
    'Access-Token',
    'token',
    'id_token',
    'client_secret',
    'client_assertion',
    'apikey',
    'x-api-key',
    'password',
  ]
  it.each(names)('%s is refused, lenient or not, with where it belongs, and its value is not repeated', (name) => {
    for (const options of [STRICT, LENIENT]) {
      const refusals = [
        errorOf(() => parseKickoffQuery(`?${name}=s3cret`, options)),
        errorOf(() => parseKickoffParameters(body({ name, valueString: 's3cret' }), options)),
      ]
      for (const { code, diagnostics, options: about } of refusals) {
        expect([code, about.parameter]).toEqual(['parameter_unknown', name])
        expect(diagnostics).toContain('Authorization header')
        expect(diagnostics).not.toContain('s3cret')
      }
    }
  })

  it.each(['tokens', '_tokenless', 'key', '_secretary'])('%s is any unknown parameter, and lenient clients go on', (name) => {
    expect(parseKickoffQuery(`?${name}=1`, LENIENT).ignored).toMatchObject([{ parameter: name }])
  })
})

describe('GET', () => {
  it.each<[string, Partial<KickoffParams>, string]>([
    ['', {}, 'no parameters'],
    ['?', {}, 'no parameters'],
    ['?_type=Patient,Condition', { type: ['Patient', 'Condition'] }, 'KO-05'],
    ['?_type=Patient&_type=Condition', { type: ['Patient', 'Condition'] }, 'KO-05'],
    ['?_type=Patient,Condition&_type=Patient', { type: ['Patient', 'Condition'] }, 'KO-05 N-04'],
    ['?_type=Patient,,%20Condition,', { type: ['Patient', 'Condition'] }, 'KO-05'],
    ['?_outputFormat=application/fhir+ndjson', { outputFormat: 'application/fhir+ndjson' }, 'PA-01'],
    ['?_outputFormat=application%2Ffhir%2Bndjson', { outputFormat: 'application/fhir+ndjson' }, 'PA-01'],
    ['?_outputFormat=Application/NDJSON', { outputFormat: 'application/ndjson' }, 'PA-01'],
    ['?_outputFormat=ndjson&_outputFormat=ndjson', { outputFormat: 'ndjson' }, 'PA-01'],
    ['?_since=2026-01-31T00:00:00Z', { since: '2026-01-31T00:00:00Z' }, 'PA-02'],
    ['?_since=2026-01-31T00:00:00.123456%2B05:00', { since: '2026-01-31T00:00:00.123456+05:00' }, 'PA-02'],
    ['?_since=2026-01-31T00:00:00+05:00', { since: '2026-01-31T00:00:00+05:00' }, 'PA-02'],
    ['?_until=2026-01-31T00:00:00-05:00', { until: '2026-01-31T00:00:00-05:00' }, 'PA-04'],
    ['?_elements=id,Patient.name', { elements: ['id', 'Patient.name'] }, 'PA-08'],
    [
      '?includeAssociatedData=LatestProvenanceResources,_custom',
      { includeAssociatedData: ['LatestProvenanceResources', '_custom'] },
      'PA-11',
    ],
    ['?_typeFilter=Condition%3Fcode%3Da,b', { typeFilter: ['Condition?code=a,b'] }, 'PA-14'],
    [
      '?_typeFilter=Condition%3Fcode%3Da,b,Patient%3Factive%3Dtrue&_typeFilter=Condition%3Fcode%3Dc',
      { typeFilter: ['Condition?code=a,b', 'Patient?active=true', 'Condition?code=c'] },
      'PA-14',
    ],
    ['?_typeFilter=Patient%3F_id%3D1%26_lastUpdated%3Dgt2020', { typeFilter: ['Patient?_id=1&_lastUpdated=gt2020'] }, 'PA-13'],
    ['?organizeOutputBy=Patient', { organizeOutputBy: 'Patient' }, 'PA-17'],
    ['?allowPartialManifests=true', { allowPartialManifests: true }, 'PA-18'],
    ['?allowPartialManifests=false', { allowPartialManifests: false }, 'PA-18'],
  ])('%s gives %j [%s]', (search, expected) => {
    expect(parseKickoffQuery(search, STRICT)).toEqual({ params: { ...NONE, ...expected }, ignored: [] })
  })

  it.each([
    ['?foo=1', 'parameter_unknown', 'foo', 'KO-09'],
    ['?_TYPE=Patient', 'parameter_unknown', '_TYPE', 'KO-09'],
    ['?__proto__=1', 'parameter_unknown', '__proto__', 'KO-09'],
    ['?_outputFormat=text/csv', 'parameter_unsupported', '_outputFormat', 'PA-01'],
    ['?_outputFormat=', 'parameter_invalid', '_outputFormat', 'PA-01'],
    ['?_outputFormat=ndjson&_outputFormat=application/ndjson', 'parameter_invalid', '_outputFormat', 'PA-01'],
    ['?_since=yesterday', 'parameter_invalid', '_since', 'PA-02'],
    ['?_since=2026-01-31', 'parameter_invalid', '_since', 'PA-02'],
    ['?_since=2026-01-31T00:00:00', 'parameter_invalid', '_since', 'PA-02'],
    ['?_since=2026-02-30T00:00:00Z', 'parameter_invalid', '_since', 'PA-02'],
    ['?_since=2026-01-31T00:00:00Z&_since=2026-01-30T00:00:00Z', 'parameter_invalid', '_since', 'PA-02'],
    ['?_since=2026-01-31T00:00:00Z,2026-01-30T00:00:00Z', 'parameter_invalid', '_since', 'PA-02'],
    ['?_until=', 'parameter_invalid', '_until', 'PA-04'],
    ['?_type=Foo', 'parameter_unsupported', '_type', 'PA-07'],
    ['?_type=Patient,patient', 'parameter_unsupported', '_type', 'PA-07'],
    ['?_type=', 'parameter_invalid', '_type', 'PA-07'],
    ['?_type=,', 'parameter_invalid', '_type', 'PA-07'],
    ['?patient=Patient/1', 'parameter_invalid', 'patient', 'PA-09'],
    ['?_elements=Patient.name.family', 'parameter_invalid', '_elements', 'PA-08'],
    ['?_elements=Foo.name', 'parameter_unsupported', '_elements', 'PA-08'],
    ['?includeAssociatedData=Everything', 'parameter_unsupported', 'includeAssociatedData', 'PA-11'],
    ['?_typeFilter=Patient', 'parameter_invalid', '_typeFilter', 'PA-13'],
    ['?_typeFilter=Patient%3F', 'parameter_invalid', '_typeFilter', 'PA-13'],
    ['?_typeFilter=Foo%3Fa%3Db', 'parameter_unsupported', '_typeFilter', 'PA-13'],
    ['?_typeFilter=Patient%3F_include%3DPatient:organization', 'parameter_unsupported', '_typeFilter', 'PA-15'],
    ['?_typeFilter=Patient%3Factive%3Dtrue%26_include:iterate%3Dx', 'parameter_unsupported', '_typeFilter', 'PA-15'],
    ['?_typeFilter=Patient%3Factive%3Dtrue%26%255Fsort%3Dname', 'parameter_unsupported', '_typeFilter', 'PA-15'],
    ['?organizeOutputBy=Nobody', 'parameter_unsupported', 'organizeOutputBy', 'PA-17'],
    ['?allowPartialManifests=yes', 'parameter_invalid', 'allowPartialManifests', 'PA-18'],
  ])('%s is refused as %s, naming %s [%s]', (search, code, parameter) => {
    const error = errorOf(() => parseKickoffQuery(search, STRICT))
    expect(error.code).toBe(code)
    expect(error.options.parameter).toBe(parameter)
    expect(error.diagnostics).toContain(parameter)
  })
})

describe('lenient', () => {
  it.each<[string, Partial<KickoffParams>, readonly string[]]>([
    ['?foo=1&foo=2&bar=3', {}, ['foo', 'bar']],
    ['?_type=Foo,Patient', { type: ['Patient'] }, ['_type']],
    ['?_elements=Foo.name,id', { elements: ['id'] }, ['_elements']],
    ['?includeAssociatedData=Everything', {}, ['includeAssociatedData']],
    ['?_typeFilter=Foo%3Fa%3Db', {}, ['_typeFilter']],
    ['?_typeFilter=Patient%3Factive%3Dtrue%26_sort%3Dname', { typeFilter: ['Patient?active=true'] }, ['_typeFilter']],
    ['?organizeOutputBy=Nobody', {}, ['organizeOutputBy']],
  ])('%s goes on as %j and reports %j [KO-09, MF-22]', (search, expected, parameters) => {
    const { params, ignored } = parseKickoffQuery(search, LENIENT)
    expect(params).toEqual({ ...NONE, ...expected })
    expect(ignored.map(({ parameter }) => parameter)).toEqual(parameters)
  })

  it.each([
    ['?_type=Foo', '_type', 'PA-07'],
    ['?_since=yesterday', '_since', 'PA-02'],
    ['?_outputFormat=text/csv', '_outputFormat', 'PA-01'],
    ['?_elements=a.b.c', '_elements', 'PA-08'],
    ['?_typeFilter=Patient%3F_sort%3Dname', '_typeFilter', 'PA-15'],
    ['?patient=Patient/1', 'patient', 'PA-09'],
  ])('%s is refused all the same: without %s the export would not be what was asked [%s]', (search, parameter) => {
    expect(errorOf(() => parseKickoffQuery(search, LENIENT)).options.parameter).toBe(parameter)
  })
})

describe('POST', () => {
  it.each<[unknown, Partial<KickoffParams>, string]>([
    [undefined, {}, 'KO-03'],
    [{ resourceType: 'Parameters' }, {}, 'KO-03'],
    [body(), {}, 'KO-03'],
    [
      body({ name: '_type', valueString: 'Patient' }, { name: '_type', valueCode: 'Condition' }),
      { type: ['Patient', 'Condition'] },
      'KO-05',
    ],
    [body({ name: '_type', valueString: 'Patient,Condition' }), { type: ['Patient', 'Condition'] }, 'KO-05'],
    [body({ name: '_since', valueInstant: '2026-01-31T00:00:00Z' }), { since: '2026-01-31T00:00:00Z' }, 'PA-02'],
    [body({ name: '_since', valueDateTime: '2026-01-31T00:00:00+01:00' }), { since: '2026-01-31T00:00:00+01:00' }, 'PA-02'],
    [body({ name: 'patient', valueReference: { reference: 'Patient/a-1.b' } }), { patient: ['Patient/a-1.b'] }, 'PA-09'],
    [
      body(
        { name: 'patient', valueReference: { reference: 'https://facade.example/fhir/acme/Patient/1' } },
        { name: 'patient', valueReference: { reference: 'Patient/1' } },
      ),
      { patient: ['Patient/1'] },
      'PA-09',
    ],
    [
      body({ name: 'includeAssociatedData', valueCode: 'RelevantProvenanceResources' }),
      { includeAssociatedData: ['RelevantProvenanceResources'] },
      'PA-11',
    ],
    [body({ name: '_typeFilter', valueString: 'Condition?code=a,b' }), { typeFilter: ['Condition?code=a,b'] }, 'PA-14'],
    [body({ name: 'allowPartialManifests', valueBoolean: false }), { allowPartialManifests: false }, 'PA-18'],
    [body({ name: '_outputFormat', valueUri: 'ndjson' }), { outputFormat: 'ndjson' }, 'PA-01'],
  ])('%j gives %j [%s]', (given, expected) => {
    expect(parseKickoffParameters(given, STRICT)).toEqual({ params: { ...NONE, ...expected }, ignored: [] })
  })

  it.each([
    [null, 'body_invalid'],
    ['_type=Patient', 'body_invalid'],
    [[], 'body_invalid'],
    [{}, 'body_invalid'],
    [{ resourceType: 'Patient' }, 'body_invalid'],
    [{ resourceType: 'Parameters', parameter: {} }, 'body_invalid'],
    [{ resourceType: 'Parameters', parameter: null }, 'body_invalid'],
    [body({ valueString: 'Patient' }), 'body_invalid'],
    [{ resourceType: 'Parameters', parameter: [null] }, 'body_invalid'],
    [body({ name: 'foo', valueString: '1' }), 'parameter_unknown'],
    [body({ name: '_type' }), 'parameter_invalid'],
    [body({ name: '_type', valueString: 7 }), 'parameter_invalid'],
    [body({ name: '_type', valueInteger: 7 }), 'parameter_invalid'],
    [body({ name: '_type', valueString: 'Patient', valueCode: 'Patient' }), 'parameter_invalid'],
    [body({ name: 'allowPartialManifests', valueString: 'true' }), 'parameter_invalid'],
    [body({ name: 'allowPartialManifests', valueBoolean: 'true' }), 'parameter_invalid'],
    [body({ name: 'patient', valueString: 'Patient/1' }), 'parameter_invalid'],
    [body({ name: 'patient', valueReference: { identifier: {} } }), 'parameter_invalid'],
    [body({ name: 'patient', valueReference: { reference: '1' } }), 'parameter_invalid'],
    [body({ name: 'patient', valueReference: { reference: 'Group/1' } }), 'parameter_invalid'],
    [body({ name: 'patient', valueReference: { reference: 'Patient/1/_history/2' } }), 'parameter_invalid'],
    [body({ name: 'patient', valueReference: { reference: 'https://other.example/fhir/Patient/1' } }), 'parameter_invalid'],
  ])('%j is refused as %s [KO-03, PA-09]', (given, code) => {
    expect(errorOf(() => parseKickoffParameters(given, STRICT)).code).toBe(code)
  })

  it.each([false, true])('refuses patient at the system level, lenient %j [PA-09]', (lenient) => {
    const given = body({ name: 'patient', valueReference: { reference: 'Patient/1' } })
    const error = errorOf(() => parseKickoffParameters(given, { level: 'system', lenient }))
    expect([error.code, error.options.parameter]).toEqual(['parameter_unsupported', 'patient'])
  })

  it('takes no absolute reference when it does not know its own base [PA-09]', () => {
    const given = body({ name: 'patient', valueReference: { reference: 'https://facade.example/fhir/acme/Patient/1' } })
    expect(errorOf(() => parseKickoffParameters(given, { level: 'patient', lenient: false })).code).toBe('parameter_invalid')
  })
})

it('echoes little of what it was sent, in printable ASCII [KO-12]', () => {
  const long = 'Ünïcode\n'.repeat(1_000)
  for (const search of [`?_type=${encodeURIComponent(long)}`, `?${encodeURIComponent(long)}=1`]) {
    const { diagnostics, options } = errorOf(() => parseKickoffQuery(search, STRICT))
    expect(diagnostics).toMatch(/^[\x20-\x7e]{1,400}$/)
    expect(options.parameter?.length).toBeLessThanOrEqual(80)
  }
})
