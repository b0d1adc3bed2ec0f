import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { publicPart } from '../../sandbox/state.ts'
import { BulkClient } from '../../sandbox/bulk-client.ts'
import { exportGroup, outcomeOf, useWorld } from './support.ts'

const FHIR_JSON = { 'Content-Type': 'application/fhir+json' }
const parameters = (...parameter: object[]): string => JSON.stringify({ resourceType: 'Parameters', parameter })

/** A request whose path is sent as it stands; `fetch` would resolve the dots. */
const raw = (base: string, path: string, headers: Record<string, string>): Promise<number> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base)
    request({ hostname, port, path, headers }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
      .once('error', reject)
      .end()
  })

describe('a hostile client', () => {
  const world = useWorld({}, undefined, (_, keys) => ({
    variables: {
      CLIENT_GROUPED: {
        clientId: 'grouped',
        jwks: { keys: [JSON.parse(JSON.stringify(publicPart(keys.demo))) as Record<string, string>] },
        scopes: ['system/*.rs'],
        access: { generic: { groups: ['all-patients'] } },
      },
    },
  }))

  it.each(['%2e%2e', '%2e', '..%2f..', 'a%2fb', '%00', 'a%0d%0ab', 'x'.repeat(300)])(
    'the group id %s climbs nowhere, at kick-off and read [AU-19]',
    async (id) => {
      const { facade, token, vendor } = world()
      const headers = { Authorization: `Bearer ${await token()}` }
      for (const source of ['generic', 'redox', 'oracle-health', 'vendor-x']) {
        const before = vendor(source).traffic().paths
        expect(await raw(facade.base, `/fhir/${source}/Group/${id}/$export`, headers)).toBe(404)
        expect(await raw(facade.base, `/fhir/${source}/Group/${id}`, headers)).toBe(404)
        expect(vendor(source).traffic().paths).toEqual(before)
      }
    },
  )

  it.each<[string, string, object[]]>([
    ['half a character in a filter', 'parameter', [{ name: '_typeFilter', valueString: 'Patient?name=\ud800' }]],
    ['half a character in a code', 'parameter', [{ name: 'includeAssociatedData', valueCode: '_\ud800' }]],
    [
      'a filter for the vendor alone that is longer than any URL',
      'parameter',
      [{ name: '_typeFilter', valueString: `Patient?nonsense=${'a'.repeat(300_000)}` }],
    ],
  ])('%s is refused, and the one slot of the vendor stays free [KO-12]', async (_, __, values) => {
    const { demo, other, vendor } = world()
    const path = `/fhir/oracle-health/Group/${vendor('oracle-health').groupId}/$export`
    const body = parameters({ name: '_type', valueString: 'Patient' }, ...values)
    const answer = await demo.fetch(path, { method: 'POST', headers: FHIR_JSON, body })
    expect([answer.status, (await outcomeOf(answer)).issue[0]?.code]).toEqual([400, 'value'])
    const started = await other.fetch(`${path}?_type=Patient`)
    const url = started.headers.get('Content-Location') ?? ''
    expect((await other.fetch(url)).headers.get('X-Progress')).not.toContain('queued')
    await other.fetch(url, { method: 'DELETE' })
  })

  it('a hundred thousand unknown types give one bounded report, and no export that stays behind [MF-22]', async () => {
    const { demo } = world()
    const names = Array.from({ length: 100_000 }, (_, index) => `X${index.toString(36)}`)
    const body = parameters({ name: '_type', valueString: `Patient,${names.join(',')}` })
    const headers = { ...FHIR_JSON, Prefer: 'respond-async, handling=lenient' }
    const started = await demo.fetch('/fhir/redox/Group/all-patients/$export', { method: 'POST', headers, body })
    expect(started.status).toBe(202)
    const manifest = await demo.manifest(started.headers.get('Content-Location') ?? '')
    expect(manifest.error).toMatchObject([{ count: 101 }])
  })

  it('a token narrower than the export sees neither its status nor its manifest, and deletes nothing [AU-17]', async () => {
    const { facade, demo, token } = world()
    const { statusUrl } = await exportGroup(world(), 'redox')
    const headers = { Authorization: `Bearer ${await token('system/Patient.rs system/Group.rs')}` }
    for (const method of ['GET', 'DELETE']) {
      const answer = await fetch(statusUrl, { method, headers })
      expect([method, answer.status]).toEqual([method, 403])
    }
    expect((await demo.fetch(statusUrl)).status).toBe(200)
    const narrow = await fetch(`${facade.base}/fhir/redox/Group/all-patients/$export`, { headers })
    const narrowUrl = narrow.headers.get('Content-Location') ?? ''
    expect((await fetch(narrowUrl, { headers })).status).toBe(202)
  })

  it('a client with named groups exports those and nothing wider [AU-19]', async () => {
    const { facade, keys } = world()
    const grouped = new BulkClient(facade.base, 'grouped', keys.demo, 100)
    for (const path of ['/fhir/generic/$export', '/fhir/generic/Patient/$export'])
      expect((await grouped.fetch(path)).status).toBe(403)
    expect((await grouped.fetch('/fhir/generic/Group/another/$export')).status).toBe(404)
    expect((await grouped.fetch('/fhir/generic/Group/all-patients/$export?_type=Patient')).status).toBe(202)
  })

  it.each(['0', '-1', '01', '1e3', '1.0', ' 1', '9'.repeat(30), '1;2', '__proto__', '%00', '%0d%0aX: 1', '2'])(
    'a page that no manifest has is not there: %j [PA-18]',
    async (page) => {
      const { demo } = world()
      const { statusUrl } = await exportGroup(world(), 'generic', '?_type=Patient')
      const answer = await demo.fetch(`${statusUrl}?page=${page}`)
      expect([answer.status, (await outcomeOf(answer)).issue[0]?.code]).toEqual([404, 'not-found'])
    },
  )

  it.each(['__proto__', 'constructor', 'toString', '..%2fGroup', '%00', 'x'.repeat(5_000)])(
    'an OperationDefinition that is none is not there, and no vendor is asked: %s',
    async (id) => {
      const { facade, vendor } = world()
      const before = vendor('generic').traffic().paths
      const answer = await fetch(`${facade.base}/fhir/generic/OperationDefinition/${id}`)
      expect([answer.status, (await outcomeOf(answer)).issue[0]?.code]).toEqual([404, 'not-found'])
      expect(vendor('generic').traffic().paths).toEqual(before)
    },
  )

  it('HEAD starts no export', async () => {
    const { demo, vendor } = world()
    const before = vendor('generic').traffic().kickoffs
    const answer = await demo.fetch('/fhir/generic/$export', { method: 'HEAD' })
    expect([answer.status, answer.headers.get('Allow')]).toEqual([405, 'GET, POST'])
    expect(vendor('generic').traffic().kickoffs).toEqual(before)
  })

  it.each(['member:Patient.name=x', 'member.name=x', 'name:foo=x', '_has:Patient:x:y=z'])(
    'a Group search cannot reach into other resources: %s [KO-14]',
    async (query) => {
      const { demo, vendor } = world()
      const before = vendor('generic').traffic().groupReads
      expect((await demo.fetch(`/fhir/generic/Group?${query}`)).status).toBe(400)
      expect(vendor('generic').traffic().groupReads).toBe(before)
    },
  )
})

