import { gzipSync } from 'node:zlib'

/** A laboratory result as EHRs write them, of some 900 bytes; `index` makes it another one. */
export const observation = (index: number, { type = 'Observation', base = '', extra = {} } = {}): string =>
  JSON.stringify({
    resourceType: type,
    id: `row-${index}`,
    meta: { versionId: '1', lastUpdated: index % 2 === 0 ? '2026-03-04T05:06:07.000Z' : '2025-03-04T05:06:07.000Z' },
    status: index % 2 === 0 ? 'final' : 'amended',
    category: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'laboratory' }] }],
    code: { coding: [{ system: 'http://loinc.org', code: '2339-0', display: 'Glucose' }], text: 'Glucose in Blood, naïve' },
    subject: { reference: `${base}Patient/patient-${index % 100}` },
    encounter: { reference: `${base}Encounter/encounter-${index}` },
    effectiveDateTime: '2025-05-05T05:05:05Z',
    valueQuantity: { value: 95.5, unit: 'mg/dL', system: 'http://unitsofmeasure.org', code: 'mg/dL' },
    performer: [{ reference: 'Practitioner/practitioner-1' }],
    ...extra,
  })

/** Enough rows to be no play of a cache, over and over. */
const ROWS = 2_000
const LINES = Array.from({ length: ROWS }, (_, index) => Buffer.from(`${observation(index)}\n`))
const BLOCK = Buffer.concat(LINES)
const COMPRESSED_BLOCK = gzipSync(BLOCK, { level: 6 })

/** A file of whole rows: one block over and over, and a part of it. */
export interface Content {
  readonly bytes: number
  /** What to send, in order. */
  readonly pieces: () => Iterable<Buffer>
  /** The same as gzip, a member for each piece. */
  readonly compressedPieces: () => Iterable<Buffer>
}

/** At least one row, and at most one row more than so many bytes. */
export const contentOf = (bytes: number): Content => {
  const blocks = Math.floor(bytes / BLOCK.length)
  const rest: Buffer[] = []
  for (let left = bytes - blocks * BLOCK.length, row = 0; left > 0; row += 1) {
    const line = LINES[row % ROWS] ?? Buffer.alloc(0)
    rest.push(line)
    left -= line.length
  }
  const tail = Buffer.concat(rest)
  const repeated = function* (block: Buffer, end: Buffer): Iterable<Buffer> {
    for (let index = 0; index < blocks; index += 1) yield block
    if (end.length > 0) yield end
  }
  return {
    bytes: blocks * BLOCK.length + tail.length,
    pieces: () => repeated(BLOCK, tail),
    compressedPieces: () => repeated(COMPRESSED_BLOCK, tail.length === 0 ? tail : gzipSync(tail)),
  }
}
