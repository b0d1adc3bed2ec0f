import { describe, expect, it } from 'vitest'
import { BulkClient, requestToken } from '../../sandbox/bulk-client.ts'
import { publicPart } from '../../sandbox/state.ts'
import { exportGroup, outcomeOf, useWorld } from './support.ts'

const OPERATOR_TOKEN = 'operator.0123456789abcdef0123456789abcdef'
const CANARY = 'canary-patient-8731'

interface Event {
  readonly id: string
  readonly type: { readonly code: string }
  readonly subtype: readonly { readonly code: string }[]
  readonly action: string
  readonly outcome: string
  readonly outcomeDesc?: string
  readonly agent: readonly { readonly who: { readonly identifier: { readonly value: string } }; readonly requestor: boolean }[]
  readonly entity: readonly {
    readonly what?: { readonly reference?: string; readonly identifier?: { readonly value: string } }
    readonly role: { readonly display: string }
    readonly name?: string
    readonly query?: string
    readonly detail?: readonly { readonly type: string; readonly valueString: string }[]
  }[]
}

interface Bundle {
  readonly resourceType: string
  readonly type: string
  readonly link: readonly { readonly relation: string; readonly url: string }[]
  readonly entry?: readonly { readonly fullUrl: string; readonly resource: Event }[]
}

const world = useWorld({}, undefined, (sandbox, keys) => {
  const key = JSON.parse(JSON.stringify(publicPart(keys.demo))) as { [name: string]: string }
  const client = (clientId: string, scopes: string[], access: { [source: string]: { groups: string[] } }) => ({
    clientId,
    jwks: { keys: [key] },
    scopes,
    access,
  })
  const own = sandbox.vendors.find(({ id }) => id === 'generic')?.groupId ?? ''
  return {
    variables: {
      OPERATOR_TOKEN,
      CLIENT_LIFE: client('life', ['system/*.rs'], { generic: { groups: ['*'] }, redox: { groups: ['*'] } }),
      CLIENT_NARROW: client('narrow', ['system/Patient.rs', 'system/Group.rs'], { generic: { groups: [own] } }),
      CLIENT_POLLER: client('poller', ['system/*.rs'], { generic: { groups: ['*'] } }),
      CLIENT_QUIET: client('quiet', ['system/*.rs'], {}),
    },
  }
})

const bearer = (token: string): RequestInit => ({ headers: { Authorization: `Bearer ${token}` } })
const auditUrl = (clientId: string, query = ''): string => `${world().facade.base}/operator/clients/${clientId}/audit${query}`

const bundleAt = async (url: string): Promise<Bundle> => {
  const response = await fetch(url, bearer(OPERATOR_TOKEN))
  expect([response.status, response.headers.get('Content-Type'), response.headers.get('Cache-Control')]).toEqual([
    200,
    'application/fhir+json',
    'no-store',
  ])
  return (await response.json()) as Bundle
}

const kept = async (clientId: string): Promise<Event[]> =>
  ((await bundleAt(auditUrl(clientId, '?limit=200'))).entry ?? []).map(({ resource }) => resource)

/** A client's records, newest first; what is written beside an answer comes a moment later. */
const events = async (clientId: string, expected: number): Promise<Event[]> => {
  await expect.poll(() => kept(clientId), { timeout: 10_000, interval: 20 }).toHaveLength(expected)
  return kept(clientId)
}

const tokenOf = async (clientId: string, scope?: string): Promise<string> =>
  (await requestToken(world().facade.base, clientId, world().keys.demo, scope)).token

/** `rest operation E 0` */
const coded = ({ type, subtype, action, outcome, outcomeDesc }: Event): string =>
  [type.code, subtype[0]?.code, action, outcome, ...(outcomeDesc === undefined ? [] : [outcomeDesc])].join(' ')

const entityOf = (event: Event | undefined, role: string): Event['entity'][number] | undefined =>
  event?.entity.find((entity) => entity.role.display === role)

