import { afterEach, expect, it, vi } from 'vitest'
import { ExportError } from '../../src/errors.ts'
import { MAX_STRING_LENGTH } from '../../src/vendor/capped-json.ts'
import { VendorClient, type TokenSource } from '../../src/vendor/client.ts'
import { BASE, paramsWith, sourceWith, stubFetch } from './support.ts'

const JOB = `${BASE}/jobs/42`
const KICKOFF = { level: 'system', params: paramsWith() } as const
const TOKENS: TokenSource = { token: () => Promise.resolve('first'), renew: (stale) => Promise.resolve(`after ${stale}`) }
const NO_TOKEN: TokenSource = {
  token: () => Promise.reject(new ExportError('vendor_refused_credential', 'refused')),
  renew: () => Promise.reject(new Error('not asked')),
}

const clientWith = (differences: Parameters<typeof sourceWith>[0] = {}, tokens = TOKENS): VendorClient =>
  new VendorClient(sourceWith(differences), tokens, false)

afterEach(() => vi.unstubAllGlobals())

it.each([
  ['a lost connection', () => new TypeError('Network connection lost.')],
  ['an answer that is too large', () => new Response('x'.repeat(17 * 1024 * 1024))],
  [
    'a redirect to nowhere that is listed',
    () => new Response(null, { status: 307, headers: { Location: 'https://evil.example/' } }),
  ],
])('a kick-off that meets %s is ambiguous, and was sent once [N-06]', async (_, respond) => {
  const calls = stubFetch(respond)
  expect(await clientWith().kickoff(KICKOFF)).toEqual({ kind: 'ambiguous' })
  expect(calls).toHaveLength(1)
})

it('a kick-off without a token, or at a level that is not there, sends nothing [N-06]', async () => {
  const calls = stubFetch(() => new Response('{}'))
  await expect(clientWith({}, NO_TOKEN).kickoff(KICKOFF)).rejects.toMatchObject({ code: 'vendor_refused_credential' })
  await expect(clientWith().kickoff({ ...KICKOFF, level: 'group' })).rejects.toMatchObject({ code: 'level_unsupported' })
  expect(calls).toEqual([])
})

it('a 401 at kick-off is not tried again, but the next one has another token [N-06, N-12]', async () => {
  const renew = vi.fn<TokenSource['renew']>(() => Promise.reject(new Error('down')))
  const calls = stubFetch(() => new Response(null, { status: 401 }))
  expect(await clientWith({}, { ...TOKENS, renew }).kickoff(KICKOFF)).toEqual({ kind: 'unauthorized' })
  expect(calls).toHaveLength(1)
  expect(renew).toHaveBeenCalledWith('first')
})

it('a token that was refused in mid-job is renewed once [N-12]', async () => {
  const calls = stubFetch((_, index) => new Response(null, { status: index === 0 ? 401 : 202 }))
  expect(await clientWith().status(JOB)).toMatchObject({ kind: 'running' })
  expect(calls.map(({ headers }) => headers.get('Authorization'))).toEqual(['Bearer first', 'Bearer after first'])
})

it('a status that cannot be reached is unclear; one off the list is an error [N-11, N-26]', async () => {
  stubFetch(() => new TypeError('Network connection lost.'))
  expect(await clientWith().status(JOB)).toEqual({ kind: 'unclear', cause: 'unreachable' })
  await expect(clientWith().status('https://evil.example/1')).rejects.toMatchObject({ code: 'vendor_url_untrusted' })
})

it.each([
  ['JSON', '{"output":[]}', 'complete'],
  ['JSON behind blanks', '\n {"output":[]}', 'complete'],
  ['JSON cut off', '{"output":[', 'unclear'],
  ['a web page', '<html>', 'unclear'],
  ['blanks', ' \n', 'unclear'],
])('reads a body of %s by its first byte, whatever its content type says [N-09]', async (_, body, kind) => {
  stubFetch(() => new Response(body, { headers: { 'Content-Type': 'text/html' } }))
  expect((await clientWith().status(JOB)).kind).toBe(kind)
})

