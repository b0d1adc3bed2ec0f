import { afterEach, expect, it, vi } from 'vitest'
import { replay } from './replay.ts'
import { parseTranscript, sequence } from './transcript.ts'

const TEXT = `# source: recorded from nowhere
# a note
### status: running
# evidence: a page
GET {base}/jobs/1
Accept: application/json
Authorization: Bearer {token}

HTTP/1.1 202 Accepted
X-Progress: 50%

### cancel: done
DELETE {base}/jobs/1

HTTP/1.1 202 Accepted
Content-Type: text/plain

{"a": {"b": 1}}

second line {base}
`
const VALUES = { base: 'https://a.example', token: 't' }
const transcript = parseTranscript(TEXT, 'x.http')
const GOOD = { headers: { Accept: 'application/json', Authorization: 'Bearer t' }, redirect: 'manual' } as const
const URL_1 = 'https://a.example/jobs/1'

afterEach(() => vi.unstubAllGlobals())

it('reads provenance, evidence, requests and answers', () => {
  expect(transcript).toMatchObject({ provenance: 'recorded', where: 'from nowhere' })
  expect(transcript.exchanges.map(({ name, evidence, request }) => [name, evidence, request.method, request.url])).toEqual([
    ['status: running', 'a page', 'GET', '{base}/jobs/1'],
    ['cancel: done', undefined, 'DELETE', '{base}/jobs/1'],
  ])
  expect(transcript.exchanges[1]?.response).toMatchObject({ status: 202, body: '{"a": {"b": 1}}\n\nsecond line {base}' })
  expect(sequence([transcript], 'status: running')).toHaveLength(1)
})

it.each([
  ['no provenance', '### a: b\nGET /\n\nHTTP/1.1 200\n'],
  ['a provenance that is none', '# source: guessed x\n'],
  ['no place of origin', '# source: recorded\n'],
  ['a request without an answer', '# source: recorded x\n### a: b\nGET /\n'],
  ['a request that is none', '# source: recorded x\n### a: b\nfetch it\n\nHTTP/1.1 200\n'],
  ['a header that is none', '# source: recorded x\n### a: b\nGET /\nno header\n\nHTTP/1.1 200\n'],
])('refuses a transcript with %s', (_, text) => {
  expect(() => parseTranscript(text, 'x.http')).toThrow(/^x\.http/)
})

it('answers the exchanges in their order', async () => {
  const network = replay(transcript.exchanges, VALUES)
  const first = await fetch(URL_1, GOOD)
  const second = await fetch(URL_1, { method: 'DELETE', redirect: 'manual' })
  expect([first.status, first.headers.get('X-Progress')]).toEqual([202, '50%'])
  expect(await second.text()).toBe('{"a": {"b": 1}}\n\nsecond line https://a.example')
  expect(() => network.finish()).not.toThrow()
})

it.each<[string, string, RequestInit, RegExp]>([
  ['another URL', 'https://a.example/jobs/2', GOOD, /URL https:\/\/a\.example\/jobs\/2, not/],
  ['another method', URL_1, { ...GOOD, method: 'DELETE' }, /method DELETE, not GET/],
  ['another header', URL_1, { ...GOOD, headers: { Accept: 'text/html', Authorization: 'Bearer t' } }, /accept text\/html, not/],
  ['no token', URL_1, { ...GOOD, headers: { Accept: 'application/json' } }, /authorization null, not Bearer t/],
  ['redirects followed', URL_1, { headers: GOOD.headers }, /redirect undefined, not manual/],
])('tells of a request with %s, even when the exception was swallowed', async (_, url, init, problem) => {
  const network = replay(transcript.exchanges.slice(0, 1), VALUES)
  await expect(fetch(url, init)).rejects.toThrow('not in the transcript')
  expect(() => network.finish()).toThrow(problem)
})

it('tells of a token that no transcript names, of a request too many, and of an exchange that is left', async () => {
  const leak = replay(transcript.exchanges.slice(1), VALUES)
  await expect(fetch(URL_1, { ...GOOD, method: 'DELETE' })).rejects.toThrow('not in the transcript')
  expect(() => leak.finish()).toThrow(/an authorization/)
  const many = replay([], VALUES)
  await expect(fetch(URL_1, GOOD)).rejects.toThrow('not in the transcript')
  expect(() => many.finish()).toThrow(/past the end/)
  const left = replay(transcript.exchanges, VALUES)
  await fetch(URL_1, GOOD)
  expect(() => left.finish()).toThrow(/unused exchange: cancel: done/)
})
