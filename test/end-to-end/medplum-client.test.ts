import { MedplumClient } from '@medplum/core'
import { describe, expect, it } from 'vitest'
import { SOURCES, useWorld, type World } from './support.ts'

/** Its own words for how it is to wait; everything else is as it comes. */
const POLLING = { pollStatusOnAccepted: true, pollStatusPeriod: 100 }

const clientOf = async ({ facade, token }: World, source: string): Promise<MedplumClient> => {
  const client = new MedplumClient({ baseUrl: `${facade.base}/`, fhirUrlPath: `fhir/${source}`, fetch })
  client.setAccessToken(await token('system/*.rs'))
  return client
}

describe('a client that knows nothing of us: MedplumClient.bulkExport', () => {
  const world = useWorld({ patients: 3, jobSeconds: 0.2 })

  it.concurrent.each(SOURCES)('completes a group export of %s [KO-03, ST-01, ST-11]', async (source) => {
    const client = await clientOf(world(), source)
    const manifest = await client.bulkExport(`Group/${world().vendor(source).groupId}`, 'Patient,Condition', undefined, POLLING)
    expect(new Set(manifest.output?.map(({ type }) => type))).toEqual(new Set(['Patient', 'Condition']))
    for (const { type, url } of manifest.output ?? []) {
      const rows = await (await client.download(url ?? '')).text()
      for (const row of rows.trimEnd().split('\n')) expect(JSON.parse(row)).toMatchObject({ resourceType: type })
    }
  })

  it.concurrent.each(SOURCES)('completes a patient export of %s, since a time', async (source) => {
    const client = await clientOf(world(), source)
    const manifest = await client.bulkExport('Patient', 'Patient', '2000-01-01T00:00:00Z', POLLING)
    expect(manifest.output?.map(({ type }) => type)).toContain('Patient')
    expect(manifest.error).toEqual([])
  })
})
