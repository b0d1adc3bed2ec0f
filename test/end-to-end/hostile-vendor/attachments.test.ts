import { expect, it } from 'vitest'
import { bomb, bounded, compressed, MEBIBYTE, MEGABYTE } from './measures.ts'
import { pour, redirect, repeated, type Play } from './servers.ts'
import { headersAt, useStage, VENDOR_TOKEN } from './stage.ts'

/* Attachments that a hostile vendor, or whoever wrote its rows, has a client fetch through us. */

const stage = useStage({ hostile: {}, streamed: { retention: 'none' } })

/** What the runtime may take beyond what it takes at rest while bytes pass through; what was decoded is garbage for a while. */
const MOST_STREAMING_BYTES = 150 * MEGABYTE
/** What a sender can have handed over before it notices that nobody listens any more. */
const MOST_UNHEARD_BYTES = 64 * MEBIBYTE

const photosOf = (text: string): string[] => (JSON.parse(text) as { photo: { url: string }[] }).photo.map(({ url }) => url)

/** An export of one patient with these photos. @returns Their addresses as its client has them. */
const photos = async (name: string, urls: readonly string[], play: Play = {}, source = 'hostile'): Promise<string[]> => {
  const { vendor, run, fetch } = stage()
  const photo = urls.map((url) => ({ contentType: 'image/png', url }))
  vendor.perform(name, {
    file: (response) => void response.end(`${JSON.stringify({ resourceType: 'Patient', id: name, photo })}\n`),
    ...play,
  })
  const ending = await run(source, name)
  if (ending.kind !== 'complete') throw new Error(`the export failed: ${ending.diagnostics}`)
  return photosOf(await (await fetch(ending.manifest.output[0]?.url ?? '')).text())
}

const photo = async (name: string, binary: NonNullable<Play['binary']>): Promise<string> =>
  (await photos(name, [`Binary/${name}`], { binary }))[0] ?? ''

it.each(['hostile', 'streamed'])(
  'rows that name other things than Binaries of the source have none of them fetched, whatever the token could read [N-26] (%s)',
  async (source) => {
    const { vendor, third, store, facade } = stage()
    const urls = [
      `${vendor.origin}/fhir/Patient/somebody-else`,
      `${vendor.origin}/fhir/Patient/$export`,
      `${vendor.origin}/fhir/Binary/x/../../Patient`,
      `${vendor.origin}/fhir/Binary/x?_include=*`,
      `${vendor.origin}/other-tenant/Binary/x`,
      `${vendor.origin}@${new URL(third.origin).host}/fhir/Binary/x`,
      `${third.origin}/fhir/Binary/x`,
      `${store.origin}/fhir/Binary/x`,
      `${facade.base}/fhir/${source}/metadata`,
      'http://169.254.169.254/fhir/Binary/x',
      '//169.254.169.254/fhir/Binary/x',
      'file:///fhir/Binary/x',
    ]
    expect(await photos(`elsewhere-${source}`, urls, {}, source)).toEqual(urls)
  },
)

it.each([
  ['another host', () => `${stage().third.origin}/x`],
  ['our own host', () => `${stage().facade.base}/health/live`],
  ['the metadata address', () => 'http://169.254.169.254/latest/meta-data/'],
  ['a file', () => 'file:///etc/passwd'],
  ['the own host behind a user', () => `${stage().vendor.origin.replace('//', '//user:password@')}/fhir/Binary/x`],
  ['itself', () => `${stage().vendor.origin}/fhir/Binary/moved-to-itself`],
])('an attachment that redirects to %s cannot be had, and nobody is asked [N-26]', async (what, locationOf) => {
  const name = `moved-to-${what.replaceAll(' ', '-')}`
  const url = await photo(name, (response) => redirect(response, locationOf()))
  const answer = await stage().fetch(url)
  expect(answer.status).toBe(502)
  expect(await answer.text()).not.toMatch(/127\.0\.0\.1|169\.254|passwd/)
})