describe('the audit log', () => {
  it('has a record of each step of an export, in order, and keeps them after it is deleted', async () => {
    const { facade, keys, vendor } = world()
    const client = new BulkClient(facade.base, 'life', keys.demo, 100)
    const ask = (url: string, method = 'GET', headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
      client.fetch(url, { method, headers })
    const { groupId } = vendor('generic')
    const kickoff = `${facade.base}/fhir/generic/Group/${groupId}/$export`
    const filter = encodeURIComponent(`Condition?subject:above=Patient/${CANARY}`)
    expect((await ask(`${kickoff}?_type=Patient,Condition&_typeFilter=${filter}`)).status).toBe(400)
    const statusUrl = await client.kickoff(`${kickoff}?_type=Patient,Condition`)
    const jobId = statusUrl.split('/').at(-1)
    const { output } = await client.manifest(statusUrl)
    const [file = { url: '' }] = output
    await (await ask(file.url, 'HEAD')).text()
    const whole = await ask(file.url, 'GET', { 'Accept-Encoding': 'identity' })
    const tag = whole.headers.get('ETag') ?? ''
    await whole.text()
    expect((await ask(file.url, 'GET', { 'If-None-Match': tag, 'Accept-Encoding': 'identity' })).status).toBe(304)
    const part = await ask(file.url, 'GET', { Range: 'bytes=0-9' })
    expect(part.status).toBe(206)
    await part.text()
    expect((await events('life', 6)).length).toBe(6)
    expect((await ask(statusUrl, 'DELETE')).status).toBe(202)

    const found = (await events('life', 7)).toReversed()
    expect(found.map(coded)).toEqual([
      '110114 ITI-71 E 0',
      'rest operation E 4 vendor_rejected',
      'rest operation E 0',
      'rest read R 0',
      '110106 disclose R 0',
      '110106 disclose R 0',
      'rest delete D 0',
    ])
    for (const { agent } of found) {
      expect(agent.map(({ who, requestor }) => [who.identifier.value, requestor])).toEqual([
        ['life', true],
        [facade.base, false],
      ])
    }
    expect(entityOf(found[0], 'Security Resource')?.detail).toEqual([{ type: 'scope', valueString: 'system/*.rs' }])
    for (const event of found.slice(2)) {
      expect(entityOf(event, 'Data Repository')?.what?.identifier?.value).toBe('generic')
      expect(entityOf(event, 'Job')?.what?.identifier?.value).toBe(jobId)
    }
    expect(entityOf(found[2], 'Domain Resource')?.what?.reference).toBe(`${facade.base}/fhir/generic/Group/${groupId}`)
    const queries = found.slice(1, 3).map((event) => Buffer.from(entityOf(event, 'Query')?.query ?? '', 'base64').toString())
    expect(queries).toEqual([
      'Group/{id}/$export?_type=Patient,Condition&_typeFilter',
      'Group/{id}/$export?_type=Patient,Condition',
    ])
    expect(entityOf(found[4], 'Report')?.name).toBe(file.url.split('/').at(-1))
    expect(JSON.stringify(found)).not.toContain(CANARY)
    expect(JSON.stringify(found)).not.toMatch(/eyJ|Bearer|\?_type/)
  })

  it('has the refusals of a client in its own log, and nothing in that of the job’s owner [AU-17, AU-18, AU-19]', async () => {
    const { facade, vendor, demo } = world()
    const { statusUrl, manifest } = await exportGroup(world(), 'generic', '?_type=Patient,Condition')
    const ownerBefore = (await bundleAt(auditUrl('demo', '?limit=200'))).entry?.length
    const auth = bearer(await tokenOf('narrow'))
    const { groupId } = vendor('generic')
    const refused: [string, string, number][] = [
      ['GET', `${facade.base}/fhir/generic/Group/${groupId}/$export?_type=Observation`, 403],
      ['GET', `${facade.base}/fhir/generic/Patient/$export`, 403],
      ['GET', `${facade.base}/fhir/generic/Group/not-mine/$export`, 404],
      ['GET', `${facade.base}/fhir/redox/Patient/$export`, 404],
      ['GET', statusUrl, 404],
      ['DELETE', statusUrl, 404],
      ['GET', manifest.output[0]?.url ?? '', 404],
      ['HEAD', manifest.output[0]?.url ?? '', 404],
      ['GET', `${facade.base}/fhir/generic/Group/not-mine`, 404],
    ]
    for (const [method, url, status] of refused) {
      const answer = await fetch(url, { ...auth, method })
      expect([url, answer.status]).toEqual([url, status])
      await answer.text()
    }
    const found = (await events('narrow', refused.length + 1)).toReversed()
    expect(found.slice(1).map(coded).toSorted()).toEqual(
      [
        'rest operation E 4 scope_insufficient',
        'rest operation E 4 scope_insufficient',
        'rest operation E 4 group_not_found',
        'rest operation E 4 source_not_found',
        'rest read R 4 job_not_found',
        'rest delete D 4 job_not_found',
        '110106 disclose R 4 job_not_found',
        '110106 disclose R 4 job_not_found',
        'rest read R 4 group_not_found',
      ].toSorted(),
    )
    expect((await bundleAt(auditUrl('demo', '?limit=200'))).entry?.length).toBe(ownerBefore)
    await demo.fetch(statusUrl, { method: 'DELETE' })
  })

  it('has no record of polls that find the export under way, however many', async () => {
    const { facade } = world()
    const auth = bearer(await tokenOf('poller'))
    const started = await fetch(`${facade.base}/fhir/generic/Patient/$export`, auth)
    const statusUrl = started.headers.get('Content-Location') ?? ''
    let polls = 0
    for (;;) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(statusUrl, auth)))
      await Promise.all(answers.map((answer) => answer.text()))
      const pending = answers.filter(({ status }) => status === 202).length
      polls += pending
      if (pending < answers.length) {
        const given = answers.filter(({ status }) => status === 200).length
        expect(polls).toBeGreaterThan(0)
        const found = await events('poller', 2 + given)
        expect(found.filter(({ subtype }) => subtype[0]?.code === 'read')).toHaveLength(given)
        return
      }
    }
  })

  it('has token refusals of a client that has proven who it is; of others the log has one line without their id', async () => {
    const { facade, keys, log } = world()
    await expect(requestToken(facade.base, 'quiet', keys.demo, 'system/Patient.cud')).rejects.toThrow('invalid_scope')
    expect((await events('quiet', 1)).map(coded)).toEqual(['110114 ITI-71 E 4 invalid_scope'])
    await expect(requestToken(facade.base, 'quiet', keys.other)).rejects.toThrow('invalid_client')
    await expect(requestToken(facade.base, 'nobody-7731', keys.demo)).rejects.toThrow('invalid_client')
    expect(await events('quiet', 1)).toHaveLength(1)
    expect((await bundleAt(auditUrl('nobody-7731'))).entry).toBeUndefined()
    await expect.poll(() => log.filter((line) => line.includes('audit.token_refused')).length).toBeGreaterThanOrEqual(2)
    expect(log.filter((line) => line.includes('audit.token_refused')).map((line) => JSON.parse(line) as unknown)).toEqual(
      expect.arrayContaining([{ level: 'warn', event: 'audit.token_refused', code: 'invalid_client' }]),
    )
    expect(log.join('\n')).not.toMatch(/nobody-7731|quiet/)
  })
})

