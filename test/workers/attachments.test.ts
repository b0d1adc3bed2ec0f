import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ExportError } from '../../src/errors.ts'
import { AttachmentSeal } from '../../src/job/sealed-url.ts'
import { attachment } from '../../src/routes/attachments.ts'
import type { App } from '../../src/routes/context.ts'
import { Bench, stored, type JobStub } from './job-support.ts'
import { bindings, EVERYTHING, holdTime, letGo } from './support.ts'

/* A row chooses what is fetched with the vendor's token: a row that a patient, a laboratory or another hospital may have written. */

vi.setConfig({ testTimeout: 30_000 })

let bench: Bench

beforeEach(() => {
  holdTime()
  bench = Bench.withSource({ trust: { fileOrigins: ['https://store.example'] } })
})
afterEach(letGo)

const ask = async (path: string, method = 'GET'): Promise<Response> => {
  const app = new Hono<App>()
  app.use(async (c, next) => {
    c.set('caller', {
      clientId: 'app',
      scopes: EVERYTHING,
      client: { access: { [bench.source.id]: {} } },
    } as unknown as App['Variables']['caller'])
    await next()
  })
  app.get('/fhir/:source/jobs/:job/attachments/:sealed', attachment)
  app.onError((error, c) => {
    if (!(error instanceof ExportError)) throw error
    return c.text(error.code, error.code === 'job_not_found' ? 404 : 502)
  })
  return app.request(new Request(`https://bulkhead.example${path}`, { method }), undefined, bindings)
}

const exported = async (urls: readonly string[]) => {
  const content = urls.map((url) => ({ attachment: { contentType: 'text/plain', url } }))
  const text = `${JSON.stringify({ resourceType: 'DocumentReference', id: '1', content })}\n`
  const url = bench.file('documents', text)
  bench.vendor.on(bench.status, bench.manifest([{ type: 'DocumentReference', url }]))
  const { job, jobId } = await bench.complete({ jobId: crypto.randomUUID() })
  const row = (await (await bindings.FILES.get(`jobs/${jobId}/1`))?.json<{ content: typeof content }>())?.content ?? []
  return { job, jobId, urls: row.map((each) => each.attachment.url) }
}

/** A URL such as an older version, or an older configuration, may have handed out. */
const sealedBy = async (job: JobStub, jobId: string, url: string): Promise<string> => {
  const [, key = ''] = /attachmentKey\W+([\w-]{43})/.exec(await stored(job)) ?? []
  const sealed = await new AttachmentSeal(key).seal({ url, type: 'DocumentReference', contentType: 'text/plain' })
  return `/fhir/${bench.source.id}/jobs/${jobId}/attachments/${sealed ?? ''}`
}

/** What the token could read, or do, at the vendor's own origin. */
const places = (base: string): readonly string[] => [
  `${base}/Patient/other`,
  `${base}/Patient?_count=1000`,
  `${base}/$export`,
  `${base}/Group/1/$export`,
  `${base}/Binary`,
  `${base}/Binary/`,
  `${base}/Binary?patient=1`,
  `${base}/Binary/1?_include=*`,
  `${base}/Binary/$autogen?patient=1`,
  `${base}/Binary/1/$delete`,
  `${base}/Binary/1/../../Patient/other`,
  `${base}/Binary/%2e%2e/Patient/other`,
  `${base}/Binary/..%2fPatient%2fother`,
  `${base}/Binary/1;/Patient/other`,
  `${base}X/Binary/1`,
  base.replace('/fhir', '/other-tenant/fhir/Binary/1'),
  base.replace('/fhir', '/oauth2/revoke'),
  base.replace('/fhir', '/'),
  '../Binary/1',
  '/other-tenant/Binary/1',
]

