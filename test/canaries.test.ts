import { createServer, request as send, type OutgoingHttpHeaders, type Server } from 'node:http'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { CanaryWatch } from '../sandbox/canary-watch.ts'
import type { CanaryKind } from '../sandbox/canaries.ts'
import { startSandbox, type Sandbox, type SandboxVendor } from '../sandbox/sandbox.ts'
import { sandboxKeys } from '../sandbox/state.ts'

/** One value of each kind that is made only while a facade runs. */
const MADE = {
  'vendor token': 'vendor-token-6f1d0c',
  'vendor assertion': 'vendor-assertion-6f1d0c',
  'presigned signature': 'presigned-signature-6f1d0c',
  'client token': 'client-token-6f1d0c',
  'client assertion': 'client-assertion-6f1d0c',
  'operator token': 'operator-token-6f1d0c',
  'job id': 'b0a6a1de-0c44-4f0e-8a6d-52d0e4c1b7aa',
} as const satisfies Partial<Record<CanaryKind, string>>
const OWNER = 'redox'
const OTHER = 'medplum'

const listening = (server: Server): Promise<string> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(address !== null && typeof address === 'object' ? `http://127.0.0.1:${address.port}` : '')
    })
  })

/** A request as a facade would send it: not with the `fetch` that clients are watched by. */
const ask = (url: string, headers: OutgoingHttpHeaders = {}, body?: string): Promise<void> =>
  new Promise((resolve, reject) => {
    send(url, { method: body === undefined ? 'GET' : 'POST', headers, agent: false }, (response) => {
      response.resume()
      response.once('close', resolve)
    })
      .once('error', reject)
      .end(body)
  })

/** An access token of Bulkhead's as far as it says whose it is. */
const tokenOf = (clientId: string): string =>
  ['e30', Buffer.from(JSON.stringify({ client_id: clientId })).toString('base64url'), `signature-for-${clientId}`].join('.')

const as = (clientId: string): RequestInit => ({ headers: { Authorization: `Bearer ${tokenOf(clientId)}` } })

let sandbox: Sandbox
let answer: { status?: number; headers?: OutgoingHttpHeaders; body?: string | Uint8Array } = {}
const facade = createServer((_, response) => {
  response.writeHead(answer.status ?? 200, answer.headers).end(answer.body ?? '')
})
const third = createServer((_, response) => {
  response.end()
})
let base = ''
let thirdOrigin = ''
let watch: CanaryWatch

beforeAll(async () => {
  sandbox = await startSandbox({ patients: 3, jobSeconds: 0.001 })
  base = await listening(facade)
  thirdOrigin = await listening(third)
})
afterAll(async () => {
  facade.close()
  third.close()
  await sandbox.close()
})
beforeEach(async () => {
  answer = {}
  watch = await CanaryWatch.start(sandbox, await sandboxKeys())
  watch.facadeAt(base)
  for (const [kind, value] of Object.entries(MADE)) watch.canaries.plant(kind as keyof typeof MADE, value, OWNER, 'demo')
})
afterEach(() => watch.close())

const vendor = (id: string): SandboxVendor => {
  const found = sandbox.vendors.find((each) => each.id === id)
  if (found === undefined) throw new Error(`no vendor ${id}`)
  return found
}

const fetched = async (path: string, init: RequestInit = {}): Promise<void> => {
  await (await fetch(base + path, init)).text()
}

/** A planted value of each kind; those of patients, vendors and keys are what the sandbox holds. */
const valueOf = async (kind: CanaryKind): Promise<string> => {
  const keys = await sandboxKeys()
  const { origin, groupId, clients } = vendor(OWNER)
  const held: Readonly<Partial<Record<CanaryKind, string | undefined>>> = {
    ...MADE,
    'patient name': await patient((text) => /"family":"([^"]+)"/.exec(text)?.[1]),
    'patient id': await patient((text) => /"id":"([^"]+)"/.exec(text)?.[1]),
    'patient identifier': await patient((text) => /"value":"(SYN[^"]+)"/.exec(text)?.[1]),
    'patient address': await patient((text) => /"line":\["([^"]+)"/.exec(text)?.[1]),
    'group id': groupId,
    'vendor address': new URL(origin).host,
    'vendor secret': clients.primary.secret,
    'vendor key': clients.primary.privateKeys.RS384.d,
    'signing key': keys.signing.d,
    'client key': keys.other.d,
  }
  const value = held[kind]
  if (value === undefined) throw new Error(`nothing is planted as ${kind}`)
  return value
}

