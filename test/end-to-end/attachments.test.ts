import { describe, expect, it } from 'vitest'
import { leaksIn } from '../../sandbox/canaries.ts'
import { exportGroup, SOURCES, useWorld } from './support.ts'

interface Document {
  readonly content: readonly { readonly attachment: { readonly contentType: string; readonly url: string } }[]
}

const attachmentsIn = (text: string): string[] =>
  text
    .trim()
    .split('\n')
    .flatMap((line) => (JSON.parse(line) as Document).content.map(({ attachment }) => attachment.url))

const seen = async (response: Response) => ({
  status: response.status,
  headers: [...response.headers].filter(([name]) => name !== 'date'),
  body: await response.text(),
})

describe('attachments that lie at the vendor', () => {
  const world = useWorld({ patients: 3, jobSeconds: 0.02, oddities: ['absolute-attachments', 'absolute-references'] })
  const exported = async (id: string) => {
    const { demo } = world()
    const { statusUrl, manifest } = await exportGroup(world(), id, '?_type=DocumentReference,Patient')
    const documents = manifest.output.filter(({ type }) => type === 'DocumentReference')
    const texts = await Promise.all(documents.map(async ({ url }) => (await demo.fetch(url)).text()))
    const [url = ''] = texts.flatMap(attachmentsIn)
    return { statusUrl, url, texts }
  }

  it.concurrent.each(SOURCES)(
    '%s: to anyone else, and under any other name, they are byte for byte what never was [AU-17, N-33]',
    async (id) => {
      const { demo, other, facade } = world()
      const { url } = await exported(id)
      const seal = url.split('/').at(-1) ?? ''
      const never = url.replace(/jobs\/[^/]+/, `jobs/${crypto.randomUUID()}`)
      const absent = await seen(await demo.fetch(never))
      expect(absent.status).toBe(404)
      const foreign = id === 'generic' ? 'redox' : 'generic'
      const another = await exported(id)
      const urls = [
        url.slice(0, -1),
        `${url}A`,
        `${url}/..`,
        url.replace(seal, 'A'.repeat(seal.length)),
        url.replace(seal, seal.split('').toReversed().join('')),
        url.replace(seal, 'A'.repeat(9_000)),
        url.replace(seal, '__proto__'),
        url.replace(`/fhir/${id}/`, `/fhir/${foreign}/`),
        `${another.statusUrl}/attachments/${seal}`,
      ]
      for (const one of urls) expect((await demo.fetch(one)).status).toBe(404)
      expect(await seen(await demo.fetch(`${another.statusUrl}/attachments/${seal}`))).toEqual(absent)
      expect(await seen(await other.fetch(url))).toEqual(absent)
      expect((await fetch(url)).status).toBe(401)
      expect((await demo.fetch(url, { method: 'POST' })).status).toBe(405)
      expect((await demo.fetch(url)).status).toBe(200)
      expect(url.startsWith(`${facade.base}/fhir/${id}/jobs/`)).toBe(true)
    },
  )

  it('need the scope of the resource that names them, and end with their export [AU-17, DL-02]', async () => {
    const { demo, token } = world()
    const { statusUrl, url } = await exported('generic')
    const as = async (scope: string) => fetch(url, { headers: { Authorization: `Bearer ${await token(scope)}` } }).then(seen)
    const narrow = await as('system/Patient.rs')
    expect([narrow.status, narrow.body.includes('scope')]).toEqual([403, true])
    expect((await as('system/DocumentReference.rs')).status).toBe(200)
    expect((await demo.fetch(url, { method: 'HEAD' })).headers.get('Content-Disposition')).toBe('attachment')
    expect((await demo.fetch(statusUrl, { method: 'DELETE' })).status).toBe(202)
    for (const method of ['GET', 'HEAD']) expect((await demo.fetch(url, { method })).status).toBe(404)
  })

  it.concurrent.each(SOURCES)(
    '%s: no file tells where the vendor is, and one that did would be found [KO-17, FI-14]',
    async (id) => {
      const { watch, vendor } = world()
      const { texts } = await exported(id)
      const { host } = new URL(vendor(id).origin)
      expect(texts.join('')).not.toContain(host)
      const passage = { door: 'file', party: 'demo', text: `{"url":"http://${host}/Binary/1"}`, where: 'x' } as const
      expect(leaksIn([passage], watch.canaries)).toEqual(['vendor address in file of demo (x)'])
    },
  )
})
