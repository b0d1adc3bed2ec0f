import { describe, expect, it } from 'vitest'
import type { Manifest } from '../../sandbox/bulk-client.ts'
import { blocksOf } from '../../sandbox/compartment.ts'
import { generatedDataset } from '../../sandbox/dataset.ts'
import { parseJson } from '../../sandbox/json.ts'
import { lines } from '../../sandbox/ndjson.ts'
import { FAST, outcomeOf, SOURCES, useWorld } from './support.ts'

const PATIENTS = 3
const dataset = generatedDataset(PATIENTS)
const TYPES = ['Patient', 'Condition', 'Observation']

/** What organizes is us at every source, and the server itself at two more, of which one keeps nothing with us. */
const world = useWorld({ dataset, jobSeconds: 0.02, oddities: false }, undefined, ({ sources }) => {
  const quick = Object.fromEntries(
    Object.entries(sources).map(([id, source]) => [id, { ...source, limits: { pollSeconds: 0.1 } }]),
  )
  const generic = quick['generic']
  if (generic === undefined) throw new Error('no generic server')
  const native = { ...generic, supports: { params: ['_type', 'organizeOutputBy'] } }
  return {
    limits: FAST,
    sources: {
      ...quick,
      native,
      'native-streamed': { ...native, retention: 'none' as const },
      streamed: { ...generic, retention: 'none' as const },
    },
  }
})

const VENDOR_OF: Readonly<Record<string, string>> = { native: 'generic', 'native-streamed': 'generic', streamed: 'generic' }
const groupOf = (source: string): string => world().vendor(VENDOR_OF[source] ?? source).groupId

const exported = async (source: string, query: string): Promise<Manifest & { readonly outputOrganizedBy?: string }> => {
  const statusUrl = await world().demo.kickoff(
    `/fhir/${source}/Group/${groupOf(source)}/$export?organizeOutputBy=Patient${query}`,
  )
  return world().demo.manifest(statusUrl)
}

const textOf = async (url: string): Promise<string> => Buffer.from(await world().demo.read(url)).toString('utf8')

/** What a token for these types gets: the status, and the text or the issue code. */
const statusWith = async (types: readonly string[], url: string): Promise<readonly [number, string]> => {
  const token = await world().token(types.map((type) => `system/${type}.rs`).join(' '))
  const response = await fetch(url, { headers: { Authorization: `Bearer ${token}` } })
  return [response.status, response.ok ? await response.text() : ((await outcomeOf(response)).issue[0]?.code ?? '')]
}

/** Patient → its rows as the servers hold them, itself first. */
const expectedBlocks = async (types: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> => {
  const blocks = new Map<string, string[]>()
  for (const type of types)
    for (const file of await dataset.files(type))
      for await (const line of lines(file.open())) {
        const row = line.toString('utf8')
        for (const patient of blocksOf(parseJson(row) ?? {})) blocks.set(patient, [...(blocks.get(patient) ?? []), row])
      }
  return blocks
}

const HEADER =
  /^\{"resourceType":"Parameters","parameter":\[\{"name":"header","valueReference":\{"reference":"Patient\/([^"]+)"\}\}\]\}$/

describe('an export that is organized by Patient', () => {
  it.concurrent.each([...SOURCES, 'native', 'native-streamed'])(
    '%s: has a block for each patient, of a header, the patient and what is in its compartment [PA-17, FI-12, FI-13, MF-06, MF-08, MF-10]',
    async (source) => {
      const manifest = await exported(source, '')
      expect(manifest.outputOrganizedBy).toBe('Patient')
      const found = new Map<string, readonly string[]>()
      for (const item of manifest.output) {
        expect(item).not.toHaveProperty('type')
        const text = await textOf(item.url)
        expect(text.endsWith('\n')).toBe(true)
        const rows = text.slice(0, -1).split('\n')
        const starts = rows.flatMap((row, index) => (HEADER.test(row) ? [index] : []))
        expect(starts[0]).toBe(0)
        if (item.count !== undefined) expect(item.count).toBe(rows.length - starts.length)
        for (const [nth, start] of starts.entries()) {
          const patient = HEADER.exec(rows[start] ?? '')?.[1] ?? ''
          expect(found.has(patient)).toBe(false)
          found.set(patient, rows.slice(start + 1, starts[nth + 1]))
        }
      }
      const expected = await expectedBlocks(dataset.types)
      expect([...found.keys()].toSorted()).toEqual([...expected.keys()].toSorted())
      for (const [patient, rows] of expected) {
        expect(found.get(patient)?.[0]).toBe(rows[0])
        expect(found.get(patient)?.toSorted()).toEqual(rows.toSorted())
      }
    },
  )

  it.concurrent.each(['generic', 'native', 'native-streamed'])(
    '%s: opens its files to a token for all of its types, and to no other [AU-17]',
    async (source) => {
      const { output } = await exported(source, `&_type=${TYPES.join()}`)
      expect(output.length).toBeGreaterThan(0)
      for (const { url } of output) {
        expect(await statusWith(TYPES, url)).toEqual([200, await textOf(url)])
        for (const type of TYPES)
          expect(
            await statusWith(
              TYPES.filter((each) => each !== type),
              url,
            ),
          ).toEqual([403, 'forbidden'])
      }
    },
  )

  it('is refused where nothing rests with us and the vendor does not organize, and left out for a lenient client [KO-09, PA-17]', async () => {
    const { demo } = world()
    const path = `/fhir/streamed/Group/${groupOf('streamed')}/$export?_type=Patient&organizeOutputBy=Patient`
    const refused = await demo.fetch(path, { headers: { Prefer: 'respond-async' } })
    expect([refused.status, (await outcomeOf(refused)).issue[0]?.expression]).toEqual([400, expect.anything()])
    const started = await demo.fetch(path, { headers: { Prefer: 'respond-async, handling=lenient' } })
    await started.body?.cancel()
    const manifest = await demo.manifest(started.headers.get('Content-Location') ?? '')
    expect(manifest).not.toHaveProperty('outputOrganizedBy')
    expect(manifest.output.map(({ type }) => type)).toEqual(['Patient'])
    expect(await textOf(manifest.error[0]?.url ?? '')).toContain('organizeOutputBy')
  })
})
