import { expect, it } from 'vitest'
import { headersAt, useStage, VENDOR_TOKEN, type Stage } from './stage.ts'
import { json, patient, redirect, type Play } from './servers.ts'

const stage = useStage({ hostile: {}, streamed: { retention: 'none' } })

/** Places where a vendor has no business, as it would name them. */
const PLACES: readonly (readonly [string, (stage: Stage) => string])[] = [
  ['another host', ({ third }) => `${third.origin}/x`],
  ['our own host', ({ facade }) => `${facade.base}/health/live`],
  ['a file', () => 'file:///etc/passwd'],
  ['data', () => 'data:application/json,{}'],
  ['a bucket', () => 's3://bucket/key'],
  ['the metadata address', () => 'http://169.254.169.254/latest/meta-data/'],
  ['the metadata address over https', () => 'https://169.254.169.254/latest/meta-data/'],
  ['the metadata name', () => 'https://metadata.google.internal/computeMetadata/v1/'],
  ['a host behind the own one as a user', ({ vendor, third }) => `${vendor.origin}@${portless(third.origin)}/x`],
  ['the own host behind a user', ({ vendor }) => vendor.fileUrl('any').replace('//', '//user:password@')],
  ['a host behind a backslash', ({ vendor, third }) => String.raw`${vendor.origin}\@${portless(third.origin)}/x`],
  ['another host in decimal', ({ third }) => third.origin.replace('127.0.0.1', '2130706433')],
  ['another host in hexadecimal', ({ third }) => third.origin.replace('127.0.0.1', '0x7f.0x0.0x0.0x1')],
  ['another host in octal', ({ third }) => third.origin.replace('127.0.0.1', '0177.1')],
  ['the own host, mapped into IPv6', ({ vendor }) => vendor.fileUrl('any').replace('127.0.0.1', '[::ffff:127.0.0.1]')],
  ['the own host by another name', ({ vendor }) => vendor.fileUrl('any').replace('127.0.0.1', 'localhost')],
  ['another host in wide digits, encoded', ({ third }) => third.origin.replace('127', '%EF%BC%91%EF%BC%92%EF%BC%97')],
  ['another host with a dot at its end', ({ third }) => third.origin.replace('0.1:', '0.1.:')],
  ['another host in mixed case', ({ third }) => third.origin.replace('http://127.0.0.1', 'HtTp://LocalHost')],
  ['another port', ({ vendor }) => vendor.origin.replace(/\d+$/, '1')],
  ['a domain that looks like another', () => 'https://xn--fhr-7ma.example/x'],
]

const portless = (origin: string): string => origin.replace('http://', '')

const UNTRUSTED = expect.objectContaining({ kind: 'failed', status: 502, code: 'security' }) as unknown

/** Where a vendor can name a place that is asked before there are files. */
const WAYS: readonly (readonly [string, (name: string, url: string) => Play])[] = [
  ['as the status URL', (_, url) => ({ kickoff: (response) => void response.writeHead(202, { 'Content-Location': url }).end() })],
  ['by a redirect of the status', (_, url) => ({ status: (response) => redirect(response, url) })],
  [
    'as the next page of a manifest',
    (name, url) => ({
      status: (response) => {
        const { vendor } = stage()
        json(response, vendor.manifest([vendor.fileUrl(name)], { link: [{ relation: 'next', url }] }))
      },
    }),
  ],
]

const CASES = PLACES.flatMap(([place, urlOf], index) =>
  WAYS.map(([way, playOf]) => [place, way, `${way.replaceAll(' ', '-')}-${index}`, urlOf, playOf] as const),
)

it.concurrent.each(CASES)('%s %s ends an export, and nobody is asked [N-26]', async (_, __, name, urlOf, playOf) => {
  const { vendor, run } = stage()
  vendor.perform(name, playOf(name, urlOf(stage())))
  expect(await run('hostile', name)).toEqual(UNTRUSTED)
})

