import { expect, it } from 'vitest'
import type { ExportErrorCode } from '../../src/errors.ts'
import { originMatches, readCapped } from '../../src/vendor/trusted-fetch.ts'

const error = (code: ExportErrorCode): unknown => expect.objectContaining({ code })

it.each([
  ['https://a.s3.amazonaws.com', 'https://*.s3.amazonaws.com', true],
  ['https://a.b.s3.amazonaws.com', 'https://*.s3.amazonaws.com', true],
  ['https://s3.amazonaws.com', 'https://*.s3.amazonaws.com', false],
  ['https://as3.amazonaws.com', 'https://*.s3.amazonaws.com', false],
  ['https://a.s3-amazonaws.com', 'https://*.s3.amazonaws.com', false],
  ['https://a.s3.amazonaws.com.evil', 'https://*.s3.amazonaws.com', false],
  ['https://a.s3.amazonaws.com:8443', 'https://*.s3.amazonaws.com', false],
  ['http://a.s3.amazonaws.com', 'https://*.s3.amazonaws.com', false],
  ['https://evil:1.s3.amazonaws.com', 'https://*.s3.amazonaws.com', false],
  ['https://files.example', 'https://files.example', true],
  ['https://any.example', 'https://*', true],
  ['https://169.254.169.254', 'https://*', false],
  ['https://10.0.0.1', 'https://*.0.1', false],
  ['https://10.0.0.1', 'https://10.0.0.1', true],
  ['https://[::1]', 'https://*', false],
  ['https://metadata.google.internal', 'https://*', false],
  ['https://store.internal', 'https://*.internal', false],
  ['https://store.internal:8443', 'https://*.internal:8443', false],
  ['https://store.internal', 'https://store.internal', true],
  ['https://localhost', 'https://*', false],
  ['https://intranet', 'https://*', false],
  ['https://filesxexample', 'https://files.example', false],
])('origin %s matches %s: %j [N-26]', (origin, pattern, matches) => {
  expect(originMatches(origin, pattern)).toBe(matches)
})

it.each<[string, BodyInit | null, number, string]>([
  ['nothing', null, 10, ''],
  ['a body under the cap', 'grüße', 10, 'grüße'],
  ['a body of the cap', '0123456789', 10, '0123456789'],
])('reads %s whole', async (_, body, cap, text) => {
  expect(await readCapped(new Response(body), cap)).toBe(text)
})

it('refuses a body over the cap, and one that breaks off', async () => {
  await expect(readCapped(new Response('01234567890'), 10)).rejects.toEqual(error('vendor_manifest_too_large'))
  const broken = new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array(3)),
    pull: (controller) => controller.error(new TypeError('Network connection lost.')),
  })
  await expect(readCapped(new Response(broken), 10)).rejects.toEqual(error('vendor_unreachable'))
})
