import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hugeFileBytes, hugeFileContent, tinyFileContent } from '../../sandbox/faults/files.ts'
import { parseJson, type Json } from '../../sandbox/json.ts'
import { startSandbox, type Sandbox, type SandboxVendor } from '../../sandbox/sandbox.ts'
import { bearer, clientOf, issueCode, json, outputOf, vendorOf } from './client.ts'

const IDS = ['generic', 'oracle-health', 'redox', 'medplum', 'vendor-x']
const JOB_IS_OVER_MS = 1_000

let sandbox: Sandbox
let nowMs = Date.now()
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 4, jobSeconds: 0.5, now: () => nowMs })
})
afterAll(() => sandbox.close())

/** Lets every job that runs be done. */
const pass = (): void => {
  nowMs += JOB_IS_OVER_MS
}

/** What a status request says, whatever the vendor's words for it. */
const stateOf = async (response: Response): Promise<Json | 'running'> => {
  const text = await response.text()
  const body = parseJson(text)
  if (response.status === 202 || body?.['status'] === '202') return 'running'
  if (response.status !== 200 || body === undefined) throw new Error(`${response.status} ${text}`)
  return body
}

const paths = (manifest: Json): string[] => outputOf(manifest).map(({ url }) => new URL(url).pathname)

const isNear = (told: string | null, expectedMs: number): void =>
  expect(Math.abs(Date.parse(told ?? '') - expectedMs)).toBeLessThanOrEqual(2 * JOB_IS_OVER_MS)