const patient = async (find: (text: string) => string | undefined): Promise<string | undefined> => {
  const [file] = await sandbox.dataset.files('Patient', 1)
  const chunks: Uint8Array[] = []
  if (file !== undefined) for await (const chunk of file.open()) chunks.push(chunk)
  return find(Buffer.concat(chunks).toString())
}

const KINDS: readonly Exclude<CanaryKind, 'job id'>[] = [
  'patient name',
  'patient id',
  'patient identifier',
  'patient address',
  'group id',
  'vendor address',
  'vendor token',
  'vendor secret',
  'vendor key',
  'vendor assertion',
  'presigned signature',
  'signing key',
  'client key',
  'client token',
  'client assertion',
  'operator token',
]

describe('a canary that was let out on purpose is caught', () => {
  it.each(KINDS)('in the log: a %s, also within a longer word and percent-encoded', async (kind) => {
    const value = await valueOf(kind)
    watch.log(`{"event":"job.state","code":"x${value}x"}`)
    watch.log(`{"event":"file.read","code":"%22${encodeURIComponent(value).replace('-', '%2D')}%22"}`)
    const leaks = watch.leaks().filter((leak) => leak.startsWith(`${kind} in log`))
    expect(leaks).toEqual([`${kind} in log (job.state)`, `${kind} in log (file.read)`])
    expect(leaks.join('\n')).not.toContain(value)
  })

  it.each(['vendor key', 'signing key', 'vendor secret'] as const)('in the log: thirty-one characters of a %s', async (kind) => {
    const value = await valueOf(kind)
    for (const part of [value.slice(0, 31), value.slice(1, 32)]) {
      watch.log(`{"event":"x","code":"${part}…"}`)
    }
    expect(watch.leaks()).toEqual([`${kind} in log (x), 2 times`])
  })

  it.each(KINDS)('in a header of an answer: a %s', async (kind) => {
    answer = { headers: { 'X-Diagnostics': await valueOf(kind) } }
    await fetched('/fhir/redox/metadata')
    expect(watch.leaks()).toContain(`${kind} in answer header (GET /fhir/redox/metadata 200)`)
  })

  it.each(KINDS.filter((kind) => kind !== 'group id'))('in an error or a manifest: a %s', async (kind) => {
    for (const status of [200, 404, 500]) {
      answer = { status, body: JSON.stringify({ diagnostics: `about ${await valueOf(kind)}` }) }
      await fetched('/jobs', as('demo'))
    }
    for (const status of [200, 404, 500]) expect(watch.leaks()).toContain(`${kind} in answer of demo (GET /jobs ${status})`)
  })

  it.each([
    'vendor address',
    'vendor token',
    'vendor secret',
    'presigned signature',
    'signing key',
    'operator token',
    'client token',
  ] as const)('in an output file and in a group, compressed or not: a %s', async (kind) => {
    const body = `{"resourceType":"Patient","id":"${await valueOf(kind)}"}`
    answer = { body: gzipSync(body), headers: { 'Content-Encoding': 'gzip' } }
    await fetched('/fhir/redox/jobs/unknown-job/files/Patient.1.ndjson', as('demo'))
    answer = { body }
    await fetched('/fhir/redox/Group/some', as('demo'))
    expect(watch.leaks().filter((leak) => leak.startsWith(kind))).toEqual([
      expect.stringContaining(`${kind} in file of demo`),
      expect.stringContaining(`${kind} in group answer of demo`),
    ])
  })

  it('in an answer to another client: a job, its manifest and its files [N-33]', async () => {
    const job = `/fhir/redox/jobs/${MADE['job id']}`
    answer = { body: '{"resourceType":"Patient"}' }
    await fetched(`${job}/files/Patient.1.ndjson`, as('demo'))
    await fetched(job, as('demo'))
    expect(watch.leaks()).toEqual([])
    for (const path of [job, `${job}/files/Patient.1.ndjson`]) await fetched(path, as('other'))
    answer = { body: JSON.stringify({ jobs: [{ status: base + job }] }) }
    await fetched('/jobs', as('other'))
    expect(watch.leaks().map((leak) => leak.replace(/ \(.*/, ''))).toEqual([
      'job id in answer of other',
      'job id in file of other',
      'job id in answer of other',
    ])
  })

  it('that another client asked for by name, and was refused in its own words, is no leak', async () => {
    answer = { status: 404, body: JSON.stringify({ diagnostics: `no export ${MADE['job id']}` }) }
    await fetched(`/fhir/redox/jobs/${MADE['job id']}`, as('other'))
    expect(watch.leaks()).toEqual([])
  })

  it.each(KINDS)('at a host that is nobody’s vendor, in path, header or body: a %s', async (kind) => {
    const value = await valueOf(kind)
    await ask(`${thirdOrigin}/?q=${encodeURIComponent(value)}`)
    await ask(thirdOrigin, { 'X-Test': `Bearer ${value}` })
    await ask(thirdOrigin, {}, `{"a":"${value}"}`)
    expect(watch.leaks().filter((leak) => leak.startsWith(`${kind} `))).toEqual([
      `${kind} in third host (GET), 2 times`,
      `${kind} in third host (POST)`,
    ])
  })

  it('at another vendor: a token, a signature, a secret, an assertion', async () => {
    const { secret } = vendor(OWNER).clients.primary
    await ask(`${vendor(OTHER).origin}/fhir/R4/Group`, { Authorization: `Bearer ${MADE['vendor token']}` })
    await ask(`${vendor(OTHER).origin}/fhir/R4/Group?Signature=${MADE['presigned signature']}`)
    await ask(vendor(OTHER).tokenUrl, {}, `client_secret=${secret}`)
    await ask(vendor(OTHER).tokenUrl, {}, `client_assertion=${MADE['vendor assertion']}`)
    await ask(vendor(OTHER).tokenUrl, { Authorization: `Basic ${Buffer.from(`bulkhead:${secret}`).toString('base64')}` }, 'x')
    expect(watch.leaks().map((leak) => leak.replace(/ \([^)]*\)/, ''))).toEqual([
      'vendor token in vendor API of medplum',
      'presigned signature in vendor API of medplum',
      'vendor secret in vendor token endpoint of medplum, 2 times',
      'vendor assertion in vendor token endpoint of medplum',
    ])
  })

  it('at its own vendor, in another place than it is for: a token at the store, a secret at the API', async () => {
    const oracle = vendor('oracle-health')
    const [store = ''] = sandbox.sources['oracle-health']?.trust?.fileOrigins ?? []
    const token = 'oracle-token-6f1d0c'
    watch.canaries.plant('vendor token', token, 'oracle-health')
    await ask(`${oracle.fhirBase}/Group`, { Authorization: `Bearer ${token}` })
    expect(watch.leaks()).toEqual([])
    await ask(`${store}/file`, { Authorization: `Bearer ${token}` })
    await ask(`${oracle.fhirBase}/Group?secret=${oracle.clients.primary.secret}`)
    expect(watch.leaks().map((leak) => leak.replace(/ \(.*/, ''))).toEqual([
      'vendor token in vendor store of oracle-health files',
      'vendor secret in vendor API of oracle-health',
    ])
  })

  it('at a vendor: what a client sent to us', async () => {
    await fetched('/jobs', as('demo'))
    await ask(`${vendor(OWNER).fhirBase}/Group`, { Authorization: `Bearer ${tokenOf('demo')}` })
    expect(watch.leaks()).toContainEqual(expect.stringMatching(/^client token in vendor API of redox/))
  })
})

describe('secrets that are made on the way are learnt from the wire', () => {
  it('a token, from the answer that gives it out', async () => {
    const { origin, clients } = vendor(OWNER)
    const { clientId: apiKey, secret } = clients.primary
    const answered = await fetch(`${origin}/auth/authenticate`, { method: 'POST', body: JSON.stringify({ apiKey, secret }) })
    const { accessToken } = (await answered.json()) as { accessToken: string }
    expect(watch.leaks()).toEqual([])
    watch.log(`{"event":"x","token":"${accessToken}"}`)
    expect(watch.leaks()).toEqual(['vendor token in log (x)'])
  })

  it('a client’s assertion and its token, although the log was written before the answer', async () => {
    watch.log(`{"event":"x","token":"signature-of-assertion"}`)
    watch.log(`{"event":"y","token":"signature-for-late"}`)
    answer = { body: JSON.stringify({ access_token: tokenOf('late') }) }
    await fetched('/auth/token', {
      method: 'POST',
      body: new URLSearchParams({ client_assertion: 'e30.e30.signature-of-assertion' }),
    })
    expect(watch.leaks()).toEqual(['client assertion in log (x)', 'client token in log (y)'])
  })
})
