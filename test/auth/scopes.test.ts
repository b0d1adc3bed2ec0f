import { describe, expect, it } from 'vitest'
import { grantScopes, mayRead, parseScopes, readableTypes, readsEverything } from '../../src/auth/scopes.ts'

describe('parseScopes', () => {
  it.each([
    ['system/Patient.read', 'rs', 'v1'],
    ['system/Patient.write', 'cud', 'v1'],
    ['system/Patient.*', 'cruds', 'v1'],
    ['system/Patient.rs', 'rs', 'v2'],
    ['system/Patient.cruds', 'cruds', 'v2'],
    ['system/*.r', 'r', 'v2'],
  ] as const)('%s means %s in %s form [AU-15]', (text, letters, form) => {
    const [scope, ...others] = parseScopes(text)
    expect(others).toEqual([])
    expect([...(scope?.rights ?? [])].join('')).toBe(letters)
    expect(scope?.form).toBe(form)
  })

  it.each([
    'patient/Patient.rs',
    'user/*.read',
    'system/Patient.sr',
    'system/Patient.',
    'system/Patient',
    'system/Patient.rss',
    'system/Patient.READ',
    'system/patient.rs',
    'system/Observation.rs?category=laboratory',
    'system/*.rs?',
    'system/Pat*.rs',
    'system/**.rs',
    'openid',
    'launch',
    '',
    'xsystem/Patient.rs',
    'system/Patient.rs,system/Group.rs',
  ])('leaves out %j, which cannot be enforced or is none of ours [AU-15]', (text) => {
    expect(parseScopes(text)).toEqual([])
  })
})

describe('grantScopes', () => {
  it.each([
    // asked, allowed, granted
    ['system/Patient.rs', ['system/*.rs'], ['system/Patient.rs']],
    ['system/Patient.read', ['system/*.rs'], ['system/Patient.read']],
    ['system/*.read', ['system/*.rs'], ['system/*.read']],
    ['system/*.rs', ['system/*.read'], ['system/*.rs']],
    ['system/*.*', ['system/*.rs'], ['system/*.read']],
    ['system/*.cruds', ['system/*.rs'], ['system/*.rs']],
    ['system/*.*', ['system/*.*'], ['system/*.*']],
    ['system/*.write', ['system/*.*'], ['system/*.write']],
    ['system/*.rs', ['system/Patient.rs', 'system/Group.rs'], ['system/Patient.rs', 'system/Group.rs']],
    ['system/*.read', ['system/Patient.rs', 'system/Group.cruds'], ['system/Patient.read', 'system/Group.read']],
    ['system/*.cruds', ['system/*.rs', 'system/Patient.cruds'], ['system/*.rs', 'system/Patient.cruds']],
    ['system/*.rs', ['system/*.rs', 'system/Patient.cruds'], ['system/*.rs']],
    ['system/Patient.rs', ['system/Patient.r', 'system/*.s'], ['system/Patient.rs']],
    ['system/Patient.rs', ['system/Patient.r'], ['system/Patient.r']],
    ['system/Patient.read', ['system/Patient.r'], []],
    ['system/Patient.write', ['system/Patient.cu'], []],
    ['system/Observation.rs', ['system/Patient.rs'], []],
    ['system/Patient.cud', ['system/Patient.rs'], []],
    ['system/Patient.rs system/Observation.rs', ['system/Patient.rs'], ['system/Patient.rs']],
    ['system/Patient.rs  system/Patient.rs', ['system/*.rs'], ['system/Patient.rs']],
    ['system/Patient.read system/Group.rs', ['system/*.rs'], ['system/Patient.read', 'system/Group.rs']],
    ['system/Observation.rs?category=x system/Patient.rs', ['system/*.rs'], ['system/Patient.rs']],
    ['system/Observation.rs', ['system/Observation.rs?category=x'], []],
    ['openid fhirUser', ['system/*.rs'], []],
    ['', ['system/*.rs'], []],
    ['system/*.rs', [], []],
  ] as const)('%j of a client with %j is %j [AU-14, AU-15]', (asked, allowed, granted) => {
    expect(grantScopes(asked, allowed)).toEqual(granted)
  })

  it('granting what was granted changes nothing, in whatever form [AU-14]', () => {
    const allowed = ['system/*.rs', 'system/Patient.cruds', 'system/Group.r']
    for (const asked of ['system/*.*', 'system/*.cruds', 'system/Patient.* system/Group.rs system/Encounter.read']) {
      const once = grantScopes(asked, allowed)
      expect(grantScopes(once.join(' '), allowed)).toEqual(once)
    }
  })
})

describe('what may be exported', () => {
  it.each([
    [['system/Patient.rs'], 'Patient', true],
    [['system/Patient.read'], 'Patient', true],
    [['system/Patient.*'], 'Patient', true],
    [['system/*.cruds'], 'Patient', true],
    [['system/Patient.r', 'system/*.s'], 'Patient', true],
    [['system/Patient.r'], 'Patient', false],
    [['system/Patient.write'], 'Patient', false],
    [['system/Patient.rs'], 'Observation', false],
    [['system/Patient.rs'], 'PatientX', false],
    [[], 'Patient', false],
  ] as const)('%j reads %s: %s [AU-17, AU-18]', (scopes, type, expected) => {
    expect(mayRead(scopes, type)).toBe(expected)
  })

  it('narrows a list of types to the readable ones, in their order [AU-18]', () => {
    const types = ['Observation', 'Patient', 'Encounter']
    expect(readableTypes(['system/Encounter.rs', 'system/Observation.read', 'system/Patient.cud'], types)).toEqual([
      'Observation',
      'Encounter',
    ])
    expect(readableTypes(['system/*.read'], types)).toEqual(types)
  })

  it('reads everything with a wildcard only [AU-18]', () => {
    expect(readsEverything(['system/*.rs'])).toBe(true)
    expect(readsEverything(['system/*.read'])).toBe(true)
    expect(readsEverything(['system/*.r', 'system/Patient.rs'])).toBe(false)
    expect(readsEverything([])).toBe(false)
  })
})