describe.each(IDS)('%s', (id) => {
  const vendor = (): SandboxVendor => vendorOf(sandbox, id)
  const start = async () => {
    const client = clientOf(vendor(), await bearer(vendor()))
    const statusUrl = await client.kickoff(`/Group/${vendor().groupId}/$export?_type=Patient`)
    const ask = async () => stateOf(await client.request(statusUrl))
    const manifest = async (): Promise<Json> => {
      const state = await ask()
      if (state === 'running') throw new Error('still running')
      return state
    }
    const read = async (url: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> => {
      if (id === 'medplum') return fetch(url, { headers })
      const answer = await client.request(url, { headers })
      const location = answer.headers.get('Location')
      return location === null ? answer : fetch(location, { headers })
    }
    return { client, statusUrl, ask, manifest, read }
  }
  const hits = () =>
    vendor()
      .faults.hits()
      .map((entry) => entry.hits)

  it('can be told never to be done, and to be again', async () => {
    const { ask, client, statusUrl } = await start()
    vendor().faults.set([{ on: 'status', kind: 'never-done' }])
    pass()
    expect([await ask(), await ask(), hits()]).toEqual(['running', 'running', [2]])
    if (id === 'oracle-health') {
      // The job that never ends keeps the one place that there is.
      const second = await client.request(`/Group/${vendor().groupId}/$export`)
      expect([second.status, await issueCode(second)]).toEqual([429, 'throttled'])
    }
    vendor().faults.clear()
    expect(await ask()).not.toBe('running')
    expect((await client.request(statusUrl, { method: 'DELETE' })).status).toBe(202)
  })

  it('can be told to have a manifest before its files', async () => {
    const { ask, manifest, read } = await start()
    vendor().faults.set([{ on: 'status', kind: 'done-early', ms: 300, times: 1 }])
    // One turn of the loop makes the files.
    const [first] = outputOf(await manifest())
    expect((await read(first?.url ?? '')).status).toBe(404)
    nowMs += 299
    expect((await read(first?.url ?? '')).status).toBe(404)
    // And it stays done.
    expect(await ask()).not.toBe('running')
    nowMs += 1
    expect((await read(first?.url ?? '')).status).toBe(200)
    expect(hits()).toEqual([1])
    vendor().faults.clear()
  })

  it('can be told to run again after it was done', async () => {
    const { ask } = await start()
    vendor().faults.set([{ on: 'status', kind: 'back-to-running', times: 2 }])
    expect(await ask()).toBe('running')
    pass()
    expect(await ask()).not.toBe('running')
    expect([await ask(), await ask(), hits()]).toEqual(['running', 'running', [2]])
    expect(await ask()).not.toBe('running')
    vendor().faults.clear()
  })

  it('can be told to list every file twice', async () => {
    const { manifest } = await start()
    pass()
    const once = paths(await manifest())
    vendor().faults.set([{ on: 'status', kind: 'duplicates' }])
    expect(paths(await manifest())).toEqual(once.flatMap((path) => [path, path]))
    vendor().faults.clear()
    expect(paths(await manifest())).toEqual(once)
  })

  it('can be told to list thousands of tiny files, each readable and the same at each poll', async () => {
    const { manifest, read, statusUrl } = await start()
    pass()
    vendor().faults.set([{ on: 'status', kind: 'many-files', files: 2000 }])
    const output = outputOf(await manifest())
    expect(output).toHaveLength(2000)
    expect(paths(await manifest())).toEqual(output.map(({ url }) => new URL(url).pathname))
    // They outlive what listed them, and a stranger's look at the job.
    vendor().faults.clear()
    const stranger = clientOf(vendor(), await bearer(vendor(), 'second'))
    expect((await stranger.request(statusUrl)).status).toBe(404)
    if (id !== 'medplum') expect((await stranger.request(output[0]?.url ?? '')).status).toBe(404)
    for (const index of [0, 1, 1999]) {
      const answer = await read(output[index]?.url ?? '')
      expect(await answer.text()).toBe(tinyFileContent(index).toString())
    }
  })

  it.each([false, true])('can be told to have one huge file; compressed: %j', async (gzip) => {
    const { manifest, read } = await start()
    pass()
    const bytes = 5_000_001
    vendor().faults.set([{ on: 'status', kind: 'huge-file', bytes, gzip }])
    const output = outputOf(await manifest())
    expect(output.map(({ type }) => type)).toEqual(['Patient'])
    const answer = await read(output[0]?.url ?? '')
    expect(answer.headers.get('Content-Encoding')).toBe(gzip ? 'gzip' : null)
    expect(answer.headers.get('Content-Length')).toBe(gzip ? null : String(hugeFileBytes(bytes)))
    const expected = createHash('sha256')
    for await (const chunk of hugeFileContent(bytes)) expected.update(chunk)
    const content = Buffer.from(await answer.arrayBuffer())
    expect(createHash('sha256').update(content).digest('hex')).toBe(expected.digest('hex'))
    expect([content.length, content.at(-1)]).toEqual([hugeFileBytes(bytes), 10])
    const ranged = await read(output[0]?.url ?? '', { Range: 'bytes=4000000-4000009' })
    const isRanged = !gzip && ['generic', 'oracle-health'].includes(id)
    expect(ranged.status).toBe(isRanged ? 206 : 200)
    if (isRanged) expect(await ranged.text()).toBe(content.subarray(4_000_000, 4_000_010).toString())
    else await ranged.body?.cancel()
    vendor().faults.clear()
  })

  it('can be told to be hours ahead in all that it says, and in nothing that it does', async () => {
    const { client, statusUrl, manifest } = await start()
    pass()
    vendor().faults.set([
      { on: 'status', kind: 'clock-skew', hours: 5 },
      { on: 'cancel', kind: 'answer', status: 429, retryAfter: { form: 'date', seconds: 60 }, times: 1 },
    ])
    const aheadMs = 5 * 3_600_000
    const answer = await client.request(statusUrl)
    isNear(answer.headers.get('Date'), nowMs + aheadMs)
    if (['generic', 'oracle-health'].includes(id)) {
      const retentionMs = (id === 'generic' ? 1 : 30) * 86_400_000
      isNear(answer.headers.get('Expires'), nowMs + aheadMs + retentionMs)
    }
    isNear(String((await json(answer))['transactionTime']), nowMs + aheadMs)
    const limited = await client.request(statusUrl, { method: 'DELETE' })
    isNear(limited.headers.get('Retry-After'), nowMs + aheadMs + 60_000)
    expect(
      vendor()
        .faults.hits()
        .map((entry) => entry.hits),
    ).toEqual([2, 1])
    // An assertion that is valid for minutes has expired hours ago; secrets have no time.
    const proof = bearer(vendor())
    if (id === 'vendor-x') await expect(proof).resolves.toBeTruthy()
    else await expect(proof).rejects.toThrow(/exp/)
    vendor().faults.clear()
    isNear(String((await manifest())['transactionTime']), nowMs)
  })

  it('has started the export whose kick-off answer was lost', async () => {
    const client = clientOf(vendor(), await bearer(vendor()))
    pass()
    const before = vendor().traffic().kickoffs
    vendor().faults.set([{ on: 'kickoff', kind: 'reset', at: 'before-header', times: 1 }])
    await expect(client.request(`/Group/${vendor().groupId}/$export`)).rejects.toThrow('fetch failed')
    expect(vendor().traffic().kickoffs).toEqual({ ...before, accepted: before.accepted + 1 })
    vendor().faults.set([{ on: 'kickoff', kind: 'answer', status: 500, times: 1 }])
    expect((await client.request(`/Group/${vendor().groupId}/$export`)).status).toBe(500)
    expect(vendor().traffic().kickoffs).toEqual({ accepted: before.accepted + 1, refused: before.refused + 1 })
    pass()
  })

  it('knows no token any more after one died', async () => {
    const { manifest, client, statusUrl, read } = await start()
    pass()
    const [first] = outputOf(await manifest())
    vendor().faults.set([{ on: 'file', kind: 'token-dies', bytes: 5 }])
    const answer = await read(first?.url ?? '')
    await expect(answer.text()).rejects.toThrow('terminated')
    expect((await client.request(statusUrl)).status).toBe(401)
    vendor().faults.clear()
    const renewed = clientOf(vendor(), await bearer(vendor()))
    expect(await stateOf(await renewed.request(statusUrl))).not.toBe('running')
  })
})

it.each([
  ['oracle-health', 403],
  ['medplum', 410],
])('%s can be told that its presigned URLs live two seconds', async (id, refusal) => {
  const vendor = vendorOf(sandbox, id)
  const client = clientOf(vendor, await bearer(vendor))
  const statusUrl = await client.kickoff(`/Group/${vendor.groupId}/$export?_type=Patient`)
  pass()
  vendor.faults.set([{ on: 'file', kind: 'url-lifetime', seconds: 2 }])
  const presigned = async (): Promise<string> => {
    const [first] = outputOf(await client.finish(statusUrl))
    if (id === 'medplum') return first?.url ?? ''
    return (await client.request(first?.url ?? '')).headers.get('Location') ?? ''
  }
  // Whole seconds stand in the URL.
  nowMs = Math.ceil(nowMs / 1000) * 1000
  const url = await presigned()
  nowMs += 1999
  expect((await fetch(url)).status).toBe(200)
  nowMs += 2
  expect((await fetch(url)).status).toBe(refusal)
  expect((await fetch(await presigned())).status).toBe(200)
  expect(vendor.faults.hits()[0]?.hits).toBeGreaterThanOrEqual(2)
  vendor.faults.clear()
  const later = await presigned()
  nowMs += 30_000
  expect((await fetch(later)).status).toBe(200)
})
