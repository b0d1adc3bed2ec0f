import { describe, expect, it } from 'vitest'
import { resourceTypeOfFirstLine, sniff } from '../../src/fhir/ndjson-sniff.ts'
import { NdjsonScanner } from '../../src/rows/ndjson-scanner.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
// The decoder would swallow a byte order mark
const textOf = (bytes: Uint8Array): string => new TextDecoder('utf-8', { fatal: false, ignoreBOM: true }).decode(bytes)

const scan = (chunks: readonly Uint8Array[]): { text: string; lines: number; changed: boolean } => {
  const scanner = new NdjsonScanner()
  const parts = chunks.map((chunk) => scanner.push(chunk).slice())
  const last = scanner.end()
  const all = last === undefined ? parts : [...parts, last]
  const bytes = new Uint8Array(all.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of all) {
    bytes.set(part, at)
    at += part.length
  }
  return { text: textOf(bytes), lines: scanner.lines, changed: scanner.changed }
}

/** The rule, without chunks and without haste. */
const expectedOf = (text: string): { text: string; lines: number; changed: boolean } => {
  const lines = text
    .replace(/^\ufeff/, '')
    .replaceAll('\r', '')
    .split('\n')
    .map((line) => line.replace(/^[ \t]+/, ''))
    .filter((line) => line !== '')
  const clean = lines.map((line) => `${line}\n`).join('')
  return { text: clean, lines: lines.length, changed: clean !== text }
}

describe('scanner', () => {
  it.each([
    ['{"a":1}\n{"b":2}\n', '{"a":1}\n{"b":2}\n', 2],
    ['{"a":1}\n{"b":2}', '{"a":1}\n{"b":2}\n', 2],
    ['{"a":1}\r\n{"b":2}', '{"a":1}\n{"b":2}\n', 2],
    ['\ufeff{"a":1}\n', '{"a":1}\n', 1],
    ['\n\n{"a":1}\n\n \t\r\n{"b":2}\n\n', '{"a":1}\n{"b":2}\n', 2],
    ['{"a":\r1}\n', '{"a":1}\n', 1],
    ['{"é":"😀"}\n', '{"é":"😀"}\n', 1],
    ['', '', 0],
    ['\n', '', 0],
    ['\ufeff', '', 0],
    [' \r\n ', '', 0],
  ])('%j becomes %j, %i lines [FI-05, MF-08, N-27]', (input, output, lines) => {
    expect(scan([bytesOf(input)])).toEqual({ text: output, lines, changed: input !== output })
    expect(expectedOf(input)).toEqual({ text: output, lines, changed: input !== output })
  })

  it('hands clean chunks on as the same object [FI-05]', () => {
    const scanner = new NdjsonScanner()
    for (const chunk of [bytesOf('{"a":'), bytesOf('1}\n{"b":2}\n'), bytesOf(''), bytesOf('{"c":3}\n')]) {
      expect(scanner.push(chunk)).toBe(chunk)
    }
    expect(scanner.end()).toBeUndefined()
    expect([scanner.lines, scanner.changed]).toEqual([3, false])
  })

  it('does not lose bytes that only begin like a byte order mark [N-27]', () => {
    expect(scan([Uint8Array.of(0xef), Uint8Array.of(0xbb), Uint8Array.of(0x41)]).lines).toBe(1)
    const scanner = new NdjsonScanner()
    expect(scanner.push(Uint8Array.of(0xef, 0xbb))).toHaveLength(0)
    expect(scanner.end()).toEqual(Uint8Array.of(0xef, 0xbb, 10))
  })

  it('gives the same bytes and count however the source is cut [FI-05, MF-08, N-27]', () => {
    const PIECES = ['{"a":1}', '{"resourceType":"Patient"}', '\n', '\n', '\r\n', '\r', ' ', '\t', 'é', '\ufeff', 'x']
    let seed = 20_261_121
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff
      return Math.floor((seed / 0x8000_0000) * below)
    }
    for (let round = 0; round < 3_000; round += 1) {
      const text = Array.from({ length: random(12) }, () => PIECES[random(PIECES.length)] ?? '').join('')
      const bytes = bytesOf(text)
      const chunks: Uint8Array[] = []
      for (let at = 0; at < bytes.length;) {
        const end = Math.min(bytes.length, at + 1 + random(round % 2 === 0 ? 3 : 12))
        chunks.push(bytes.slice(at, end))
        at = end
      }
      expect({ source: text, ...scan(chunks) }).toEqual({ source: text, ...expectedOf(text) })
    }
  })

  it('tells the type of the first resource before the end [MF-06, N-22]', () => {
    const scanner = new NdjsonScanner()
    expect(scanner.firstLineType).toBeUndefined()
    scanner.push(bytesOf('{"id":"1","reso'))
    expect(scanner.firstLineType).toBeUndefined()
    scanner.push(bytesOf('urceType":"Patient"}\n{"resourceType":"Group"}\n'))
    expect(scanner.firstLineType).toBe('Patient')
    expect(textOf(scanner.head.subarray(0, 5))).toBe('{"id"')
  })
})

