import { afterEach, expect, it, vi } from 'vitest'
import type { ExportErrorCode } from '../../src/errors.ts'
import { MAX_HEADER_BYTES, MAX_REDIRECTS, trustedFetch } from '../../src/vendor/trusted-fetch.ts'
import type { TrustedRequest, TrustPolicy } from '../../src/vendor/trusted-fetch.ts'
import { stubFetch } from './support.ts'

const OWN = 'https://fhir.example'
const SECOND = 'https://api.example'
const STORE = 'https://bucket.s3.amazonaws.com'
const TOKEN = 'Bearer the-token'

const POLICY: TrustPolicy = {
  sandbox: false,
  credentialOrigins: new Set([OWN, SECOND]),
  openOrigins: ['https://*.s3.amazonaws.com', 'https://files.example:8443'],
}
const SANDBOX: TrustPolicy = { sandbox: true, credentialOrigins: new Set(['http://127.0.0.1:4001']), openOrigins: [] }

const get = (url: string, differences: Partial<TrustedRequest> = {}, policy = POLICY): Promise<Response> =>
  trustedFetch({ method: 'GET', url, authorization: TOKEN, ...differences }, policy)
const redirect = (status: number, location: string): Response => new Response(null, { status, headers: { Location: location } })
const error = (code: ExportErrorCode): unknown => expect.objectContaining({ code })

afterEach(() => vi.unstubAllGlobals())

it.each<[string, boolean]>([
  [`${OWN}/a`, true],
  [`${SECOND}/a`, true],
  [`${OWN}:443/a`, true],
  ['https://FHIR.Example/a', true],
  [`${STORE}/a`, false],
  ['https://files.example:8443/a', false],
  // A signed query is a credential by itself; a store refuses a second one.
  [`${OWN}/storage/a?Expires=1&Signature=s`, false],
  [`${OWN}/a?X-Amz-Signature=s`, false],
  [`${OWN}/a?x-amz-signature=s`, false],
  [`${OWN}/a?X-Goog-Signature=s`, false],
  [`${OWN}/a?sv=1&sig=s`, false],
  [`${OWN}/a?signal=1&design=2`, true],
])('asks %s with the token: %j [N-26]', async (url, withToken) => {
  const calls = stubFetch(() => new Response('{}'))
  await get(url)
  expect(calls.map((call) => [call.url, call.headers.get('Authorization')])).toEqual([[url, withToken ? TOKEN : null]])
})