it.each(['text/html', 'image/svg+xml', 'application/xhtml+xml', 'multipart/x-mixed-replace; boundary=x'])(
  'an attachment of type %s is run, shown, guessed at and kept by no browser [FI-14]',
  async (type) => {
    const url = await photo(`active-${type.replaceAll(/\W/g, '-')}`, (response) => {
      const headers = {
        'Content-Type': type,
        'Content-Disposition': 'inline',
        'Content-Security-Policy': "default-src *; script-src 'unsafe-inline'",
        'X-Content-Type-Options': 'canary',
        'Cache-Control': 'public, max-age=31536000',
        'Access-Control-Allow-Origin': '*',
        'Set-Cookie': 'canary=1',
        Refresh: '0;url=https://canary.example',
        Link: '<https://canary.example>; rel=preload',
      }
      response.writeHead(200, headers).end('<svg onload="alert(1)">')
    })
    const answer = await stage().fetch(url)
    const of = (name: string): string | null => answer.headers.get(name)
    expect([answer.status, await answer.text()]).toEqual([200, '<svg onload="alert(1)">'])
    expect(of('Content-Type')).toBe(type.startsWith('multipart') ? 'image/png' : type)
    expect([of('Content-Disposition'), of('X-Content-Type-Options')]).toEqual(['attachment', 'nosniff'])
    expect(of('Content-Security-Policy')).toBe("default-src 'none'; frame-ancestors 'none'; sandbox")
    expect(of('Cache-Control')).toBe('no-store, private')
    expect([of('Set-Cookie'), of('Refresh'), of('Link'), of('Access-Control-Allow-Origin')]).toEqual([null, null, null, null])
  },
)

it('an attachment without end, plain or from a bomb, is passed on in bounded memory for as long as a client listens', async () => {
  const sent: Promise<number>[] = []
  const urls = [
    await photo('endless', (response) => {
      sent.push(pour(response.writeHead(200), repeated(Buffer.alloc(MEBIBYTE))))
    }),
    await photo('endless-gzip', (response) => {
      sent.push(pour(response.writeHead(200, { 'Content-Encoding': 'gzip' }), bomb('', compressed(Buffer.alloc(MEBIBYTE)))))
    }),
    await photo('endless-data', (response) => {
      response.writeHead(200, { 'Content-Type': 'application/fhir+json' })
      response.write('{"resourceType":"Binary","contentType":"image/png","data":"')
      sent.push(pour(response, repeated(Buffer.alloc(MEBIBYTE, 'A'))))
    }),
  ]
  for (const url of urls) {
    const passed = await bounded(MOST_STREAMING_BYTES, async () => {
      let bytes = 0
      for await (const chunk of (await stage().fetch(url)).body ?? []) {
        bytes += chunk.length
        if (bytes > 200 * MEGABYTE) break
      }
      return bytes
    })
    expect(passed).toBeGreaterThan(200 * MEGABYTE)
  }
  // The vendor is hung up on as soon as the client has gone.
  for (const bytes of await Promise.all(sent)) expect(bytes).toBeLessThan(300 * MEGABYTE + MOST_UNHEARD_BYTES)
})

it('a Binary that never comes to its data is given up after its first kilobytes', async () => {
  let sent: Promise<number> | undefined
  const url = await photo('endless-frame', (response) => {
    response.writeHead(200, { 'Content-Type': 'application/fhir+json' }).write('{"resourceType":"Binary","x":"')
    sent = pour(response, repeated(Buffer.alloc(MEBIBYTE, ' ')))
  })
  expect((await stage().fetch(url)).status).toBe(502)
  expect(await sent).toBeLessThan(MOST_UNHEARD_BYTES)
})

it('an attachment that grows beyond what its announced length can hold breaks off, and never looks whole', async () => {
  const body = Buffer.concat([...bombOf(64)])
  const url = await photo('announced', (response) => {
    response.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': body.length }).end(body)
  })
  await expect(
    stage()
      .fetch(url)
      .then(async (answer) => answer.arrayBuffer()),
  ).rejects.toThrow('terminated')
})

function* bombOf(mebibytes: number): Generator<Buffer> {
  let count = 0
  const piece = compressed(Buffer.alloc(MEBIBYTE))
  for (const chunk of bomb('', piece)) {
    yield chunk
    if ((count += 1) > mebibytes) return
  }
}

it('throughout, the token went to the vendor alone, and only where a Binary is; nothing of the vendor is in a log or a header', () => {
  const { vendor, third, store, log, answered } = stage()
  expect([third.received, store.received]).toEqual([[], []])
  expect(headersAt(vendor)).toContain(VENDOR_TOKEN)
  const asked = vendor.received.map(({ method, url }) => `${method} ${url}`)
  expect(
    asked.filter((line) => !/^(GET|DELETE) \/fhir\/(Group\/[\w-]+\/\$export|jobs\/|files\/|Binary\/[\w-]+$)/.test(line)),
  ).toEqual([])
  expect(headersAt(vendor)).not.toMatch(/canary-client|203\.0\.113\.99/)
  expect(log.join('\n')).not.toMatch(/Binary|169\.254|passwd|canary|attachments\//)
  expect(answered.join('\n')).not.toMatch(/canary/)
})
