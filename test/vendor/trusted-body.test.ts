import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import {
  IDLE_DEADLINE_MS,
  MAX_EXPANSION,
  mostDecodedBytes,
  readCapped,
  RESPONSE_DEADLINE_MS,
} from '../../src/vendor/capped-body.ts'
import type { ExportErrorCode } from '../../src/errors.ts'

const error = (code: ExportErrorCode): unknown => expect.objectContaining({ code })
const MEBIBYTE = 1024 * 1024

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** What a promise gives or throws. */
const endOf = (promise: Promise<unknown>): Promise<unknown> => promise.catch((thrown: unknown) => thrown)

/** A body that comes in chunks of so many bytes, one each `everyMs`, up to a number of them. */
const dripping = (
  everyMs: number,
  bytes = 1,
  chunks = Infinity,
): { response: Response; sent: () => number; cancelled: () => boolean } => {
  let sent = 0
  let isCancelled = false
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (everyMs > 0) {
          await new Promise((resolve) => {
            setTimeout(resolve, everyMs)
          })
        }
        if (isCancelled) return
        if (sent >= bytes * chunks) {
          controller.close()
          return
        }
        sent += bytes
        controller.enqueue(new Uint8Array(bytes).fill(32))
      },
      cancel() {
        isCancelled = true
      },
    },
    { highWaterMark: 0 },
  )
  return { response: new Response(body), sent: () => sent, cancelled: () => isCancelled }
}

it('a body that trickles for ever ends with its deadline', async () => {
  const { response, sent, cancelled } = dripping(1000)
  const text = endOf(readCapped(response))
  await vi.advanceTimersByTimeAsync(RESPONSE_DEADLINE_MS)
  expect(await text).toEqual(error('vendor_unreachable'))
  expect(cancelled()).toBe(true)
  expect(sent()).toBeLessThanOrEqual(RESPONSE_DEADLINE_MS / 1000)
})

it('a body that falls silent ends before its deadline', async () => {
  const { response, cancelled } = dripping(IDLE_DEADLINE_MS + 1)
  const text = endOf(readCapped(response, MEBIBYTE, 10 * RESPONSE_DEADLINE_MS))
  await vi.advanceTimersByTimeAsync(IDLE_DEADLINE_MS)
  expect(await text).toEqual(error('vendor_unreachable'))
  expect(cancelled()).toBe(true)
})

it('a body that begins and then falls silent ends before its deadline, too', async () => {
  const body = new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(3)) })
  const text = endOf(readCapped(new Response(body), MEBIBYTE, 10 * RESPONSE_DEADLINE_MS))
  await vi.advanceTimersByTimeAsync(IDLE_DEADLINE_MS)
  expect(await Promise.race([text, Promise.resolve('still waiting')])).toEqual(error('vendor_unreachable'))
})

it('a slow body that ends in time is read whole, and leaves no timer behind', async () => {
  const { response } = dripping(IDLE_DEADLINE_MS - 1, 1, 4)
  const text = readCapped(response, MEBIBYTE, 10 * RESPONSE_DEADLINE_MS)
  await vi.advanceTimersByTimeAsync(5 * IDLE_DEADLINE_MS)
  expect(await text).toBe('    ')
  expect(vi.getTimerCount()).toBe(0)
})

it('a body without end is hung up on at its cap', async () => {
  const { response, sent, cancelled } = dripping(0, 1000)
  await expect(readCapped(response, 10_000)).rejects.toEqual(error('vendor_manifest_too_large'))
  expect(sent()).toBe(11_000)
  expect(cancelled()).toBe(true)
})

it('a body that is announced as too large is not read', async () => {
  const { response, sent, cancelled } = dripping(0, 1000)
  response.headers.set('Content-Length', '10001')
  await expect(readCapped(response, 10_000)).rejects.toEqual(error('vendor_manifest_too_large'))
  expect([sent(), cancelled()]).toEqual([0, true])
})

it.each<[string | null, string | null, number]>([
  [null, '10000', Infinity],
  ['identity', '10000', Infinity],
  ['gzip', null, Infinity],
  ['gzip', 'many', Infinity],
  ['gzip', '10000', 10_000 * MAX_EXPANSION],
  [' BR ', '10000', 10_000 * MAX_EXPANSION],
  ['gzip', '10', MEBIBYTE],
])('a body with encoding %j and length %j may hold %d bytes', (encoding, length, bytes) => {
  const response = new Response()
  if (encoding !== null) response.headers.set('Content-Encoding', encoding)
  if (length !== null) response.headers.set('Content-Length', length)
  expect(mostDecodedBytes(response)).toBe(bytes)
})

it('a body that grows beyond reason as it is decompressed is hung up on', async () => {
  const { response, sent, cancelled } = dripping(0, MEBIBYTE)
  response.headers.set('Content-Encoding', 'gzip')
  response.headers.set('Content-Length', '4000')
  await expect(readCapped(response)).rejects.toEqual(error('vendor_answer_invalid'))
  expect([sent(), cancelled()]).toEqual([2 * MEBIBYTE, true])
})
