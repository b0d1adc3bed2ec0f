import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseEncodings } from '../../src/fhir/accept-encoding.ts'

describe('Accept-Encoding [FI-10]', () => {
  it.each<[string | null, string]>([
    // Says nothing, or nothing that we have
    [null, 'identity'],
    ['', 'identity'],
    ['br, zstd', 'identity'],
    ['gzipped', 'identity'],
    // gzip, by name or by the star
    ['gzip', 'gzip'],
    ['GZip', 'gzip'],
    ['x-gzip', 'gzip'],
    ['*', 'gzip'],
    ['br;q=1.0, gzip;q=0.8, *;q=0.1', 'gzip'],
    ['gzip;q=0.001', 'gzip'],
    ['gzip ; q=0.5 , identity ; q=0.5', 'gzip'],
    // Identity is the better one
    ['identity', 'identity'],
    ['gzip;q=0', 'identity'],
    ['gzip;q=0.000', 'identity'],
    ['gzip;q=0, *', 'identity'],
    ['gzip;q=0.5, identity', 'identity'],
    ['gzip;q=0.1, *;q=0.5', 'identity'],
    ['*;q=0, identity', 'identity'],
    // Identity is ruled out
    ['identity;q=0, gzip', 'gzip'],
    ['gzip, *;q=0', 'gzip'],
    ['identity;q=0, *;q=0.1', 'gzip'],
    // Both are
    ['identity;q=0', 'none'],
    ['identity;q=0.0, gzip;q=0', 'none'],
    ['*;q=0', 'none'],
    ['br, *;q=0', 'none'],
    // A weight that is none says nothing of its coding
    ['identity;q=none', 'identity'],
    ['identity;q=-1', 'identity'],
    ['gzip;q=2', 'identity'],
    ['gzip;q=', 'identity'],
    ['*;q=0x0', 'identity'],
  ])('%j gets %s', (header, coding) => {
    expect(parseEncodings(header).coding).toBe(coding)
  })

  it.each<[string | null, boolean]>([
    [null, true],
    ['gzip', true],
    ['gzip, identity;q=0.1', true],
    ['gzip, *;q=0', false],
    ['gzip, identity;q=0', false],
    ['gzip, identity;q=0.1, *;q=0', true],
  ])('%j can be given a range: %s', (header, identity) => {
    expect(parseEncodings(header).identity).toBe(identity)
  })

  it('never sends what a client has ruled out, whatever else it says', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom<string[]>('br', 'deflate;q=0.3', '*;q=0.2', '*')), fc.nat(), (others, at) => {
        const header = (...ruledOut: string[]): string => others.toSpliced(at % (others.length + 1), 0, ...ruledOut).join(',')
        expect(parseEncodings(header('gzip;q=0')).coding).not.toBe('gzip')
        expect(parseEncodings(header('identity;q=0')).coding).not.toBe('identity')
        expect(parseEncodings(header('identity;q=0', 'gzip;q=0')).coding).toBe('none')
      }),
    )
  })
})
