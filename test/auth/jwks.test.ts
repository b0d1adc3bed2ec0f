import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { verifyClientAssertion } from '../../src/auth/client-assertion.ts'
import { clientKeys, freshSeconds, LOAD_DEADLINE_MS, MAX_JWKS_BYTES, REFETCH_MS } from '../../src/auth/jwks.ts'
import { TokenError } from '../../src/auth/token-error.ts'
import { assertionBy, clientWith, makeKey, NOW_MS, rejectionOf, TOKEN_URL } from './support.ts'
import type { TestKey } from './support.ts'

const POLICY = { sandbox: false }
let one: TestKey
let two: TestKey
let served: { keys: unknown[] }
let headers: Record<string, string>
let url: string
let urls = 0

const fetched = vi.fn<(target: string, init: RequestInit) => Promise<Response>>()
const answer = async (): Promise<Response> => Response.json(served, { headers })

beforeAll(async () => {
  ;[one, two] = await Promise.all([makeKey('ES384', 'one'), makeKey('ES384', 'two')])
})
beforeEach(() => {
  vi.useFakeTimers({ now: NOW_MS })
  vi.stubGlobal('fetch', fetched)
  fetched.mockReset().mockImplementation(answer)
  served = { keys: [one.open] }
  headers = { 'Cache-Control': 'max-age=600' }
  // The cache lives as long as the isolate does; a URL of its own gives each test an empty one.
  url = `https://app.example/${(urls += 1)}/jwks.json`
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const find = async (kid: string): Promise<number> => (await clientKeys({ jwksUrl: url }, POLICY)(kid, 'EC')).length
const refused = async (): Promise<TokenError> => rejectionOf(find('one'), TokenError)

it('a client is known by inline keys and by keys at a URL [AU-03]', async () => {
  for (const client of [clientWith({ jwks: { keys: [one.open] } }), clientWith({ jwksUrl: url })]) {
    for (const header of client.jwksUrl === undefined ? [{}] : [{}, { jku: client.jwksUrl }]) {
      const verified = await verifyClientAssertion({
        assertion: await assertionBy(one, { header }),
        clientOf: async () => client,
        keysOf: (known) => clientKeys(known, POLICY),
        tokenUrl: TOKEN_URL,
        nowMs: NOW_MS,
      })
      expect(verified.client).toBe(client)
    }
  }
})

it.each([
  [null, null, 300],
  ['', null, 300],
  ['public', null, 300],
  ['max-age=60', null, 60],
  ['public, MAX-AGE=60', null, 60],
  ['max-age="60"', null, 60],
  ['max-age=86400', null, 3600],
  ['max-age=600, max-age=30', null, 30],
  ['max-age=0', null, 0],
  ['no-store', null, 0],
  ['max-age=600, no-cache', null, 0],
  ['no-cache="set-cookie", max-age=60', null, 0],
  ['max-age=soon', null, 0],
  ['max-age=-1', null, 0],
  ['max-age', null, 0],
  ['s-maxage=9', null, 300],
  ['max-age=60', '20', 40],
  ['max-age=60', '90', 0],
  ['max-age=60', 'x', 60],
] as const)('Cache-Control %j with Age %j is fresh for %d seconds [AU-10]', (cacheControl, age, seconds) => {
  expect(freshSeconds(cacheControl, age)).toBe(seconds)
})

describe('a JWKS URL', () => {
  it('is fetched once within its max-age and again after it [AU-10]', async () => {
    expect(await find('one')).toBe(1)
    vi.setSystemTime(NOW_MS + 599_000)
    expect(await find('one')).toBe(1)
    expect(fetched).toHaveBeenCalledTimes(1)
    served = { keys: [two.open] }
    vi.setSystemTime(NOW_MS + 600_000)
    expect(await find('one')).toBe(0)
    expect(await find('two')).toBe(1)
    expect(fetched).toHaveBeenCalledTimes(2)
  })

  it('is fetched for every assertion under no-store [AU-10]', async () => {
    headers = { 'Cache-Control': 'no-store' }
    expect(await find('one')).toBe(1)
    served = { keys: [] }
    expect(await find('one')).toBe(0)
    expect(fetched).toHaveBeenCalledTimes(2)
  })

  it('is not used past its max-age when it can no longer be fetched [AU-10]', async () => {
    await find('one')
    vi.setSystemTime(NOW_MS + 600_000)
    fetched.mockRejectedValue(new TypeError('gone'))
    expect((await refused()).code).toBe('invalid_client')
  })

  it('is looked at again for an unknown kid, but seldom [AU-10]', async () => {
    await find('one')
    served = { keys: [one.open, two.open] }
    expect(await find('two')).toBe(0)
    expect(fetched).toHaveBeenCalledTimes(1)
    vi.setSystemTime(NOW_MS + REFETCH_MS)
    expect(await find('two')).toBe(1)
    for (const kid of ['three', 'four', 'five']) expect(await find(kid)).toBe(0)
    expect(fetched).toHaveBeenCalledTimes(2)
  })

  it('keeps serving known keys while an unknown kid cannot be looked for', async () => {
    await find('one')
    vi.setSystemTime(NOW_MS + REFETCH_MS)
    fetched.mockRejectedValue(new TypeError('gone'))
    await expect(find('two')).rejects.toBeInstanceOf(TokenError)
    expect(await find('one')).toBe(1)
    expect(await find('two')).toBe(0)
    expect(fetched).toHaveBeenCalledTimes(2)
  })

  it('is fetched once however many ask at the same time', async () => {
    expect(await Promise.all(Array.from({ length: 20 }, async () => find('one')))).toEqual(Array.from({ length: 20 }, () => 1))
    expect(fetched).toHaveBeenCalledTimes(1)
  })

  it('does not hold up others when the request that fetches it never ends', async () => {
    fetched.mockImplementationOnce(async () => new Promise<Response>(() => {}))
    const lost = find('one').catch(() => 'lost')
    await vi.advanceTimersByTimeAsync(1000)
    const waiting = find('one').catch(() => 'lost')
    await vi.advanceTimersByTimeAsync(LOAD_DEADLINE_MS)
    expect(await waiting).toBe(1)
    void lost
  })

  it('that stops in the middle of its answer is given up', async () => {
    const stuck = new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode('{"keys":')) })
    fetched.mockImplementationOnce(async () => new Response(stuck))
    const refusal = refused()
    await vi.advanceTimersByTimeAsync(LOAD_DEADLINE_MS)
    expect((await refusal).code).toBe('invalid_client')
  })

  it.each<[string, () => Response]>([
    ['an error', () => Response.json({ keys: [one.open] }, { status: 500 })],
    ['no JSON', () => new Response('<html>')],
    ['no key set', () => Response.json([one.open])],
    ['keys that are none', () => Response.json({ keys: ['one'] })],
    ['more than it may', () => Response.json({ keys: [one.open], padding: 'x'.repeat(MAX_JWKS_BYTES) })],
    ['a redirect elsewhere', () => new Response(null, { status: 302, headers: { Location: 'https://evil.example/jwks.json' } })],
    ['a redirect to http', () => new Response(null, { status: 302, headers: { Location: 'http://app.example/jwks.json' } })],
  ])('that answers %s gives invalid_client and is not remembered', async (_, response) => {
    fetched.mockImplementationOnce(async () => response())
    expect((await refused()).code).toBe('invalid_client')
    expect(fetched).toHaveBeenCalledTimes(1)
    expect(await find('one')).toBe(1)
  })

  it('is asked without any credential', async () => {
    await find('one')
    const [target, init] = fetched.mock.calls[0] ?? []
    expect(target).toBe(url)
    expect(new Headers(init?.headers).has('Authorization')).toBe(false)
  })

  it('must be https outside the sandbox [AU-01]', async () => {
    url = `http://127.0.0.1/${urls}/jwks.json`
    expect((await refused()).code).toBe('invalid_client')
    expect(fetched).not.toHaveBeenCalled()
    expect(await clientKeys({ jwksUrl: url }, { sandbox: true })('one', 'EC')).toHaveLength(1)
  })
})
