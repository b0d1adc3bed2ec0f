import { random } from './random.ts'

/** Any FHIR resource, as far as the sandbox cares. */
export interface Resource {
  readonly resourceType: string
  readonly id: string
  readonly [member: string]: unknown
}

const PROFILE = 'http://hl7.org/fhir/us/core/StructureDefinition/'
export const FIRST_UPDATE_MS = Date.UTC(2023, 0, 1)
export const UPDATE_WINDOW_SECONDS = 900 * 86_400

/** How many patients share one of a context resource. */
export const PATIENTS_PER = { Practitioner: 40, Location: 200, Organization: 400, Device: 100 } as const

/** Among the resources of a type that a patient had: behind all that it has. */
export const DELETED_NTH = 98

const number = (index: number): string => String(index + 1).padStart(6, '0')

export const ids = {
  patient: (patient: number): string => `pat-${number(patient)}`,
  practitioner: (index: number): string => `prac-${number(index)}`,
  organization: (index: number): string => `org-${number(index)}`,
  location: (index: number): string => `loc-${number(index)}`,
  device: (index: number): string => `dev-${number(index)}`,
  of: (kind: string, patient: number, nth: number): string => `${kind}-${number(patient)}-${nth + 1}`,
}

export const referenceTo = {
  patient: (patient: number) => ({ reference: `Patient/${ids.patient(patient)}` }),
  encounter: (patient: number, nth: number) => ({ reference: `Encounter/${ids.of('enc', patient, nth)}` }),
  practitioner: (patient: number) => ({
    reference: `Practitioner/${ids.practitioner(Math.floor(patient / PATIENTS_PER.Practitioner))}`,
  }),
  organization: (patient: number) => ({
    reference: `Organization/${ids.organization(Math.floor(patient / PATIENTS_PER.Organization))}`,
  }),
  location: (patient: number) => ({ reference: `Location/${ids.location(Math.floor(patient / PATIENTS_PER.Location))}` }),
}

export const meta = (profile: string, ...seed: readonly number[]) => ({
  versionId: '1',
  lastUpdated: new Date(FIRST_UPDATE_MS + random(99, ...seed).below(UPDATE_WINDOW_SECONDS) * 1000).toISOString(),
  profile: [`${PROFILE}${profile}`],
})

export const coded = (system: string, code: string, display: string) => ({ coding: [{ system, code, display }], text: display })

/** Every birth date, visit and order of a patient is counted from here, so that they are in a sensible order. */
export const dayOf = (patient: number, day: number): string =>
  new Date(Date.UTC(2021, 0, 1) + ((patient % 365) + day) * 86_400_000).toISOString().slice(0, 10)

const GIVEN = ['Testina', 'Mockwell', 'Samplette', 'Fixturo', 'Dummiana', 'Placebo', 'Stubbs', 'Synthia'] as const
const FAMILY = ['Example', 'Notreal', 'Sandbox', 'Madeup', 'Fictional', 'Demoson', 'Unperson', 'Testcase'] as const
const STREETS = ['Loopback Lane', 'Fixture Road', 'Null Street', 'Seed Avenue'] as const

const race = (url: string, code: string, display: string) => ({
  url: `${PROFILE}${url}`,
  extension: [
    { url: 'ombCategory', valueCoding: { system: 'urn:oid:2.16.840.1.113883.6.238', code, display } },
    { url: 'text', valueString: display },
  ],
})

export const patientResource = (patient: number): Resource => {
  const any = random(1, patient)
  const gender = any.pick(['female', 'male'])
  const given = any.pick(GIVEN)
  const family = `${any.pick(FAMILY)}-${number(patient)}`
  return {
    resourceType: 'Patient',
    id: ids.patient(patient),
    meta: meta('us-core-patient', 1, patient),
    text: { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${given} ${family} (synthetic)</div>` },
    extension: [
      race('us-core-race', '2106-3', 'White'),
      race('us-core-ethnicity', '2186-5', 'Not Hispanic or Latino'),
      { url: `${PROFILE}us-core-birthsex`, valueCode: gender === 'female' ? 'F' : 'M' },
    ],
    identifier: [
      {
        use: 'usual',
        type: coded('http://terminology.hl7.org/CodeSystem/v2-0203', 'MR', 'Medical Record Number'),
        system: 'urn:example:sandbox:mrn',
        value: `SYN${number(patient)}`,
      },
    ],
    active: true,
    name: [{ use: 'official', family, given: [given, 'T.'] }],
    telecom: [{ system: 'phone', value: `555-01${String(patient % 100).padStart(2, '0')}`, use: 'home' }],
    gender,
    birthDate: `${1930 + any.below(90)}-${String(1 + any.below(12)).padStart(2, '0')}-${String(1 + any.below(28)).padStart(2, '0')}`,
    address: [
      {
        line: [`${1 + any.below(999)} ${any.pick(STREETS)}`],
        city: 'Sampleton',
        state: 'MA',
        postalCode: '00000',
        country: 'US',
      },
    ],
    communication: [{ language: coded('urn:ietf:bcp:47', 'en', 'English') }],
    generalPractitioner: [referenceTo.practitioner(patient)],
    managingOrganization: referenceTo.organization(patient),
  }
}

export const practitionerResource = (index: number): Resource => {
  const any = random(2, index)
  return {
    resourceType: 'Practitioner',
    id: ids.practitioner(index),
    meta: meta('us-core-practitioner', 2, index),
    identifier: [{ system: 'http://hl7.org/fhir/sid/us-npi', value: String(9_000_000_000 + index) }],
    active: true,
    name: [{ family: `Doctor-${number(index)}`, given: [any.pick(GIVEN)], prefix: ['Dr.'] }],
  }
}

export const organizationResource = (index: number): Resource => ({
  resourceType: 'Organization',
  id: ids.organization(index),
  meta: meta('us-core-organization', 3, index),
  identifier: [{ system: 'urn:example:sandbox:organization', value: number(index) }],
  active: true,
  type: [coded('http://terminology.hl7.org/CodeSystem/organization-type', 'prov', 'Healthcare Provider')],
  name: `Imaginary Clinic ${index + 1}`,
  telecom: [{ system: 'phone', value: '555-0100' }],
  address: [{ line: ['1 Loopback Lane'], city: 'Sampleton', state: 'MA', postalCode: '00000', country: 'US' }],
})

export const locationResource = (index: number): Resource => ({
  resourceType: 'Location',
  id: ids.location(index),
  meta: meta('us-core-location', 4, index),
  status: 'active',
  name: `Imaginary Ward ${index + 1}`,
  mode: 'instance',
  address: { line: ['1 Loopback Lane'], city: 'Sampleton', state: 'MA', postalCode: '00000', country: 'US' },
  managingOrganization: {
    reference: `Organization/${ids.organization(Math.floor((index * PATIENTS_PER.Location) / PATIENTS_PER.Organization))}`,
  },
})

/** The ward's own: outside the Patient compartment, as every Device of R4 is. */
export const deviceResource = (index: number): Resource => ({
  resourceType: 'Device',
  id: ids.device(index),
  meta: meta('us-core-implantable-device', 5, index),
  identifier: [{ system: 'urn:example:sandbox:device', value: number(index) }],
  status: 'active',
  deviceName: [{ name: `Imaginary monitor ${index + 1}`, type: 'user-friendly-name' }],
  type: coded('http://snomed.info/sct', '258057004', 'Monitoring device'),
  owner: {
    reference: `Organization/${ids.organization(Math.floor((index * PATIENTS_PER.Device) / PATIENTS_PER.Organization))}`,
  },
})
