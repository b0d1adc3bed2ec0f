import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { exportGroup, SOURCES, useWorld } from './support.ts'

/** Everything of an answer that a client can see. */
const seen = async (response: Response): Promise<unknown> => ({
  status: response.status,
  headers: [...response.headers].filter(([name]) => name !== 'date').toSorted(([a], [b]) => a.localeCompare(b)),
  body: await response.text(),
})

describe('two clients', () => {
  const world = useWorld()

  it.concurrent.each(SOURCES)('%s: another client’s job is byte for byte as one that never was [AU-17, N-33]', async (id) => {
    const { demo, other, facade } = world()
    const { statusUrl, manifest } = await exportGroup(world(), id, '?_type=Patient')
    const file = manifest.output[0]?.url ?? ''
    const unknown = `${facade.base}/fhir/${id}/jobs/${randomUUID()}`
    const pairs: [string, string, RequestInit][] = [
      [statusUrl, unknown, {}],
      [statusUrl, unknown, { method: 'DELETE' }],
      [file, file.replace(statusUrl, unknown), {}],
      [file, file.replace(statusUrl, unknown), { method: 'HEAD' }],
      [`${statusUrl}/files/nonsense`, `${unknown}/files/nonsense`, {}],
    ]
    for (const [theirs, nobodys, init] of pairs) {
      const answer = await seen(await other.fetch(theirs, init))
      expect(answer).toEqual(await seen(await other.fetch(nobodys, init)))
      expect(answer).toMatchObject({ status: 404 })
    }
    // And nothing of it has touched the owner's export.
    expect((await demo.fetch(statusUrl)).status).toBe(200)
    const listed = (await (await other.fetch('/jobs')).json()) as { jobs: unknown[] }
    expect(listed.jobs).toEqual([])
  })

  it('a job is not found under another source, nor at an id that we never make [N-33]', async () => {
    const { demo, facade } = world()
    const { statusUrl } = await exportGroup(world(), 'generic', '?_type=Patient')
    for (const url of [
      statusUrl.replace('/generic/', '/redox/'),
      `${facade.base}/fhir/generic/jobs/1`,
      `${facade.base}/fhir/generic/jobs/%00`,
    ]) {
      expect((await demo.fetch(url)).status).toBe(404)
    }
  })

  it('lists the caller’s own jobs, newest first, page by page', async () => {
    const { demo } = world()
    await exportGroup(world(), 'generic', '?_type=Patient')
    await exportGroup(world(), 'redox', '?_type=Patient')
    const first = (await (await demo.fetch('/jobs?limit=1')).json()) as {
      jobs: { source: string; state: string; status: string }[]
      next: string
    }
    expect(first.jobs).toMatchObject([{ source: 'redox', level: 'group', state: 'complete' }])
    expect((await demo.fetch(first.jobs[0]?.status ?? '')).status).toBe(200)
    const second = (await (await demo.fetch(first.next)).json()) as { jobs: { source: string }[] }
    expect(second.jobs).toMatchObject([{ source: 'generic' }])
    expect((await demo.fetch('/jobs?limit=0')).status).toBe(400)
  })
})
