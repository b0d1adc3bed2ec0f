import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { blocksOf, isInCompartment, patientsOf } from '../../sandbox/compartment.ts'
import { listOf, memberOf, parseJson, stringOf, type Json } from '../../sandbox/json.ts'
import { startSandbox, type Sandbox, type SandboxVendor } from '../../sandbox/sandbox.ts'
import { passes } from '../../sandbox/row-filter.ts'
import { parseTypeFilter } from '../../sandbox/type-filter.ts'
import { bearer, clientOf, issueCode, outputOf, vendorOf } from './client.ts'

let sandbox: Sandbox
let vendor: SandboxVendor
let client: ReturnType<typeof clientOf>
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 16, jobSeconds: 0.02 })
  vendor = vendorOf(sandbox, 'generic')
  client = clientOf(vendor, await bearer(vendor))
})
afterAll(() => sandbox.close())

const rowsAt = async (url: string): Promise<readonly Json[]> =>
  (await (await client.request(url)).text())
    .trimEnd()
    .split('\n')
    .map((line) => parseJson(line))
    .filter((row) => row !== undefined)

const rowsOf = async (manifest: Json, member = 'output'): Promise<readonly Json[]> => {
  const urls = listOf(manifest[member]).map((item) => stringOf(memberOf(item, 'url')))
  return (await Promise.all(urls.map(rowsAt))).flat()
}

const exported = async (path: string, init?: RequestInit): Promise<readonly Json[]> => rowsOf(await client.export(path, init))

const post = (...parameter: readonly object[]): RequestInit => ({
  method: 'POST',
  headers: { 'Content-Type': 'application/fhir+json' },
  body: JSON.stringify({ resourceType: 'Parameters', parameter }),
})

const isProvenance = (row: Json): boolean => row['resourceType'] === 'Provenance'

const typesOf = (rows: readonly Json[]): ReadonlySet<string> => new Set(rows.map((row) => stringOf(row['resourceType'])))

describe('the Patient compartment', () => {
  it.each<[string, Json, readonly string[]]>([
    ['itself', { resourceType: 'Patient', id: 'a', link: [{ other: { reference: 'Patient/b' } }] }, ['a']],
    ['its subject', { resourceType: 'Condition', subject: { reference: 'Patient/a' } }, ['a']],
    [
      'each of several elements',
      { resourceType: 'Observation', subject: { reference: 'Patient/a' }, performer: [{ reference: 'Patient/b' }] },
      ['a', 'b'],
    ],
    [
      'what a task is for and about',
      { resourceType: 'Task', for: { reference: 'Patient/a' }, focus: { reference: 'Patient/b' } },
      ['a', 'b'],
    ],
    ['what lies in lists', { resourceType: 'CareTeam', participant: [{}, { member: { reference: 'Patient/a' } }] }, ['a']],
    ['a version of a patient', { resourceType: 'Coverage', beneficiary: { reference: 'Patient/a/_history/2' } }, ['a']],
    ['no element beside those', { resourceType: 'Encounter', participant: [{ individual: { reference: 'Patient/a' } }] }, []],
    ['no patient of another server', { resourceType: 'Goal', subject: { reference: 'https://other.example/Patient/a' } }, []],
    ['nothing outside of it', { resourceType: 'Device', patient: { reference: 'Patient/a' } }, []],
  ])('has a resource by %s [PA-09]', (_, resource, ids) => {
    expect(patientsOf(resource)).toEqual(ids)
  })

  it('puts a patient who is linked to another into the block of either [FI-13]', () => {
    const linked: Json = { resourceType: 'Patient', id: 'a', link: [{ other: { reference: 'Patient/b' } }] }
    expect(blocksOf(linked)).toEqual(['a', 'b'])
  })

  it('holds no Practitioner and no Device', () => {
    expect(['Patient', 'Group', 'Provenance', 'Practitioner', 'Device'].filter(isInCompartment)).toEqual([
      'Patient',
      'Group',
      'Provenance',
    ])
  })
})

const observation: Json = {
  resourceType: 'Observation',
  id: 'o1',
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  subject: { reference: 'Patient/a' },
  effectiveDateTime: '2021-03-05T10:00:00Z',
}
const patient: Json = { resourceType: 'Patient', id: 'a', active: true, birthDate: '1980-05', name: [{ family: 'Ängström' }] }