it.each([
  [200, 'open'],
  [400, 'gone'],
  [403, 'gone'],
  [410, 'gone'],
  [404, 'missing'],
  [429, 'unavailable'],
  [500, 'unavailable'],
  [206, 'missing'],
])('a file that answers %i is %s [N-25, N-28]', async (status, kind) => {
  stubFetch(() => new Response(null, { status }))
  expect((await clientWith().file(`${BASE}/f`)).kind).toBe(kind)
})

it('a file on an origin off the list is untrusted, one that cannot be reached unavailable [N-26]', async () => {
  stubFetch(() => new TypeError('Network connection lost.'))
  expect(await clientWith().file('https://evil.example/f')).toEqual({ kind: 'untrusted' })
  expect(await clientWith().file('s3://bucket/f')).toEqual({ kind: 'untrusted' })
  expect(await clientWith().file(`${BASE}/f`)).toEqual({ kind: 'unavailable' })
})

it('a vendor that cannot cancel is not asked, and trouble on the way is no exception [N-31]', async () => {
  const calls = stubFetch(() => new TypeError('Network connection lost.'))
  const supports = { levels: {}, params: [], cancel: false, groups: 'none' } as const
  expect(await clientWith({ supports }).cancel(JOB)).toBe(false)
  expect(calls).toEqual([])
  expect(await clientWith().cancel(JOB)).toBe(false)
})

it('a presigned URL that is refused costs no token, since it was sent none [N-12, N-26]', async () => {
  const renew = vi.fn<TokenSource['renew']>(() => Promise.resolve('another'))
  stubFetch(() => new Response(null, { status: 401 }))
  expect(await clientWith({}, { ...TOKENS, renew }).file(`${BASE}/storage/1?Expires=1&Signature=x`)).toEqual({ kind: 'gone' })
  expect(renew).not.toHaveBeenCalled()
})

const DEEP = '['.repeat(1000) + ']'.repeat(1000)

it.each([
  ['nested without end', DEEP],
  ['one long string', `{"output":["${'a'.repeat(MAX_STRING_LENGTH + 1)}"]}`],
])('a status of JSON that is %s is an error that ends the job', async (_, body) => {
  stubFetch(() => new Response(body))
  await expect(clientWith().status(JOB)).rejects.toMatchObject({ code: 'vendor_answer_invalid' })
})

it('a kick-off whose answer is nested without end is ambiguous, and was sent once [N-06]', async () => {
  const calls = stubFetch(() => new Response(DEEP, { status: 202, headers: { 'Content-Location': JOB } }))
  expect(await clientWith().kickoff(KICKOFF)).toEqual({ kind: 'ambiguous' })
  expect(calls).toHaveLength(1)
})

it('a group may be told at length, but not in depth', async () => {
  const div = 'a'.repeat(MAX_STRING_LENGTH + 1)
  stubFetch(() => new Response(JSON.stringify({ resourceType: 'Group', text: { div } })))
  expect((await clientWith().read(`${BASE}/Group/1`)).body).toMatchObject({ text: { div } })
  stubFetch(() => new Response(DEEP))
  await expect(clientWith().read(`${BASE}/Group/1`)).rejects.toMatchObject({ code: 'vendor_answer_invalid' })
})

it('a file whose header is too long is one that cannot be had', async () => {
  stubFetch(() => new Response('{}', { headers: { 'X-Long': 'a'.repeat(100_000) } }))
  expect(await clientWith().file(`${BASE}/f`)).toEqual({ kind: 'missing' })
})

it('our own host is not asked, though the source lists it, unless the source lies there [N-26]', async () => {
  const own = 'https://bulk.example'
  const trust = { origins: [own], fileOrigins: ['https://*.example'] }
  const calls = stubFetch(() => new Response('{}'))
  const client = new VendorClient(sourceWith({ trust }), TOKENS, false, own)
  expect(await client.file(`${own}/f`)).toEqual({ kind: 'untrusted' })
  await expect(client.status(`${own}/jobs/1`)).rejects.toMatchObject({ code: 'vendor_url_untrusted' })
  expect(calls).toEqual([])
  const chained = new VendorClient(sourceWith({}, { fhirBase: `${own}/fhir/other` }), TOKENS, false, own)
  expect((await chained.file(`${own}/f`)).kind).toBe('open')
})