it.each([
  ['a host that nobody listed', 'https://elsewhere.example/a'],
  ['a subdomain of an own host', 'https://x.fhir.example/a'],
  ['an own host as a prefix', 'https://fhir.example.evil.example/a'],
  ['an own host as the user', 'https://fhir.example@evil.example/a'],
  ['an own host behind a user', 'https://user:password@fhir.example/a'],
  ['another port of an own host', `${OWN}:8443/a`],
  ['another port of a listed store', 'https://files.example/a'],
  ['the store without a label', 'https://s3.amazonaws.com/a'],
  ['a host that ends like the store', 'https://evils3.amazonaws.com.evil.example/a'],
  ['a port behind the store', `${STORE}:444/a`],
  ['a trailing dot', 'https://fhir.example./a'],
  ['http', 'http://fhir.example/a'],
  ['http to a store', 'http://bucket.s3.amazonaws.com/a'],
  ['loopback outside the sandbox', 'http://127.0.0.1:4001/a'],
  ['the metadata service', 'http://169.254.169.254/latest'],
  ['a bucket name', 's3://bucket/a'],
  ['a file', 'file:///etc/passwd'],
  ['data', 'data:application/json,{}'],
  ['a relative URL', '/a'],
  ['a protocol-relative URL', '//evil.example/a'],
  ['an own host behind backslashes', String.raw`https:\\evil.example\@fhir.example/a`],
  ['nothing', ''],
  ['the metadata address over https', 'https://169.254.169.254/latest'],
  ['the metadata name', 'https://metadata.google.internal/computeMetadata/v1'],
  ['loopback in decimal', 'https://2130706433/a'],
  ['loopback in hexadecimal', 'https://0x7f.1/a'],
  ['loopback in octal', 'https://0177.0.0.1/a'],
  ['loopback mapped into IPv6', 'https://[::ffff:127.0.0.1]/a'],
  ['IPv6 loopback', 'https://[::1]/a'],
  ['an own host in look-alike letters', 'https://fhir.ехаmple/a'],
  ['an own host in punycode of them', 'https://fhir.xn--mple-43d2cxa/a'],
  ['an own host with a joiner in it', 'https://fhir.exam\u200dple/a'],
  ['another host behind a backslash', String.raw`https://fhir.example\@evil.example/a`],
  ['an own host behind a backslash', String.raw`https://evil.example\@fhir.example/a`],
  ['a path with a backslash', String.raw`https://fhir.example/a\b`],
  ['another host behind a tab', 'https://fhir.example\t@evil.example/a'],
  ['a host with a line break in it', 'https://fhir.exa\nmple/a'],
  ['a path with a line break', 'https://fhir.example/a\r\nHost: evil.example'],
  ['a path with a NUL', 'https://fhir.example/a\0'],
  ['an encoded at sign in the user', 'https://fhir.example%40evil.example/a'],
  ['an encoded slash in the host', 'https://fhir.example%2f.evil.example/a'],
  ['an empty user', 'https://:@evil.example/a'],
  ['a port that is none', 'https://fhir.example:99999/a'],
  ['a URL of twenty thousand characters', `https://fhir.example/${'a'.repeat(20_000)}`],
  ['ftp', 'ftp://fhir.example/a'],
  ['javascript', 'javascript:fetch("https://fhir.example")'],
  ['a blob', 'blob:https://fhir.example/1'],
])('sends nothing to %s [N-26, N-30]', async (_, url) => {
  const calls = stubFetch(() => new Response('{}'))
  await expect(get(url)).rejects.toEqual(error('vendor_url_untrusted'))
  expect(calls).toEqual([])
})

it.each([
  ['http://127.0.0.1:4001/a', true],
  ['http://127.0.0.1:4002/a', false],
  ['http://localhost:4001/a', false],
  ['http://192.168.0.1/a', false],
])('in the sandbox %s is asked: %j, http or not', async (url, asked) => {
  const calls = stubFetch(() => new Response('{}'))
  await get(url, {}, SANDBOX).catch(() => undefined)
  expect(calls).toHaveLength(asked ? 1 : 0)
})

it.each([
  'https://FHIR.EXAMPLE:443/a',
  'HTTPS://fhir.example/a',
  'https://%66hir.example/a',
  'https://ｆｈｉｒ.example/a',
  'https:fhir.example/a',
  'https:///fhir.example/a',
])('an own host is the own host however it is spelt: %s [N-26]', async (url) => {
  const calls = stubFetch(() => new Response('{}'))
  await get(url)
  expect(calls.map((call) => [new URL(call.url).origin, call.headers.get('Authorization')])).toEqual([[OWN, TOKEN]])
})

it('asks nothing of our own host, listed or not, by a redirect or at once [N-26]', async () => {
  for (const ownOrigin of [SECOND, STORE]) {
    const policy = { ...POLICY, ownOrigin }
    const calls = stubFetch(() => redirect(302, `${ownOrigin}/b`))
    await expect(get(`${ownOrigin}/a`, {}, policy)).rejects.toEqual(error('vendor_url_untrusted'))
    await expect(get(`${OWN}/a`, {}, policy)).rejects.toEqual(error('vendor_url_untrusted'))
    expect(calls.map(({ url }) => url)).toEqual([`${OWN}/a`])
  }
})

it.each<[number, number, boolean]>([
  [1, MAX_HEADER_BYTES - 1000, true],
  [1, MAX_HEADER_BYTES, false],
  [1, 100_000, false],
  [1_000, 10, true],
  [10_000, 1, false],
])('of an answer with %d headers of %d bytes it is taken: %j', async (count, length, isTaken) => {
  let isCancelled = false
  const body = (): ReadableStream => new ReadableStream({ cancel: () => void (isCancelled = true) })
  const headers = Array.from({ length: count }, (_, n): [string, string] => [`X-${n}`, 'a'.repeat(length)])
  stubFetch(() => new Response(body(), { headers }))
  const outcome = await get(`${OWN}/a`).then(
    () => true,
    (refusal: unknown) => refusal,
  )
  expect(outcome).toEqual(isTaken ? true : error('vendor_answer_invalid'))
  expect(isCancelled).toBe(!isTaken)
})

