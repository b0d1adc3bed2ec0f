import { describe, expect, it } from 'vitest'
import { GROUP_ID, GROUP_UUID } from '../../sandbox/dataset.ts'
import { exportGroup, SOURCES, startWorld, useWorld, type World } from './support.ts'

/** The group of all patients as each fake calls it. */
const EVERYBODY: Readonly<Record<string, string>> = {
  generic: GROUP_ID,
  'oracle-health': GROUP_UUID,
  redox: GROUP_ID,
  medplum: GROUP_UUID,
  'vendor-x': GROUP_ID,
}
const useWorldWithEverybody = (): (() => World) =>
  useWorld({}, (id, source) => Object.assign({}, source, { allPatientsGroup: EVERYBODY[id] }))

interface Operation {
  readonly name: string
  readonly definition: string
}
interface Capability {
  readonly instantiates: readonly string[]
  readonly rest: readonly {
    readonly operation?: readonly Operation[]
    readonly resource: readonly { readonly type: string; readonly operation?: readonly Operation[] }[]
    readonly security: {
      readonly extension: readonly { readonly url: string; readonly extension: readonly { readonly valueUri: string }[] }[]
    }
  }[]
}

const definitionsIn = ({ rest }: Capability): string[] =>
  rest
    .flatMap(({ operation = [], resource }) => [...operation, ...resource.flatMap((entry) => entry.operation ?? [])])
    .map(({ definition }) => definition.split('/').at(-1) ?? '')