describe('what a row may have fetched with the vendor’s token', () => {
  it('is a Binary under the source’s own address, by GET alone; what else is there stays as it was written [N-26, FI-14]', async () => {
    const { base } = bench.source
    const binaries = ['Binary/a', `${base}/Binary/b`, `${base}/Binary/c/_history/2`, `${base}/x/../Binary/d`]
    const { urls } = await exported([...places(base), ...binaries])
    expect(urls.slice(0, -binaries.length)).toEqual(places(base))
    const asked = ['a', 'b', 'c/_history/2', 'd'].map((id) => `GET ${base}/Binary/${id}`)
    for (const line of asked) bench.vendor.on(line, ({ headers }) => new Response(headers.get('Authorization') ?? 'no token'))
    const before = bench.vendor.requests.length
    for (const url of urls.slice(-binaries.length)) {
      expect((await ask(new URL(url).pathname, 'HEAD')).status).toBe(200)
      expect(await (await ask(new URL(url).pathname)).text()).toBe('Bearer vendor-token')
    }
    expect(bench.vendor.requests.slice(before)).toEqual(asked)
    bench.vendor.verify()
  })

  it('is judged again when it is asked for: a seal over anything else is as if there were no such export [N-26, N-33]', async () => {
    const { job, jobId } = await exported(['Binary/a'])
    const { base } = bench.source
    const absolute = places(base).filter((url) => url.startsWith('https:'))
    const elsewhere = ['https://no-longer-trusted.example/Binary/1', 'http://169.254.169.254/latest', 'file:///etc/passwd', 'x']
    expect((await ask(await sealedBy(job, jobId, `${base}/Binary/a`), 'HEAD')).status).toBe(200)
    const before = bench.vendor.requests.length
    for (const url of [...absolute, ...elsewhere])
      for (const method of ['GET', 'HEAD'])
        expect([url, (await ask(await sealedBy(job, jobId, url), method)).status]).toEqual([url, 404])
    expect(bench.vendor.requests.slice(before)).toEqual([])
  })

  it('is nothing of what is signed itself: that is asked without the token [N-26]', async () => {
    const url = bench.source.base.replace('/fhir', '/storage/1?Expires=1&Signature=s')
    const { urls } = await exported([url])
    bench.vendor.on(`GET ${url}`, ({ headers }) => new Response(headers.get('Authorization') ?? 'no token'))
    expect(await (await ask(new URL(urls[0] ?? '').pathname)).text()).toBe('no token')
  })
})

describe('an attachment whose server redirects', () => {
  it('is read at a store that is listed, without the token [N-26]', async () => {
    const { urls } = await exported(['Binary/a'])
    bench.vendor.on(`GET ${bench.source.base}/Binary/a`, () => Response.redirect('https://store.example/1'))
    bench.vendor.on('GET https://store.example/1', ({ headers }) => new Response(headers.get('Authorization') ?? 'no token'))
    expect(await (await ask(new URL(urls[0] ?? '').pathname)).text()).toBe('no token')
  })

  it.each([
    'https://elsewhere.example/',
    'http://169.254.169.254/',
    'https://bulkhead.example/fhir/x/jobs',
    'file:///etc/passwd',
  ])('to %s cannot be had, and nobody is asked [N-26]', async (location) => {
    const { urls } = await exported(['Binary/a'])
    bench.vendor.on(
      `GET ${bench.source.base}/Binary/a`,
      () => new Response(null, { status: 302, headers: { Location: location } }),
    )
    const before = bench.vendor.requests.length
    const answer = await ask(new URL(urls[0] ?? '').pathname)
    expect([answer.status, await answer.text()]).toEqual([502, 'vendor_file_unavailable'])
    expect(bench.vendor.requests.slice(before)).toEqual([`GET ${bench.source.base}/Binary/a`])
  })
})

describe('what a server says of an attachment', () => {
  it.each(['text/html', 'image/svg+xml', 'text/html; charset=utf-8'])('of type %s is kept from browsers', async (type) => {
    const { urls } = await exported(['Binary/a'])
    const headers = {
      'Content-Type': type,
      'Content-Disposition': 'inline',
      Refresh: '0',
      'Clear-Site-Data': '"*"',
      Link: '</x>',
    }
    bench.vendor.on(`GET ${bench.source.base}/Binary/a`, () => new Response('<script>', { headers }))
    const answer = await ask(new URL(urls[0] ?? '').pathname)
    expect(await answer.text()).toBe('<script>')
    expect(Object.fromEntries(answer.headers)).toEqual({
      'cache-control': 'no-store, private',
      'content-disposition': 'attachment',
      'content-type': type,
    })
  })

  it.each(['text/html; x="y"', 'a/b, c/d', `a/${'b'.repeat(200)}`, 'a b', 'text/plain; charset="x"', '<script>/x'])(
    'goes into no header unless it is a plain media type: %s',
    async (type) => {
      const { urls } = await exported(['Binary/a'])
      const wrapped = JSON.stringify({ resourceType: 'Binary', contentType: type, data: btoa('x') })
      bench.vendor.on(
        `GET ${bench.source.base}/Binary/a`,
        () => new Response('x', { headers: { 'Content-Type': type } }),
        () => new Response(wrapped, { headers: { 'Content-Type': 'application/fhir+json' } }),
      )
      for (let turn = 0; turn < 2; turn += 1) {
        const answer = await ask(new URL(urls[0] ?? '').pathname)
        expect([answer.headers.get('Content-Type'), await answer.text()]).toEqual(['text/plain', 'x'])
      }
    },
  )
})
