import { describe, expect, it } from 'vitest'
import { continuedLength, knownLength, validatorOf } from '../../src/job/byte-range.ts'

const withHeaders = (headers: Record<string, string>, status = 200): Response => new Response(null, { status, headers })

it.each([
  [{ 'Content-Length': '12' }, 12],
  [{ 'Content-Length': '0' }, 0],
  [{}, undefined],
  [{ 'Content-Length': '12', 'Content-Encoding': 'gzip' }, undefined],
  [{ 'Content-Length': '12, 12' }, undefined],
  [{ 'Content-Length': '-1' }, undefined],
])('the length of a body with %j is %j', (headers, length) => {
  expect(knownLength(withHeaders(headers))).toBe(length)
})

it.each([
  [{ ETag: '"v1"' }, '"v1"'],
  [{ ETag: '""' }, '""'],
  [{ ETag: 'W/"v1"' }, null],
  [{ ETag: 'v1' }, null],
  [{ ETag: '"a"b"' }, null],
  [{}, null],
  [{ ETag: '"v1"', 'Content-Encoding': 'gzip' }, null],
])('a body with %j could be continued by %j', (headers, validator) => {
  expect(validatorOf(withHeaders(headers))).toBe(validator)
})

const from = { offset: 10, validator: '"v1"' }
const answer = (range: string | undefined, { status = 206, etag = '"v1"', encoding = '' } = {}): Response =>
  withHeaders(
    {
      ...(range === undefined ? {} : { 'Content-Range': range }),
      ...(etag === '' ? {} : { ETag: etag }),
      ...(encoding === '' ? {} : { 'Content-Encoding': encoding }),
    },
    status,
  )

describe('what was asked for from byte 10 on of version "v1"', () => {
  it.each([
    ['the rest of a file whose length was known', 'bytes 10-19/20', 20, 20],
    ['the rest of a file whose length was not known', 'bytes 10-19/20', null, 20],
    ['the rest without a total, of a file whose length was known', 'bytes 10-19/*', 20, 20],
    ['one byte', 'bytes 10-10/11', 11, 11],
    ['a rest without a total, of a file whose length was not known', 'bytes 10-19/*', null, undefined],
    ['another start', 'bytes 9-19/20', 20, undefined],
    ['the start of the file', 'bytes 0-19/20', 20, undefined],
    ['less than the rest', 'bytes 10-18/20', 20, undefined],
    ['less than the rest, without a total', 'bytes 10-18/*', 20, undefined],
    ['another total', 'bytes 10-20/21', 20, undefined],
    ['no range', undefined, 20, undefined],
    ['words', 'bytes ten-20/20', null, undefined],
    ['another unit', 'lines 10-19/20', 20, undefined],
  ])('%s: %j', (_, range, length, whole) => {
    expect(continuedLength(answer(range), from, length)).toBe(whole)
  })

  it.each([
    ['with 200', { status: 200 }],
    ['with another ETag', { etag: '"v2"' }],
    ['with a weak ETag', { etag: 'W/"v1"' }],
    ['without an ETag', { etag: '' }],
    ['compressed', { encoding: 'gzip' }],
  ])('%s is not it', (_, how) => {
    expect(continuedLength(answer('bytes 10-19/20', how), from, 20)).toBeUndefined()
  })
})