describe('_since', () => {
  const after = { sinceMs: Date.parse('2024-06-01T00:00:00Z') }
  it.each([
    ['2024-06-01T00:00:00Z', false],
    ['2024-06-01T00:00:00.001Z', true],
    ['2024-06-01T00:00:00.0001Z', true],
    ['2024-06-01T01:00:00+02:00', false],
    ['2024-05-31', true],
    ['yesterday', true],
    [undefined, true],
  ])('of a resource that was last updated %s lets out: %s [PA-02]', (lastUpdated, isPassed) => {
    expect(passes({ resourceType: 'Patient', meta: { lastUpdated } }, after)).toBe(isPassed)
  })
})

describe('a _typeFilter', () => {
  it.each<[Json, string, boolean]>([
    [observation, 'status=final', true],
    [observation, 'status=amended,final', true],
    [observation, 'status=final&code=1234-5', false],
    [observation, 'code=http://loinc.org|8867-4', true],
    [observation, 'code=|8867-4', false],
    [observation, 'code=http://loinc.org|', true],
    [observation, 'status:not=final', false],
    [observation, 'subject=Patient/a', true],
    [observation, 'subject=a', true],
    [observation, 'patient=Patient/b', false],
    [observation, 'encounter:missing=true', true],
    [observation, 'date=2021-03-05', true],
    [observation, 'date=2021-03-05T10:00:00.5Z', false],
    [observation, 'date=gt2021-03-05', false],
    [observation, 'date=ge2021-03-05', true],
    [observation, 'date=lt2021-03-05T10:00:01Z', true],
    [observation, 'date=sa2021-03-04', true],
    [observation, 'date=eb2021-03-05', false],
    [patient, 'birthdate=ge1980', true],
    [patient, 'birthdate=1980-05-01', false],
    [patient, 'family=ang', true],
    [patient, 'family:exact=ang', false],
    [patient, 'family:contains=STROM', true],
    [patient, 'active=true', true],
  ])('of %# %s is %s [PA-13]', (resource, query, isPassed) => {
    expect(parseTypeFilter(`${stringOf(resource['resourceType'])}?${query}`)?.passes(resource)).toBe(isPassed)
  })

  it.each(['Patient', 'Patient?', 'Patient?nonsense=x', 'Patient?family:sounds=x', 'Patient?_include=x'])(
    '%s is refused',
    (filter) => {
      expect(parseTypeFilter(filter)).toBeUndefined()
    },
  )

  it('is one of several when it begins behind a comma, and filters of one type are alternatives [PA-14]', async () => {
    const filters = 'Patient%3Fgender%3Dfemale,Patient%3F_id%3Dpat-000001%2Cpat-000002,Condition%3Fclinical-status%3Dactive'
    const rows = await exported(`/$export?_type=Patient,Condition,Practitioner&_typeFilter=${filters}`)
    for (const row of rows.filter(({ resourceType }) => resourceType === 'Patient'))
      expect(row['gender'] === 'female' || ['pat-000001', 'pat-000002'].includes(stringOf(row['id']))).toBe(true)
    expect(rows.map(({ id }) => id)).toEqual(expect.arrayContaining(['pat-000001', 'pat-000002', 'prac-000001']))
  })
})

