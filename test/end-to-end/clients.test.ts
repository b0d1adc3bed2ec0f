import { describe, expect, it } from 'vitest'
import { exportGroup, outcomeOf, SOURCES, useWorld } from './support.ts'

const PARAMETERS = { 'Content-Type': 'application/fhir+json' }

describe('clients as they were seen on the wire', () => {
  const world = useWorld()
  const groupPath = (id: string): string => `/fhir/${id}/Group/${world().vendor(id).groupId}/$export`

  it.each([
    undefined,
    '*/*',
    'application/fhir+json',
    'application/json',
    'application/fhir+json, */*; q=0.1',
    'text/html;q=0.1, application/*;q=0.8',
  ])('a kick-off with Accept %s is accepted [KO-07]', async (accept) => {
    const { demo } = world()
    const started = await demo.fetch(groupPath('redox'), accept === undefined ? {} : { headers: { Accept: accept } })
    expect(started.status).toBe(202)
    await demo.fetch(started.headers.get('Content-Location') ?? '', { method: 'DELETE' })
  })

  it.each(['application/json', 'application/fhir+json', '*/*'])(
    'a status request with Accept %s is answered [ST-17]',
    async (accept) => {
      const { statusUrl } = await exportGroup(world(), 'redox', '?_type=Patient')
      const answer = await world().demo.fetch(statusUrl, { headers: { Accept: accept } })
      expect([answer.status, answer.headers.get('Content-Type')]).toEqual([200, 'application/json'])
    },
  )

  it('without Prefer, and with preferences nobody knows, asynchronous is assumed [KO-08]', async () => {
    for (const prefer of [undefined, 'respond-async', 'RESPOND-ASYNC, handling=lenient;x=1, wait=10']) {
      const started = await world().demo.fetch(groupPath('redox'), prefer === undefined ? {} : { headers: { Prefer: prefer } })
      expect(started.status).toBe(202)
    }
  })

  it.concurrent.each(SOURCES)(
    '%s: a POST without a body is an export without parameters; one with a query is read [KO-03]',
    async (id) => {
      const { demo, facade } = world()
      const plain = await demo.fetch(groupPath(id), { method: 'POST' })
      expect(plain.status).toBe(202)
      await demo.fetch(plain.headers.get('Content-Location') ?? '', { method: 'DELETE' })
      const started = await demo.fetch(`${groupPath(id)}?_type=Patient`, { method: 'POST' })
      const manifest = await demo.manifest(started.headers.get('Content-Location') ?? '')
      expect(new Set(manifest.output.map(({ type }) => type))).toEqual(new Set(['Patient']))
      expect(manifest.request).toBe(`${facade.base}${groupPath(id)}?_type=Patient`)
    },
  )

  it.concurrent.each(SOURCES)('%s: comma list, repeats and Parameters give the same export [KO-02, KO-03, KO-05]', async (id) => {
    const { demo, facade } = world()
    const body = JSON.stringify({
      resourceType: 'Parameters',
      parameter: ['Patient', 'Condition'].map((type) => ({ name: '_type', valueString: type })),
    })
    const requests: [string, RequestInit][] = [
      ['?_type=Patient,Condition', {}],
      ['?_type=Patient&_type=Condition&_type=Patient', {}],
      ['', { method: 'POST', headers: PARAMETERS, body }],
    ]
    const results: unknown[] = []
    for (const [query, init] of requests) {
      const started = await demo.fetch(groupPath(id) + query, init)
      const manifest = await demo.manifest(started.headers.get('Content-Location') ?? '')
      expect(manifest.request).toBe(facade.base + groupPath(id) + query) // Without the parameters of a POST [MF-02].
      results.push(manifest.output.map(({ type, count }) => [type, count]))
    }
    expect(results[1]).toEqual(results[0])
    expect(results[2]).toEqual(results[0])
  })

  it.each(['application/fhir+ndjson', 'application/ndjson', 'ndjson', encodeURIComponent('application/fhir+ndjson')])(
    '_outputFormat=%s is accepted, a raw + too [PA-01]',
    async (format) => {
      expect((await world().demo.fetch(`${groupPath('redox')}?_outputFormat=${format}`)).status).toBe(202)
    },
  )

  it('scopes beyond the allowed ones are narrowed, in the form asked [AU-14, AU-15]', async () => {
    const { token } = world()
    const access = await token('system/Patient.read system/Patient.write openid system/Observation.read')
    const claims = JSON.parse(Buffer.from(access.split('.')[1] ?? '', 'base64url').toString()) as { scope: string }
    expect(claims.scope.split(' ').toSorted()).toEqual(['system/Observation.read', 'system/Patient.read'])
  })

  it('without _type the export is narrowed to the scope [KO-14, PA-06]', async () => {
    const { facade, demo, token } = world()
    const access = await token('system/Patient.rs system/Condition.rs system/Group.rs')
    const started = await fetch(facade.base + groupPath('redox'), { headers: { Authorization: `Bearer ${access}` } })
    const manifest = await demo.manifest(started.headers.get('Content-Location') ?? '')
    expect(new Set(manifest.output.map(({ type }) => type))).toEqual(new Set(['Patient', 'Condition']))
  })

  it('a lenient kick-off goes on without what cannot be done, and reports each in error [KO-09, MF-15, MF-22]', async () => {
    const { demo } = world()
    const started = await demo.fetch(`${groupPath('vendor-x')}?_type=Patient,Foo&organizeOutputBy=Encounter&_bar=1`, {
      headers: { Prefer: 'respond-async, handling=lenient' },
    })
    const manifest = await demo.manifest(started.headers.get('Content-Location') ?? '')
    expect(manifest.error).toMatchObject([{ type: 'OperationOutcome', count: 3 }])
    const lines = (await (await demo.fetch(manifest.error[0]?.url ?? '')).text()).trimEnd().split('\n')
    const named = lines.map((line) => (JSON.parse(line) as { issue: { expression: string[] }[] }).issue[0]?.expression?.[0])
    expect(named.toSorted((a = '', b = '') => a.localeCompare(b))).toEqual(['_bar', '_type', 'organizeOutputBy'])
  })

  it('a thousand polls cost the vendor nothing, and too many are 429 with Retry-After [N-13, ST-04]', async () => {
    const { demo, vendor } = world()
    const { statusUrl } = await exportGroup(world(), 'generic', '?_type=Patient')
    const before = vendor('generic').traffic().statusRequests
    const statuses = new Map<number, number>()
    for (let poll = 0; poll < 1020; poll += 20) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => demo.fetch(statusUrl)))
      for (const answer of answers) {
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
        if (answer.status === 429) {
          expect(answer.headers.get('Retry-After')).toMatch(/^[1-9]\d*$/)
          expect((await outcomeOf(answer)).issue[0]?.code).toBe('throttled')
        } else await answer.body?.cancel()
      }
    }
    expect([...statuses.keys()].toSorted((a, b) => a - b)).toEqual([200, 429])
    expect(vendor('generic').traffic().statusRequests).toBe(before)
  })
})

