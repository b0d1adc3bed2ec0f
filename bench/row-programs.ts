import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { COMPATIBILITY_DATE } from '../sandbox/compatibility.ts'
import { freePort, HOST } from '../sandbox/facade.ts'
import type { RowWork } from '../src/rows/row-work.ts'
import { canMeasureMemory, MEGABYTE, runtimeProcess } from '../test/scale/worker-memory.ts'

/**
 * What row programs cost: megabytes per second of a file that is streamed through the Workers runtime and one program, against the same
 * file through none. The two are measured in turn, so that what disturbs the machine disturbs both.
 */
const RUNS = 5
const MEGABYTES = 64
const BASE = 'https://ehr.example.org/fhir/r4'

interface Rows {
  readonly text: string
}

const observation = (index: number, { type = 'Observation', base = '', extra = {} } = {}): string =>
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
const ROWS = 4_000
const rowsOf = (row: (index: number) => string): Rows => ({
  text: Array.from({ length: ROWS }, (_, index) => `${row(index)}\n`).join(''),
})

const PLAIN = rowsOf((index) => observation(index))
const ATTACHMENT = { content: [{ attachment: { contentType: 'text/plain', url: `${BASE}/Binary/1` } }] }

const CASES: readonly { readonly what: string; readonly work: RowWork; readonly rows: Rows }[] = [
  { what: 'nothing to do', work: {}, rows: PLAIN },
  {
    what: 'type split, every 10th row another',
    work: {},
    rows: rowsOf((index) => observation(index, index % 10 === 9 ? { type: 'Condition' } : {})),
  },
  { what: 'time filter, all rows pass', work: { sinceMs: 0 }, rows: PLAIN },
  { what: 'time filter, every 2nd row passes', work: { sinceMs: Date.parse('2026-01-01T00:00:00Z') }, rows: PLAIN },
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
  },
  { what: 'attachments, 1 rewritten in every row', work: {}, rows: rowsOf((index) => observation(index, { extra: ATTACHMENT })) },
  { what: 'element pruning, 2 of 11 stay', work: { elements: ['subject', 'value'] }, rows: PLAIN },
  { what: 'type filter, every 2nd row passes', work: { typeFilter: ['Observation?status=final'] }, rows: PLAIN },
]

let current = Buffer.alloc(0)
let repeats = 0
const vendor = createServer((_, response) => {
  let sent = 0
  const more = (): void => {
    while (sent < repeats) {
      sent += 1
      if (!response.write(current)) return
    }
    response.end()
  }
  response.on('drain', more)
  more()
})
await new Promise<void>((resolve) => vendor.listen(0, HOST, resolve))
const { port: vendorPort } = vendor.address() as AddressInfo

const bundle = await build({
  entryPoints: [fileURLToPath(new URL('yardsticks/row-programs.js', import.meta.url))],
  bundle: true,
  format: 'esm',
  write: false,
  external: ['cloudflare:*'],
})
const port = await freePort()
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    name: 'row-programs',
    modules: [{ type: 'ESModule', path: 'row-programs.js', contents: bundle.outputFiles[0]?.text ?? '' }],
    compatibilityDate: COMPATIBILITY_DATE,
    unsafeDirectSockets: [{ host: HOST, port }],
  }),
)
await miniflare.ready

/** @returns Megabytes that went in, per second. */
const speed = async (work: RowWork | null, { text }: Rows, megabytes = MEGABYTES): Promise<number> => {
  current = Buffer.from(text)
  repeats = Math.ceil((megabytes * MEGABYTE) / current.length)
  const startMs = performance.now()
  const body = JSON.stringify({ url: `http://${HOST}:${vendorPort}/`, program: work, base: BASE })
  const response = await fetch(`http://${HOST}:${port}/`, { method: 'POST', body })
  if (!response.ok || !response.body) throw new Error(`the Worker answered ${response.status}`)
  let bytes = 0
  for await (const chunk of response.body) bytes += chunk.length
  if (bytes === 0) throw new Error('nothing came out')
  return (repeats * current.length) / 1_000 / (performance.now() - startMs)
}

const median = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0

try {
  console.log(`${'program'.padEnd(38)}  ${'MB/s'.padStart(6)}  ${'none'.padStart(6)}  ratio`)
  for (const { what, work, rows } of CASES) {
    await speed(work, rows, 16)
    const ours: number[] = []
    const none: number[] = []
    for (let run = 0; run < RUNS; run += 1) {
      none.push(await speed(null, rows))
      ours.push(await speed(work, rows))
    }
    const [figure, yardstick] = [median(ours), median(none)]
    const ratio = (figure / yardstick).toFixed(2)
    console.log(`${what.padEnd(38)}  ${figure.toFixed(0).padStart(6)}  ${yardstick.toFixed(0).padStart(6)}  ${ratio.padStart(5)}`)
  }
  if (canMeasureMemory) {
    const runtime = runtimeProcess()
    for (const { what, work, rows } of CASES.filter((_, index) => [0, 3, 6, 8].includes(index))) {
      const lifts: string[] = []
      for (const megabytes of [128, 512]) {
        const { memory } = await runtime.measure(() => speed(work, rows, megabytes))
        lifts.push(`${((memory.peakBytes - memory.idleBytes) / MEGABYTE).toFixed(0)} MB for ${megabytes} MB`)
      }
      console.log(`Memory above idle at its peak, ${what}: ${lifts.join(', ')}`)
    }
  }
} finally {
  await miniflare.dispose()
  vendor.closeAllConnections()
  vendor.close()
}
