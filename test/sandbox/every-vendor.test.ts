import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digest } from '../../sandbox/dataset.ts'
import { digestLines } from '../../sandbox/ndjson.ts'
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts'
import { bearer, clientOf, outputOf, vendorOf } from './client.ts'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ patients: 12, jobSeconds: 0.05, oddities: false })
})
afterAll(() => sandbox.close())

const IDS = ['generic', 'oracle-health', 'redox', 'medplum', 'vendor-x']

const bytesOf = async function* (response: Response): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(await response.arrayBuffer())
}

describe.each(IDS)('%s', (id) => {
  it('exports exactly what it holds', async () => {
    const vendor = vendorOf(sandbox, id)
    const client = clientOf(vendor, await bearer(vendor))
    const output = outputOf(await client.export())
    expect([...new Set(output.map(({ type }) => type))].toSorted()).toEqual(vendor.dataset.types.toSorted())
    for (const type of vendor.dataset.types) {
      const streams = []
      for (const { url } of output.filter((entry) => entry.type === type)) {
        const answer = await client.request(url)
        const location = answer.headers.get('Location')
        const file = answer.status === 307 && location !== null ? await fetch(location) : answer
        expect(file.status).toBe(200)
        streams.push(bytesOf(file))
      }
      expect(await digestLines(streams)).toEqual(await digest(vendor.dataset, type))
    }
  })

  it('gives no file for a type without data', async () => {
    const vendor = vendorOf(sandbox, id)
    const client = clientOf(vendor, await bearer(vendor, 'primary', id === 'oracle-health' ? 'system/Coverage.read' : undefined))
    expect(outputOf(await client.export(`/Group/${vendor.groupId}/$export?_type=Coverage`))).toEqual([])
  })

  it('does not show a job to another client', async () => {
    const vendor = vendorOf(sandbox, id)
    const [own, stranger] = [clientOf(vendor, await bearer(vendor)), clientOf(vendor, await bearer(vendor, 'second'))]
    const statusUrl = await own.kickoff(`/Group/${vendor.groupId}/$export?_type=Patient`)
    const manifest = await own.finish(statusUrl)
    expect((await stranger.request(statusUrl)).status).toBe(404)
    expect((await stranger.request(statusUrl, { method: 'DELETE' })).status).toBe(404)
    const [file] = outputOf(manifest)
    // Medplum's files are read by whoever has the URL.
    expect((await stranger.request(file?.url ?? '')).status).toBe(id === 'medplum' ? 200 : 404)
    expect((await own.request(statusUrl)).status).toBe(200)
  })

  it('has cancelled what was deleted', async () => {
    const vendor = vendorOf(sandbox, id)
    const client = clientOf(vendor, await bearer(vendor))
    const statusUrl = await client.kickoff(`/Group/${vendor.groupId}/$export?_type=Patient`)
    expect((await client.request(statusUrl, { method: 'DELETE' })).status).toBe(202)
    expect((await client.request(statusUrl)).status).toBe(404)
  })

  it('knows no other group, and no %24export', async () => {
    const vendor = vendorOf(sandbox, id)
    const client = clientOf(vendor, await bearer(vendor))
    expect((await client.request('/Group/nobody/$export')).status).toBe(404)
    expect((await client.request(`/Group/${vendor.groupId}/%24export`)).status).toBe(404)
  })

  it('tells its traffic without a token', async () => {
    const vendor = vendorOf(sandbox, id)
    const told: unknown = await (await fetch(`${vendor.origin}/_traffic`)).json()
    expect(told).toEqual(JSON.parse(JSON.stringify(vendor.traffic())))
    const { kickoffs, cancels, tokenRequests, tokensIssued, paths } = vendor.traffic()
    expect(kickoffs.accepted).toBe(4)
    expect(cancels).toBe(1)
    expect(tokenRequests).toBe(tokensIssued)
    expect(Object.keys(paths).length).toBeLessThan(15)
  })
})

it('forgets a job when its retention is over', async () => {
  let nowMs = Date.now()
  const later = await startSandbox({ patients: 1, jobSeconds: 0.01, tokenSeconds: 400 * 86_400, now: () => nowMs })
  const vendor = vendorOf(later, 'vendor-x')
  const client = clientOf(vendor, await bearer(vendor))
  const statusUrl = await client.kickoff()
  nowMs += 1000
  const [file] = outputOf(await client.finish(statusUrl))
  nowMs += 7 * 86_400_000 - 60_000
  expect((await client.request(statusUrl)).status).toBe(200)
  nowMs += 120_000
  expect((await client.request(statusUrl)).status).toBe(404)
  expect((await client.request(file?.url ?? '')).status).toBe(404)
  await later.close()
})