describe('the server that does everything', () => {
  it('gives of Patient compartments the listed ones, and all context [PA-09]', async () => {
    const listed = { name: 'patient', valueReference: { reference: 'Patient/pat-000004' } }
    const rows = await exported('/Patient/$export', post(listed))
    for (const row of rows.filter(({ resourceType }) => isInCompartment(stringOf(resourceType))))
      expect(patientsOf(row)).toContain('pat-000004')
    expect(typesOf(rows)).toEqual(new Set(vendor.dataset.types))
  })

  it('gives Provenance of the types that are exported, although _type leaves it out [PA-11]', async () => {
    const rows = await exported('/$export?_type=Condition&includeAssociatedData=RelevantProvenanceResources')
    expect(typesOf(rows)).toEqual(new Set(['Condition', 'Provenance']))
    for (const row of rows.filter(isProvenance)) expect(JSON.stringify(row['target'])).toContain('Condition/')
  })

  it('gives all Provenance that is asked for by its name', async () => {
    const rows = await exported('/$export?_type=Condition,Provenance&includeAssociatedData=RelevantProvenanceResources')
    expect(rows.filter(isProvenance)).toHaveLength(24)
  })

  it('gives the latest Provenance of each target, unless all that is relevant is asked for too [PA-11]', async () => {
    const [latest, both] = await Promise.all(
      ['LatestProvenanceResources', 'LatestProvenanceResources,RelevantProvenanceResources'].map(async (codes) =>
        exported(`/$export?_type=Patient&includeAssociatedData=${codes}`),
      ),
    )
    // Of every patient there is one.
    expect(latest?.filter(isProvenance)).toHaveLength(16)
    expect(both?.filter(isProvenance).length).toBeGreaterThan(16)
  })

  it('organizes by Patient: headers, the patient, its compartment, and goes on in the next file [FI-12] [MF-06] [MF-09]', async () => {
    const manifest = await client.export('/$export?organizeOutputBy=Patient')
    expect(manifest['outputOrganizedBy']).toBe('Patient')
    const items = listOf(manifest['output'])
    expect(items.length).toBeGreaterThan(1)
    for (const item of items) {
      expect(memberOf(item, 'type')).toBeUndefined()
      let owner = ''
      for (const row of await rowsAt(stringOf(memberOf(item, 'url')))) {
        if (row['resourceType'] === 'Parameters') owner = /Patient\/([^"]+)/.exec(JSON.stringify(row))?.[1] ?? ''
        else expect(patientsOf(row)).toContain(owner)
      }
    }
  })

  it('pages its manifest when it may, and every page repeats what is the same [MF-16] [MF-17]', async () => {
    const statusUrl = await client.kickoff('/$export?allowPartialManifests=true')
    const first = await client.finish(statusUrl)
    const next = stringOf(memberOf(listOf(first['link'])[0], 'url'))
    const second = await client.finish(next)
    expect(outputOf(first)).toHaveLength(4)
    expect(outputOf(second).length).toBeGreaterThan(0)
    for (const member of ['transactionTime', 'request', 'requiresAccessToken', 'error'])
      expect(second[member]).toEqual(first[member])
    expect((await client.export('/$export'))['link']).toBeUndefined()
    expect((await client.request(`${statusUrl}?page=99`)).status).toBe(404)
  })

  it('tells the status of the export apart from that of the poll when it is asked to [KO-10] [ST-10]', async () => {
    const started = await client.request('/$export', { headers: { Prefer: 'respond-async, separate-export-status' } })
    expect(started.headers.get('Preference-Applied')).toBe('respond-async, separate-export-status')
    const statusUrl = started.headers.get('Content-Location') ?? ''
    const running = await client.request(statusUrl)
    expect([running.status, running.headers.get('X-Export-Status')]).toEqual([200, '202 Accepted'])
    await expect
      .poll(async () => (await client.request(statusUrl)).headers.get('X-Export-Status'), { interval: 10 })
      .toBe('200 OK')
    const plain = await client.request(await client.kickoff('/$export'))
    expect([plain.status, plain.headers.get('X-Export-Status')]).toEqual([202, null])
  })

  it('lists what was deleted since then, and none of it in output [MF-11] [MF-12] [MF-13]', async () => {
    const manifest = await client.export('/$export?_since=2000-01-01T00:00:00Z')
    const urls = (await rowsOf(manifest, 'deleted')).flatMap((bundle) => {
      expect(bundle).toMatchObject({ resourceType: 'Bundle', type: 'transaction' })
      return listOf(bundle['entry']).map((entry) => {
        expect(memberOf(memberOf(entry, 'request'), 'method')).toBe('DELETE')
        return stringOf(memberOf(memberOf(entry, 'request'), 'url'))
      })
    })
    expect(urls.length).toBe(12)
    const output = new Set((await rowsOf(manifest)).map(({ resourceType, id }) => `${stringOf(resourceType)}/${stringOf(id)}`))
    expect(urls.filter((url) => output.has(url))).toEqual([])
    const later = await client.export('/$export?_since=2024-06-01T00:00:00Z&_type=Observation')
    const some = JSON.stringify(await rowsOf(later, 'deleted'))
    expect(some).toContain('Observation/')
    expect(some).not.toContain('Condition/')
    expect(listOf((await client.export('/$export'))['deleted'])).toEqual([])
  })

  it.each([
    ['organizeOutputBy=Observation', 'not-supported'],
    ['allowPartialManifests=maybe', 'invalid'],
    ['includeAssociatedData=Everything', 'not-supported'],
  ])('refuses %s, and goes on without when it may [KO-09]', async (query, code) => {
    const refused = await client.request(`/$export?${query}`)
    expect([refused.status, await issueCode(refused)]).toEqual([400, code])
    if (code === 'invalid') return
    const manifest = await client.export(`/$export?_type=Patient&${query}`, {
      headers: { Prefer: 'respond-async, handling=lenient' },
    })
    expect(await rowsOf(manifest, 'error')).toHaveLength(1)
  })
})