it('the deadline is for all redirects taken together', async () => {
  vi.useFakeTimers()
  try {
    let asked = 0
    vi.stubGlobal('fetch', (_: string, { signal }: RequestInit) => {
      asked += 1
      return new Promise((resolve, reject) => {
        signal?.addEventListener('abort', () => reject(new DOMException('', 'AbortError')))
        setTimeout(() => resolve(redirect(307, `${OWN}/${asked}`)), 40)
      })
    })
    const refusal = get(`${OWN}/a`, { deadlineMs: 100 }).catch((thrown: unknown) => thrown)
    await vi.advanceTimersByTimeAsync(100)
    expect(await refusal).toEqual(error('vendor_unreachable'))
    expect(asked).toBe(3)
  } finally {
    vi.useRealTimers()
  }
})

const REDIRECTS = [301, 302, 303, 307, 308]
const TARGETS: [string, string, boolean][] = [
  ['its own origin', `${OWN}/b`, true],
  ['a path', '/b', true],
  ['another origin that may have the token', `${SECOND}/b`, false],
  ['a store', `${STORE}/b?X-Amz-Signature=s`, false],
  ['its own origin, presigned', `${OWN}/b?Signature=s`, false],
]

it.each(REDIRECTS.flatMap((status) => TARGETS.map((target) => [status, ...target] as const)))(
  'follows %i to %s (%s) with the token: %j [N-26]',
  async (status, _, location, withToken) => {
    const calls = stubFetch((_call, index) => (index === 0 ? redirect(status, location) : new Response('{}')))
    expect((await get(`${OWN}/a`)).status).toBe(200)
    expect(calls.map(({ url, method, headers }) => [url, method, headers.get('Authorization')])).toEqual([
      [`${OWN}/a`, 'GET', TOKEN],
      [new URL(location, OWN).href, 'GET', withToken ? TOKEN : null],
    ])
  },
)

it.each(REDIRECTS)('refuses a %i to an origin that nobody listed, and asks it nothing [N-26]', async (status) => {
  const calls = stubFetch(() => redirect(status, 'https://elsewhere.example/b'))
  await expect(get(`${OWN}/a`)).rejects.toEqual(error('vendor_url_untrusted'))
  expect(calls).toHaveLength(1)
})

it.each(['http://fhir.example/b', 'https://u:p@fhir.example/b', 'http://127.0.0.1/b', 'https://', 's3://bucket/b'])(
  'refuses a redirect to %s [N-26]',
  async (location) => {
    const calls = stubFetch(() => redirect(302, location))
    await expect(get(`${OWN}/a`)).rejects.toEqual(error('vendor_url_untrusted'))
    expect(calls).toHaveLength(1)
  },
)

it('a token that was dropped stays dropped on the way back [N-26]', async () => {
  const chain = [redirect(302, `${STORE}/b`), redirect(302, `${OWN}/c`), new Response('{}')]
  const calls = stubFetch((_, index) => chain[index] ?? new Error('past the end'))
  await get(`${OWN}/a`)
  expect(calls.map(({ headers }) => headers.get('Authorization'))).toEqual([TOKEN, null, null])
})

it('gives up on a loop after the last hop that is allowed [N-26]', async () => {
  const calls = stubFetch(() => redirect(302, `${OWN}/a`))
  await expect(get(`${OWN}/a`)).rejects.toEqual(error('vendor_url_untrusted'))
  expect(calls).toHaveLength(MAX_REDIRECTS + 1)
})

it('follows as many hops as are allowed [N-26]', async () => {
  const calls = stubFetch((_, index) => (index < MAX_REDIRECTS ? redirect(307, `${OWN}/${index}`) : new Response('{}')))
  expect((await get(`${OWN}/a`)).status).toBe(200)
  expect(calls).toHaveLength(MAX_REDIRECTS + 1)
})