it('files at such places are reported one by one, and the rest is delivered [N-26, ST-09]', async () => {
  const { vendor, run, fetch } = stage()
  const urls = PLACES.map(([, urlOf]) => urlOf(stage()))
  // Only a body can carry these.
  urls.push(`${vendor.origin}\t@${portless(stage().third.origin)}/x`, `${vendor.origin}/x\r\nX-Evil: 1`)
  vendor.perform('files', { status: (response) => json(response, vendor.manifest([...urls, vendor.fileUrl('files', 'good')])) })
  const ending = await run('hostile', 'files')
  if (ending.kind !== 'complete') throw new Error('the export failed')
  expect(await Promise.all(ending.manifest.output.map(async ({ url }) => (await fetch(url)).text()))).toEqual([patient('good')])
  expect(ending.problems).toHaveLength(urls.length)
  for (const problem of ending.problems) expect(problem).toMatch(/trust settings do not list/)
})

it('files that redirect to such places are reported one by one, and the rest is delivered [N-26, ST-09]', async () => {
  const { vendor, run } = stage()
  vendor.perform('moved', {
    status: (response) =>
      json(response, vendor.manifest([...PLACES.keys(), 'good'].map((place) => vendor.fileUrl('moved', place)))),
    file: (response, n) => {
      const [, urlOf] = PLACES[Number(n)] ?? []
      if (urlOf) redirect(response, urlOf(stage()))
      else response.end(patient(n))
    },
  })
  const ending = await run('hostile', 'moved')
  if (ending.kind !== 'complete') throw new Error('the export failed')
  expect(ending.manifest.output).toHaveLength(1)
  expect(ending.problems).toHaveLength(PLACES.length)
})

it('streamed files at such places cannot be had, and the rest can [N-26]', async () => {
  const { vendor, run, fetch } = stage()
  const urls = PLACES.map(([, urlOf]) => urlOf(stage()))
  vendor.perform('streams', { status: (response) => json(response, vendor.manifest([...urls, vendor.fileUrl('streams')])) })
  const ending = await run('streamed', 'streams')
  if (ending.kind !== 'complete') throw new Error('the export failed')
  const statuses = await Promise.all(ending.manifest.output.map(async ({ url }) => (await fetch(url)).status))
  expect(statuses).toEqual([...PLACES.map(() => 502), 200])
})

it.each([
  ['in a circle', (step: number) => step % 2],
  ['for ever', (step: number) => step + 1],
])('a status that redirects %s ends its export after a few hops [N-26]', async (what, next) => {
  const { vendor, run } = stage()
  const name = `loop-${what.replaceAll(' ', '-')}`
  const before = vendor.received.length
  vendor.perform(name, {
    status: (response, request) => {
      const step = Number(/\?(\d+)/.exec(request.url ?? '')?.[1] ?? 0)
      redirect(response, `${vendor.statusUrl(name)}?${next(step)}`)
    },
  })
  expect(await run('hostile', name)).toEqual(UNTRUSTED)
  expect(
    vendor.received.slice(before).filter(({ url, method }) => method === 'GET' && url.includes(`/jobs/${name}`)),
  ).toHaveLength(6)
})

it('a file that moved to a listed store is read there, without the token and without anything of the client [N-26]', async () => {
  const { vendor, store, run, fetch } = stage()
  vendor.perform('stored', { file: (response) => redirect(response, `${store.origin}/x?X-Amz-Signature=s`) })
  const ending = await run('hostile', 'stored')
  if (ending.kind !== 'complete') throw new Error('the export failed')
  expect(await (await fetch(ending.manifest.output[0]?.url ?? '')).text()).toBe(patient('stored'))
  const names = store.received.flatMap(({ headers }) =>
    headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()),
  )
  // The platform adds its own mark.
  expect([...new Set(names)].filter((name) => name !== 'cf-worker').toSorted()).toEqual(
    ['accept', 'accept-encoding', 'host'].filter((name) => names.includes(name)),
  )
  expect(names).toContain('accept')
})

it('throughout, the token went to the vendor alone, and nothing of the client or of any URL to anyone [N-26]', () => {
  const { third, store, vendor, facade, log, answered } = stage()
  expect(third.received).toEqual([])
  expect(headersAt(store)).not.toContain(VENDOR_TOKEN)
  expect(headersAt(vendor)).toContain(VENDOR_TOKEN)
  for (const server of [vendor, store]) expect(headersAt(server)).not.toMatch(/canary-client|203\.0\.113\.99/)
  const out = [...log, ...answered.filter((text) => !text.startsWith(facade.base))].join('\n')
  for (const server of [vendor, third, store]) expect(out).not.toContain(portless(server.origin))
  expect(out).not.toMatch(/canary|passwd|169\.254|metadata\.google/)
})