describe('a vendor that allows one export at a time', () => {
  const world = useWorld({ jobSeconds: 0.6 })

  it('gets one at a time; the others wait in a queue that clients can see, and all are delivered [N-05]', async () => {
    const { demo, other, vendor } = world()
    const path = `/fhir/oracle-health/Group/${vendor('oracle-health').groupId}/$export?_type=Patient`
    const urls = [await demo.kickoff(path), await other.kickoff(path), await demo.kickoff(path)]
    const waiting = await other.fetch(urls[1] ?? '')
    expect([waiting.status, waiting.headers.get('X-Progress')]).toEqual([202, 'queued, position 1'])
    const manifests = await Promise.all([
      demo.manifest(urls[0] ?? ''),
      other.manifest(urls[1] ?? ''),
      demo.manifest(urls[2] ?? ''),
    ])
    expect(manifests.map(({ output }) => output.reduce((sum, { count }) => sum + (count ?? 0), 0))).toEqual([6, 6, 6])
    const { maxInFlight, kickoffs } = vendor('oracle-health').traffic()
    expect({ maxInFlight, kickoffs }).toEqual({ maxInFlight: 1, kickoffs: { accepted: 3, refused: 0 } })
  })

  it('a queued and a running export can be cancelled; the vendor is told, and the slot is free [DL-01, N-31]', async () => {
    const { demo, vendor } = world()
    const path = `/fhir/oracle-health/Group/${vendor('oracle-health').groupId}/$export?_type=Patient`
    const [running, queued, last] = [await demo.kickoff(path), await demo.kickoff(path), await demo.kickoff(path)]
    for (const url of [queued, running]) expect((await demo.fetch(url, { method: 'DELETE' })).status).toBe(202)
    expect((await demo.manifest(last)).output.length).toBeGreaterThan(0)
    expect(vendor('oracle-health').traffic()).toMatchObject({ cancels: 1, maxInFlight: 1 })
  })
})