describe('first bytes', () => {
  it.each<[string, string]>([
    ['{"resourceType":"Patient","id":"1"}\n', 'ndjson'],
    ['{"id":"1","meta":{"x', 'ndjson'],
    ['\ufeff\r\n{"resourceType":"Patient"}', 'ndjson'],
    ['{"resourceType":"Binary","contentType":"application/fhir+ndjson","data":"ey', 'binary-resource'],
    ['{\n  "resourceType" : "Binary"', 'binary-resource'],
    ['{"resourceType":"Bundle","type":"searchset"', 'bundle'],
    ['{\n  "resourceType": "Bundle",', 'bundle'],
    ['{\n  "resourceType": "OperationOutcome",', 'other'],
    ['{"message":"Forbidden"}', 'other'],
    ['<!DOCTYPE html><html>', 'html'],
    ['\n<html lang="en">', 'html'],
    ['<Binary xmlns="http://hl7.org/fhir">', 'other'],
    ['Export job has been canceled', 'other'],
    ['[{"resourceType":"Patient"}]', 'other'],
    ['', 'empty'],
    ['\ufeff \r\n', 'empty'],
  ])('%j is %s [N-09, N-27]', (text, expected) => {
    expect(sniff(bytesOf(text))).toBe(expected)
  })

  it('knows gzip by its magic [N-27]', () => {
    expect(sniff(Uint8Array.of(0x1f, 0x8b, 8, 0))).toBe('gzip')
  })

  it.each([
    ['{"resourceType":"Patient"}', 'Patient'],
    ['{"contained":[{"resourceType":"Organization"}],"resourceType":"Patient"}', 'Patient'],
    ['{"text":"\\"resourceType\\":\\"Group\\"","resourceType":"Patient"}', 'Patient'],
    ['{"x":"resourceType","resourceType" : "Patient"}', 'Patient'],
    ['{"id":"1"}\n{"resourceType":"Patient"}', undefined],
    ['{"contained":[{"resourceType":"Organization"}', undefined],
    ['{"resourceType":"Pat', undefined],
    ['{"resourceType":7}', undefined],
    ['}{', undefined],
    ['', undefined],
  ])('the first resource of %s is a %j [MF-06, N-22]', (text, type) => {
    expect(resourceTypeOfFirstLine(bytesOf(text))).toBe(type)
  })
})

describe('a source that ends within a line', () => {
  it.each([
    ['{"a":1}', false],
    ['{"a":1}\n', false],
    ['{"a":1}\n{"b":', true],
    ['{"a":1}\n{"b":"x', true],
    ['{"a":1}\n{"b":1}  ', false],
    ['{"a":1}\n  ', false],
    ['', false],
  ])('%j is torn: %s [FI-05]', (text, isTorn) => {
    const bytes = new TextEncoder().encode(text)
    const whole = new NdjsonScanner()
    whole.push(bytes)
    expect(whole.isTorn).toBe(isTorn)
    const byByte = new NdjsonScanner()
    for (const byte of bytes) byByte.push(Uint8Array.of(byte))
    expect(byByte.isTorn).toBe(isTorn)
  })
})
