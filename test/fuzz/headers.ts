import * as fc from 'fast-check'
import { pick } from './arbitraries.ts'

const MEDIA = [
  'application/fhir+json',
  'application/json',
  'application/fhir+ndjson',
  'text/html',
  '*/*',
  '*',
  'application/*;q=0.1',
  'application/fhir+json;q=0',
  '*/*;q=0',
  ';;;',
  'a/b/c',
  'application/fhir+json; charset=x, text/plain;q=abc',
  ','.repeat(2_000),
] as const
export const header: fc.Arbitrary<readonly [string, string]> = fc.oneof(
  fc.tuple(pick('Accept'), pick(...MEDIA)),
  fc.tuple(
    pick('Prefer'),
    pick(
      'respond-async',
      'respond-async, handling=lenient',
      'handling=lenient',
      'handling="lenient"',
      'respond-async,separate-export-status',
      'handling=strict',
      '=;=,;',
      'a'.repeat(5_000),
    ),
  ),
  fc.tuple(
    pick('Content-Type'),
    pick(
      ...MEDIA,
      'application/x-www-form-urlencoded',
      'APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-7',
      'multipart/form-data',
      '',
    ),
  ),
  fc.tuple(
    pick('Range'),
    pick(
      'bytes=0-',
      'bytes=0-0',
      'bytes=5-2',
      'bytes=-1',
      'bytes=-0',
      'bytes=99999999-',
      'bytes=0-1,2-3',
      'bytes=999999999999999999-',
      'items=0-1',
      'bytes=a-b',
      'bytes = 0 - 4',
      'bytes=0-1'.repeat(500),
    ),
  ),
  fc.tuple(
    pick('If-Range', 'If-None-Match', 'If-Match'),
    pick('*', '"x"', 'W/"x"', 'x', ',,,', 'Fri, 31 Dec 1999 23:59:59 GMT', '"'.repeat(3_000)),
  ),
  fc.tuple(
    pick('Accept-Encoding'),
    pick('gzip', 'identity', 'gzip;q=0', '*', '*;q=0', 'br, gzip;q=0.1', 'identity;q=0', ';q', 'gzip, '.repeat(1_000)),
  ),
  fc.tuple(pick('Origin'), pick('https://app.example', 'https://evil.example', 'null', '')),
  fc.tuple(
    pick('CF-Connecting-IP'),
    pick('203.0.113.7', '2001:db8::1', '::', '1.2.3.4, 5.6.7.8', 'x', '::ffff:1.2.3.4', '[::1]', ':'.repeat(50)),
  ),
  fc.tuple(
    pick('Host', 'X-Forwarded-Host', 'Forwarded', 'X-HTTP-Method-Override', 'X-Canary', 'Cookie', 'Content-Length', 'X-Caller'),
    pick('evil.example', 'DELETE', 'canary-header', '0', '99999999999', '-1', 'full'),
  ),
  fc.tuple(pick('Access-Control-Request-Method', 'Access-Control-Request-Headers'), pick('GET', 'DELETE', 'authorization', 'x')),
)