it.each<[number, 'POST' | 'DELETE' | 'GET', string, boolean]>([
  [301, 'POST', 'GET', false],
  [302, 'POST', 'GET', false],
  [303, 'POST', 'GET', false],
  [307, 'POST', 'POST', true],
  [308, 'POST', 'POST', true],
  [302, 'DELETE', 'DELETE', false],
  [303, 'DELETE', 'GET', false],
  [303, 'GET', 'GET', false],
])('after %i a %s goes on as %s, with its body: %j', async (status, method, next, withBody) => {
  const calls = stubFetch((_, index) => (index === 0 ? redirect(status, '/b') : new Response('{}')))
  await get(`${OWN}/a`, { method, ...(method === 'POST' ? { body: 'secret=1' } : {}) })
  expect([calls[1]?.method, calls[1]?.body]).toEqual([next, withBody ? 'secret=1' : undefined])
})

it('a request whose body is a secret follows no redirect [N-26]', async () => {
  const calls = stubFetch(() => redirect(307, `${SECOND}/b`))
  await expect(get(`${OWN}/a`, { method: 'POST', body: 'secret=1', maxRedirects: 0 })).rejects.toEqual(
    error('vendor_url_untrusted'),
  )
  expect(calls).toHaveLength(1)
})

it.each([
  ['a redirect without a location', () => new Response(null, { status: 302 })],
  ['304', () => new Response(null, { status: 304 })],
])('hands over %s as it is', async (_, respond) => {
  stubFetch(respond)
  expect((await get(`${OWN}/a`)).status).toBe(respond().status)
})

it.each([`${OWN}/s?job=FvH%2Fa%3D%3D&x=%7e`, `${OWN}/a/../b//c`, `${OWN}/$export-poll?_id=1.2`, `${OWN}/a?q=a|b`])(
  'asks %s byte for byte, also as a redirect [N-03]',
  async (url) => {
    const calls = stubFetch((_, index) => (index === 1 ? redirect(307, url) : new Response('{}')))
    await get(url)
    await get(`${OWN}/first`)
    expect(calls.map((call) => call.url)).toEqual([url, `${OWN}/first`, url])
  },
)

it('sends what it was given and nothing more, and follows redirects by hand', async () => {
  const options: RequestInit[] = []
  vi.stubGlobal('fetch', (_: string, init: RequestInit) => {
    options.push(init)
    return Promise.resolve(new Response('{}'))
  })
  await get(`${OWN}/a`, { headers: { Accept: 'application/json' } })
  expect(options.map(({ redirect: mode, headers }) => [mode, [...new Headers(headers)]])).toEqual([
    [
      'manual',
      [
        ['accept', 'application/json'],
        ['authorization', TOKEN],
      ],
    ],
  ])
})

it('without an authorization sends none', async () => {
  const calls = stubFetch(() => new Response('{}'))
  await trustedFetch({ method: 'GET', url: `${OWN}/a` }, POLICY)
  expect(calls[0]?.headers.has('Authorization')).toBe(false)
})

it('a connection that fails, or does not answer in time, is unreachable', async () => {
  stubFetch(() => new TypeError('Network connection lost.'))
  await expect(get(`${OWN}/a`)).rejects.toEqual(error('vendor_unreachable'))
  vi.stubGlobal(
    'fetch',
    (_: string, { signal }: RequestInit) =>
      new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(new DOMException('', 'AbortError')))),
  )
  await expect(get(`${OWN}/a`, { deadlineMs: 5 })).rejects.toEqual(error('vendor_unreachable'))
})

it('says nothing of a refused URL in its message', async () => {
  stubFetch(() => new Response('{}'))
  await expect(get('https://elsewhere.example/?sig=secret')).rejects.toSatisfy(
    (refused: Error) => !/elsewhere|secret/.test(refused.message),
  )
})

it('what a dialect sends beside Accept stays with the vendor: a store gets neither [N-07, N-26]', async () => {
  const calls = stubFetch((_, index) => (index === 0 ? redirect(307, `${STORE}/x`) : new Response('')))
  await get(`${OWN}/a`, { headers: { Accept: 'application/fhir+ndjson', 'Vendor-Client-ID': 'app' } })
  expect(calls.map(({ headers }) => [...headers.keys()])).toEqual([['accept', 'authorization', 'vendor-client-id'], ['accept']])
})