describe('a configuration that cannot work', () => {
  const world = useWorld({}, undefined, ({ secrets }) => ({
    secrets: { ...secrets, GENERIC_KEY: '{"kty":"RSA"}', REDOX_KEY: '' },
    variables: { SOURCE_WRONG: { adapter: 'nobody' }, CLIENT_LOST: { clientId: 'lost' } },
  }))

  it('is named by /health/ready, key by key and without a value, and touches nobody else', async () => {
    const answer = await fetch(`${world().facade.base}/health/ready`)
    expect(answer.status).toBe(503)
    const { problems } = (await answer.json()) as { problems: string[] }
    const all = problems.join('\n')
    for (const name of ['GENERIC_KEY', 'REDOX_KEY', 'SOURCE_WRONG.fhirBase', 'SOURCE_WRONG.credential', 'CLIENT_LOST.scopes']) {
      expect(all).toContain(name)
    }
    expect(all).not.toContain('RSA')
    const kickoff = await world().demo.fetch('/fhir/redox/Group/all-patients/$export')
    expect(kickoff.status).toBe(500)
    expect((await outcomeOf(kickoff)).issue[0]?.diagnostics).toContain('REDOX_KEY')
    const { manifest } = await exportGroup(world(), 'medplum', '?_type=Patient')
    expect(manifest.output).toHaveLength(1)
  })
})
