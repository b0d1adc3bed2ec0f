import { expect, it } from 'vitest'
import type { From, JsonPointer } from '../../src/vendor/adapter.ts'
import { at, readFrom } from '../../src/vendor/json-pointer.ts'
import { answer } from './support.ts'

const BODY = { a: { b: [10, { c: null }] }, 'x/y': 1, 'm~n': 2, '~1': 3, '': 4, text: 'word' }

it.each<[JsonPointer, unknown]>([
  ['', BODY],
  ['/a/b/0', 10],
  ['/a/b/1/c', null],
  ['/x~1y', 1],
  ['/m~0n', 2],
  ['/~01', 3], // ~01 is the key ~1, not /
  ['/', 4],
  ['/a/b/2', undefined],
  ['/a/b/length/0', undefined],
  ['/text/0/0', undefined],
  ['/a/none/deeper', undefined],
  ['/constructor', undefined],
  ['/__proto__', undefined],
  ['/a/toString', undefined],
])('%j points at %j [N-24]', (pointer, value) => {
  expect(at(BODY, pointer)).toEqual(value)
})

it.each([undefined, null, 'text', 5, true])('a body of %j holds nothing', (body) => {
  expect(at(body, '/a')).toBeUndefined()
})

it.each<[From, unknown]>([
  [{ header: 'X-Progress' }, '50%'],
  [{ header: 'absent' }, undefined],
  [{ body: '/status' }, '202'],
  [{ body: '/none' }, undefined],
  [{ body: '/nothing' }, undefined],
])('%j reads %j', (from, value) => {
  expect(readFrom(answer(200, { 'x-progress': '50%' }, { status: '202', nothing: null }), from)).toBe(value)
})