describe('discovery', () => {
  const world = useWorldWithEverybody()
  const json = async (path: string): Promise<unknown> =>
    (await fetch(world().facade.base + path, { headers: { Accept: 'text/html' } })).json()

  it.each([
    ['generic', ['export', 'group-export', 'patient-export']],
    ['oracle-health', ['group-export', 'patient-export']],
    ['redox', ['group-export', 'patient-export']],
    ['medplum', ['export', 'group-export', 'patient-export']],
    ['vendor-x', ['group-export', 'patient-export']],
  ])(
    '%s: the CapabilityStatement lists the operations that there are, and no other [CS-01, CS-02, CS-03]',
    async (id, operations) => {
      const capability = (await json(`/fhir/${id}/metadata`)) as Capability
      expect(capability).toMatchObject({ resourceType: 'CapabilityStatement', fhirVersion: '4.0.1' })
      expect(capability.instantiates).toContain('http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data')
      expect(definitionsIn(capability).toSorted()).toEqual(operations)
    },
  )

  it.each(SOURCES)('%s: each operation that it has has a definition, in public, and no other has [CS-02, CS-06]', async (id) => {
    const operations = definitionsIn((await json(`/fhir/${id}/metadata`)) as Capability)
    for (const operation of ['export', 'patient-export', 'group-export']) {
      const answer = await fetch(`${world().facade.base}/fhir/${id}/OperationDefinition/${operation}`)
      expect([operation, answer.status]).toEqual([operation, operations.includes(operation) ? 200 : 404])
      expect(answer.headers.get('Content-Type')).toBe('application/fhir+json')
      const resource = (await answer.json()) as { resourceType: string; parameter?: { name: string }[] }
      if (answer.ok) {
        expect(resource).toMatchObject({ resourceType: 'OperationDefinition', code: 'export', id: operation })
        expect(resource.parameter?.map(({ name }) => name)).toEqual(expect.arrayContaining(['_since', '_type', '_typeFilter']))
      } else expect(resource.resourceType).toBe('OperationOutcome')
    }
  })

  it('what a filter may use is listed where Bulkhead evaluates it, and a page remains a page [CS-04]', async () => {
    for (const id of SOURCES) {
      const statement = await (await fetch(`${world().facade.base}/fhir/${id}/metadata`)).text()
      expect(statement.length).toBeLessThan(64 * 1024)
      const { resource } = (JSON.parse(statement) as Capability).rest[0] ?? { resource: [] }
      const condition = resource.find(({ type }) => type === 'Condition') as { searchParam?: { name: string }[] } | undefined
      const isOurs = ['medplum', 'vendor-x'].includes(id)
      expect([id, condition?.searchParam?.some(({ name }) => name === 'clinical-status') ?? false]).toEqual([id, isOurs])
    }
  })

  it('a source without a title of its own is called by its id: whose server it is, is nobody’s business', async () => {
    const untitled = await startWorld({}, (_, { title: _title, ...source }) => source as typeof source & { title: string })
    try {
      for (const id of SOURCES) {
        const statement = await (await fetch(`${untitled.facade.base}/fhir/${id}/metadata`)).text()
        expect(statement).not.toMatch(/Oracle|Redox\b|Medplum|Vendor X/)
      }
    } finally {
      await untitled.close()
    }
  })

  it.each(SOURCES)('%s: its types are those that an export may hold [CS-04]', async (id) => {
    const capability = (await json(`/fhir/${id}/metadata`)) as Capability
    const listed = capability.rest[0]?.resource.map(({ type }) => type) ?? []
    const { manifest } = await exportGroup(world(), id)
    for (const { type } of manifest.output) expect(listed).toContain(type)
  })

  it.each([...SOURCES.map((id) => `/fhir/${id}`), ''])(
    '%s/.well-known/smart-configuration is JSON whatever Accept says, with absolute URLs [CS-08, CS-09]',
    async (base) => {
      const smart = (await json(`${base}/.well-known/smart-configuration`)) as Record<string, unknown>
      expect(smart).toMatchObject({
        token_endpoint: `${world().facade.base}/auth/token`,
        grant_types_supported: ['client_credentials'],
        token_endpoint_auth_methods_supported: ['private_key_jwt'],
        token_endpoint_auth_signing_alg_values_supported: ['RS384', 'ES384'],
        code_challenge_methods_supported: ['S256'],
      })
      expect(smart.capabilities).toEqual(
        expect.arrayContaining(['client-confidential-asymmetric', 'permission-v1', 'permission-v2']),
      )
    },
  )

  it('the CapabilityStatement names the token endpoint too', async () => {
    const capability = (await json('/fhir/generic/metadata')) as Capability
    expect(capability.rest[0]?.security.extension[0]?.extension.map(({ valueUri }) => valueUri)).toContain(
      `${world().facade.base}/auth/token`,
    )
  })

  it('hands out no URL of the Host header [MF-05]', async () => {
    const { facade, token } = world()
    const started = await fetch(`${facade.base}/fhir/redox/Group/all-patients/$export`, {
      headers: { Authorization: `Bearer ${await token()}`, 'X-Forwarded-Host': 'evil.example', Forwarded: 'host=evil.example' },
    })
    expect(started.headers.get('Content-Location')?.startsWith(facade.base)).toBe(true)
  })

  it('says that it lives, and that it is ready', async () => {
    expect(await json('/health/live')).toEqual({ status: 'live' })
    expect(await json('/health/ready')).toEqual({ status: 'ready' })
  })

  it('publishes its public keys and no private part', async () => {
    const { keys } = (await json('/auth/jwks')) as { keys: Record<string, unknown>[] }
    expect(keys).toHaveLength(1)
    expect(keys[0]).not.toHaveProperty('d')
  })
})

describe('groups', () => {
  const world = useWorld()

  it.each(SOURCES)('%s: a client finds its group, reads it, and sees no upstream URL [KO-18, KO-17]', async (id) => {
    const { demo, facade, vendor } = world()
    const search = await demo.fetch(`/fhir/${id}/Group`)
    expect(search.headers.get('Content-Type')).toBe('application/fhir+json')
    const text = await search.text()
    expect(text).not.toContain(new URL(vendor(id).origin).host)
    const bundle = JSON.parse(text) as {
      type: string
      entry: { fullUrl: string; resource: { id: string; resourceType: string } }[]
    }
    expect(bundle.type).toBe('searchset')
    const entry = bundle.entry.find(({ resource }) => resource.id === vendor(id).groupId)
    expect(entry).toMatchObject({
      fullUrl: `${facade.base}/fhir/${id}/Group/${vendor(id).groupId}`,
      resource: { resourceType: 'Group' },
    })
    const read = await demo.fetch(entry?.fullUrl ?? '')
    expect(read.status).toBe(200)
    const group = await read.text()
    expect(group).not.toContain(new URL(vendor(id).origin).host)
    expect(JSON.parse(group)).toMatchObject({ resourceType: 'Group', id: vendor(id).groupId })
    expect((await demo.fetch(`/fhir/${id}/Group/no-such-group`)).status).toBe(404)
  })
})