describe('the operator’s route', () => {
  it('pages from the newest to the oldest by its next links, each record once', async () => {
    for (let asked = 0; asked < 5; asked++) await tokenOf('quiet')
    const all = (await bundleAt(auditUrl('quiet', '?limit=200'))).entry?.map(({ fullUrl }) => fullUrl) ?? []
    expect(all.length).toBeGreaterThanOrEqual(5)
    const seen: string[] = []
    let url: string | undefined = auditUrl('quiet', '?limit=2')
    while (url !== undefined) {
      const bundle = await bundleAt(url)
      expect([bundle.resourceType, bundle.type]).toEqual(['Bundle', 'searchset'])
      expect(bundle.link[0]).toEqual({ relation: 'self', url })
      expect(bundle.entry?.length).toBeLessThanOrEqual(2)
      seen.push(...(bundle.entry ?? []).map(({ fullUrl }) => fullUrl))
      url = bundle.link.find(({ relation }) => relation === 'next')?.url
    }
    expect(seen).toEqual(all)
    expect(new Set(seen).size).toBe(seen.length)
  })

  it.each(['limit=0', 'limit=-1', 'limit=x', 'before=1.5', 'before='])('refuses ?%s by name', async (query) => {
    const response = await fetch(auditUrl('quiet', `?${query}`), bearer(OPERATOR_TOKEN))
    expect(response.status).toBe(400)
    expect((await outcomeOf(response)).issue[0]?.expression).toEqual([query.split('=')[0]])
  })

  it('answers a client that nobody knows with an empty Bundle, and other methods with 405', async () => {
    expect((await bundleAt(auditUrl('never-was'))).entry).toBeUndefined()
    const posted = await fetch(auditUrl('quiet'), { method: 'POST', ...bearer(OPERATOR_TOKEN) })
    expect([posted.status, posted.headers.get('Allow')]).toEqual([405, 'GET'])
  })

  it('takes the operator’s token only, and that is worth nothing elsewhere', async () => {
    const { facade } = world()
    const clients = await tokenOf('life')
    const wrong: RequestInit[] = [
      {},
      bearer(''),
      bearer(clients),
      bearer(OPERATOR_TOKEN.slice(0, -1)),
      bearer(`${OPERATOR_TOKEN}0`),
      bearer(OPERATOR_TOKEN.toUpperCase()),
      { headers: { Authorization: `Basic ${btoa(`operator:${OPERATOR_TOKEN}`)}` } },
    ]
    for (const init of wrong) {
      for (const url of [auditUrl('life'), `${facade.base}/operator/else`, auditUrl('life', `?access_token=${OPERATOR_TOKEN}`)]) {
        const response = await fetch(url, init)
        expect(response.status).toBe(401)
        expect(response.headers.get('WWW-Authenticate')).toMatch(/^Bearer/)
        expect((await outcomeOf(response)).issue[0]?.code).toBe('login')
      }
    }
    for (const path of ['/jobs', '/fhir/generic/Group', '/fhir/generic/Patient/$export']) {
      expect((await fetch(facade.base + path, bearer(OPERATOR_TOKEN))).status).toBe(401)
    }
  })
})
