import { expect, it, vi } from 'vitest'
import { log } from '../src/log.ts'
import { leakIn } from './private-log.ts'

const line = (trace: Readonly<Record<string, string>>): string =>
  JSON.stringify({ level: 'info', event: 'job.state', jobId: '00000000-0000-4000-8000-000000000001', trace })

it('an ordinary line may be logged', () => {
  expect(leakIn(line({ 'opc-request-id': 'A1B2/C3' }))).toBeUndefined()
})

it.each([
  ['an address', 'https://ehr.example/fhir/jobs/1'],
  ['an address', 'to=https%3A%2F%2Fehr.example'],
  ['a token', 'Bearer abc'],
  ['a token', 'eyJhbGciOiJSUzM4NCJ9.eyJpc3MiOiJhcHAifQ.c2ln'],
  ['a key', '{"kty":"EC","d":"AAAA"}'],
  ['a key', '-----BEGIN PRIVATE KEY-----'],
  ['a secret', 'client_assertion=abc'],
  ['a resource', '{"resourceType":"Patient"}'],
])('%s that was planted in a line is found: %s', (kind, value) => {
  expect(leakIn(line({ id: value }))).toBe(kind)
})

it('the log writes nothing but what it is given', () => {
  const lines: string[] = []
  const info = vi.spyOn(console, 'info').mockImplementation((text: string) => void lines.push(text))
  log('info', { event: 'sweep.ended', count: 3 })
  info.mockRestore()
  expect(lines).toEqual(['{"level":"info","event":"sweep.ended","count":3}'])
})