describe('levels', () => {
  const world = useWorldWithEverybody()

  it.each(SOURCES)('%s exports all patients at the Patient level, whatever its vendor has [KO-01]', async (id) => {
    const { demo } = world()
    const { output, request } = await demo.manifest(await demo.kickoff(`/fhir/${id}/Patient/$export?_type=Patient`))
    const files = await Promise.all(output.map(async ({ url }) => (await demo.fetch(url)).text()))
    expect(files.join('').trim().split('\n')).toHaveLength(6)
    expect(request).toContain(`/fhir/${id}/Patient/$export`)
  })

  it.each(SOURCES)('%s delivers no Group that nobody asked for', async (id) => {
    const { demo } = world()
    const { output } = await demo.manifest(await demo.kickoff(`/fhir/${id}/Group/${EVERYBODY[id]}/$export`))
    expect(output.map(({ type }) => type)).not.toContain('Group')
    expect(output.map(({ type }) => type)).toContain('Patient')
  })

  it.each([
    ['generic', '/fhir/generic/$export'],
    ['generic', '/fhir/generic/Patient/$export'],
    ['medplum', '/fhir/medplum/$export'],
    ['medplum', '/fhir/medplum/Patient/$export'],
  ])('%s exports at %s; none of its bookkeeping comes along [KO-01]', async (_, path) => {
    const { demo } = world()
    const { output } = await demo.manifest(await demo.kickoff(`${path}?_type=Patient`))
    expect(output).toMatchObject([{ type: 'Patient', count: 6 }])
    const all = await demo.manifest(await demo.kickoff(path))
    expect(all.output.map(({ type }) => type)).not.toContain('Project')
  })

  it('Oracle Health exports listed patients at the Patient level, by POST [PA-09]', async () => {
    const { demo } = world()
    const everyone = await demo.manifest(await demo.kickoff('/fhir/generic/Patient/$export?_type=Patient'))
    const [line = ''] = (await (await demo.fetch(everyone.output[0]?.url ?? '')).text()).split('\n')
    const { id } = JSON.parse(line) as { id: string }
    const body = JSON.stringify({
      resourceType: 'Parameters',
      parameter: [
        { name: '_type', valueString: 'Patient' },
        { name: 'patient', valueReference: { reference: `Patient/${id}` } },
      ],
    })
    const started = await demo.fetch('/fhir/oracle-health/Patient/$export', {
      method: 'POST',
      headers: { 'Content-Type': 'application/fhir+json' },
      body,
    })
    expect(started.status).toBe(202)
    const { output } = await demo.manifest(started.headers.get('Content-Location') ?? '')
    expect(output).toMatchObject([{ type: 'Patient', count: 1 }])
  })
})

describe('preferences', () => {
  const world = useWorld()
  const PATH = '/fhir/vendor-x/Group/all-patients/$export'

  it.each([
    ['respond-async', null],
    ['respond-async, separate-export-status', 'respond-async, separate-export-status'],
  ])('Prefer: %s is told applied as %j [KO-10]', async (prefer, applied) => {
    const answer = await world().demo.fetch(`${PATH}?_type=Patient`, { headers: { Prefer: prefer } })
    expect([answer.status, answer.headers.get('Preference-Applied')]).toEqual([202, applied])
  })

  it('a lenient client gets its export, and one outcome for each thing that was ignored [KO-09, MF-22]', async () => {
    const { demo } = world()
    const query = '?_type=Patient&_foo=1&organizeOutputBy=Encounter&_typeFilter=Patient%3Fnonsense-parameter%3D1'
    const answer = await demo.fetch(PATH + query, { headers: { Prefer: 'respond-async, handling=lenient' } })
    expect(answer.status).toBe(202)
    const { output, error } = await demo.manifest(answer.headers.get('Content-Location') ?? '')
    expect(output.map(({ type }) => type)).toEqual(['Patient'])
    const lines = (await (await demo.fetch(error[0]?.url ?? '')).text()).trim().split('\n')
    const about = lines.map((line) => (JSON.parse(line) as { issue: [{ expression: string[] }] }).issue[0].expression[0])
    expect(about.toSorted((a, b) => (a ?? '').localeCompare(b ?? ''))).toEqual(['_foo', '_typeFilter', 'organizeOutputBy'])
  })
})
