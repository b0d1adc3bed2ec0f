import type { RowWork } from '../../src/rows/row-work.ts'
import type { BenchRow } from '../bench.ts'
import { observation } from '../content.ts'
import type { Line } from '../line.ts'
import { startRepeater } from '../repeater.ts'
import { compare } from '../statistics.ts'
import { startWorker, type SmallWorker } from '../worker.ts'

const BASE = 'https://ehr.example.org/fhir/r4'
/** Enough rows to be no play of a cache, over and over. */
const ROWS = 4_000
const MOST_BYTES = 64_000_000
const WARM_UP_SHARE = 8

const rowsOf = (row: (index: number) => string): Buffer =>
  Buffer.from(Array.from({ length: ROWS }, (_, index) => `${row(index)}\n`).join(''))

const PLAIN = rowsOf((index) => observation(index))
const ATTACHMENT = { content: [{ attachment: { contentType: 'text/plain', url: `${BASE}/Binary/1` } }] }

interface Case {
  readonly what: string
  readonly work: RowWork
  readonly rows: Buffer
  readonly atLeast?: number
}

const CASES: readonly Case[] = [
  { what: 'nothing to do', work: {}, rows: PLAIN },
  {
    what: 'type split, every 10th row another',
    work: {},
    rows: rowsOf((index) => observation(index, index % 10 === 9 ? { type: 'Condition' } : {})),
    atLeast: 0.5,
  },
  { what: 'time filter, all rows pass', work: { sinceMs: 0 }, rows: PLAIN, atLeast: 0.5 },
  {
    what: 'time filter, every 2nd row passes',
    work: { sinceMs: Date.parse('2026-01-01T00:00:00Z') },
    rows: PLAIN,
    atLeast: 0.5,
  },
  { what: 'compartment, 1 of 100 patients', work: { patients: ['patient-7'] }, rows: PLAIN },
  {
    what: 'compartment, all of 20,000 patients',
    work: { patients: Array.from({ length: 20_000 }, (_, index) => `patient-${index}`) },
    rows: PLAIN,
  },
  {
    what: 'references, 2 rewritten in every row',
    work: {},
    rows: rowsOf((index) => observation(index, { base: `${BASE}/` })),
    atLeast: 0.5,
  },
  { what: 'attachments, 1 rewritten in every row', work: {}, rows: rowsOf((index) => observation(index, { extra: ATTACHMENT })) },
  { what: 'element pruning, 2 of 11 stay', work: { elements: ['subject', 'value'] }, rows: PLAIN, atLeast: 0.25 },
  { what: 'type filter, every 2nd row passes', work: { typeFilter: ['Observation?status=final'] }, rows: PLAIN },
]

/** @returns Megabytes that went in, per second. */
const speed = async ({ base }: SmallWorker, url: string, program: RowWork | null, bytes: number): Promise<number> => {
  const startMs = performance.now()
  const response = await fetch(base, { method: 'POST', body: JSON.stringify({ url, program, base: BASE }) })
  if (!response.ok || !response.body) throw new Error(`the Worker answered ${response.status}`)
  let came = 0
  for await (const chunk of response.body) came += chunk.length
  if (came === 0) throw new Error('nothing came out')
  return bytes / 1_000 / (performance.now() - startMs)
}

/** What the rows' programs cost: a file that is streamed through one, against the same file through none. */
export default {
  name: 'row-programs',
  sabotage: [{ name: 'slow-reads', options: { stepsPerKilobyte: 5_000 } }],
  async measure({ layers, bytes, runs, slowRuns }) {
    const vendor = await startRepeater()
    const ours = await startWorker('workers/row-programs', { layers })
    const yardstick = await startWorker('workers/row-programs')
    const lines: Line[] = []
    try {
      for (const { what, work, rows, atLeast } of CASES) {
        const asked = Math.min(bytes, MOST_BYTES)
        const warmUp = vendor.serve(rows, asked / WARM_UP_SHARE)
        await speed(ours, vendor.origin, work, warmUp)
        await speed(yardstick, vendor.origin, null, warmUp)
        const total = vendor.serve(rows, asked)
        const result = await compare(
          // What has no budget is judged by nobody.
          atLeast === undefined ? slowRuns : runs,
          () => speed(ours, vendor.origin, work, total),
          () => speed(yardstick, vendor.origin, null, total),
        )
        const budget = atLeast === undefined ? {} : { budget: { of: 'ratio', atLeast } as const }
        lines.push({ what: `rows: ${what}`, unit: 'MB/s', ...result, ...budget })
      }
      return lines
    } finally {
      await Promise.all([ours.close(), yardstick.close(), vendor.close()])
    }
  },
} satisfies BenchRow as BenchRow
