import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from '../sandbox/build.ts'
import { format } from 'prettier'
import { countCosts, REQUEST_SECONDS, type CountedCosts } from './cost-counts.ts'
import {
  dollarsOf,
  METERED,
  monthlyDollars,
  NOTHING,
  OBJECT_GIGABYTES,
  plus,
  PRICES,
  PRICES_OF,
  SUBSCRIPTION_DOLLARS,
  type Metered,
  type Price,
  type Usage,
} from './prices.ts'
import { canMeasureProcessor } from './processor.ts'

const DOCUMENT = fileURLToPath(new URL('../docs/cost.md', import.meta.url))

/** The export that the bills are about. */
const EXPORT = { gigabytes: 1, files: 100, minutes: 30, vendorPolls: 60, clientPolls: 60, tokens: 6, keptDays: 1 } as const
const DAYS = 30
const EXPORTS_PER_DAY = [1, 100, 10_000]
/** What rows take up: assumed, since it cannot be counted here. Indexes and free pages are in it. */
const AUDIT_RECORD_BYTES = 500
const FILE_ROW_BYTES = 600
const JOB_BYTES = 24_000
/** How long audit records are kept as deployed. */
const AUDIT_DAYS = 2_190
/** How fast vendors give their files: an object is billed for as long as it collects. */
const VENDOR_MEGABYTES_PER_SECOND = 20
/** The sweep, and the object of a source that it asks each time; while a job lives it is asked too. */
const SWEEPS = (DAYS * 24 * 60) / 5

type Retention = 'r2' | 'none'

const exportUsage = (costs: CountedCosts, retention: Retention): Usage => {
  const { gigabytes, files, minutes, vendorPolls, clientPolls, tokens, keptDays } = EXPORT
  const steps: readonly (readonly [Usage, number])[] = [
    [costs.job, 1],
    [costs.vendorPoll, vendorPolls],
    [costs.thousandPolls, clientPolls / 1_000],
    [costs.token, tokens],
    [costs.fileDownload, files],
    [costs.gigabyte, gigabytes],
    ...(retention === 'r2' ? [[costs.file, files] as const] : []),
    [{ ...NOTHING, objectRequests: minutes / 5 }, 1],
  ]
  const sum = steps.reduce<Usage>((total, [usage, count]) => plus(total, usage, count), NOTHING)
  // A kick-off, a manifest, a deletion, each token and each file.
  const auditBytes = (3 + tokens + files) * AUDIT_RECORD_BYTES * AUDIT_DAYS
  const rowBytes = (JOB_BYTES + files * FILE_ROW_BYTES) * keptDays
  const objectGigabyteMonths = (auditBytes + rowBytes) / 1e9 / DAYS
  if (retention === 'none') return { ...sum, objectGigabyteMonths, classB: 0 }
  const collectingSeconds = (gigabytes * 1_000) / VENDOR_MEGABYTES_PER_SECOND
  return {
    ...sum,
    objectGigabyteMonths,
    objectGigabyteSeconds: sum.objectGigabyteSeconds + collectingSeconds * OBJECT_GIGABYTES,
    storedGigabyteMonths: (gigabytes * keptDays) / DAYS,
  }
}

const monthOf = (usage: Usage, exportsPerDay: number): Usage =>
  plus({ ...NOTHING, workerRequests: SWEEPS, objectRequests: SWEEPS }, usage, DAYS * exportsPerDay)

const number = (value: number): string =>
  value === 0 ? '0' : value < 10 ? value.toPrecision(2) : Math.round(value).toLocaleString('en')
const dollars = (value: number): string =>
  `$${value.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`
const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`

/** Storage is no operation. */
const NOT_COUNTED: ReadonlySet<Metered> = new Set(['storedGigabyteMonths', 'objectGigabyteMonths', 'objectGigabyteSeconds'])
const COUNTED = METERED.filter((name) => !NOT_COUNTED.has(name))

const countsTable = (costs: CountedCosts): readonly string[] => {
  const columns: readonly (readonly [string, Usage])[] = [
    ['a job', costs.job],
    ['1,000 status polls', costs.thousandPolls],
    ['a status request to the vendor', costs.vendorPoll],
    ['a file collected', costs.file],
    ['a file downloaded', costs.fileDownload],
    ['a GB, in any files', costs.gigabyte],
    ['a GB in one file, more', costs.gigabyteInParts],
    ['an access token', costs.token],
  ]
  return [
    row('', ...COUNTED.map((name) => `${PRICES[name].what}${name === 'processorMs' ? ', ms' : ''}`)),
    row('---', ...COUNTED.map(() => '---:')),
    ...columns.map(([what, usage]) => row(what, ...COUNTED.map((name) => number(usage[name])))),
  ]
}

const billTable = (costs: CountedCosts): readonly string[] => [
  row('exports a day', 'kept in R2', 'of which most', 'passed through', 'of which most'),
  row('---:', '---:', '---', '---:', '---'),
  ...EXPORTS_PER_DAY.map((perDay) => {
    const cells = (['r2', 'none'] as const).flatMap((retention) => {
      const usage = monthOf(exportUsage(costs, retention), perDay)
      const bill = dollarsOf(usage)
      const most = METERED.toSorted((one, other) => bill[other] - bill[one]).slice(0, 3)
      const named = most.filter((name) => bill[name] >= 0.01).map((name) => `${PRICES[name].what} ${dollars(bill[name])}`)
      return [dollars(monthlyDollars(usage)), named.length === 0 ? 'the subscription' : named.join(', ')]
    })
    return row(perDay.toLocaleString('en'), ...cells)
  }),
]

const documentOf = (costs: CountedCosts): string => {
  const { gigabytes, files, minutes, vendorPolls, clientPolls, tokens, keptDays } = EXPORT
  return [
    '# What it costs',
    '',
    `Written by \`node bench/cost.ts\`, which counts what the built Worker does on loopback and multiplies it with Cloudflare's list prices`,
    `(as of ${PRICES_OF}). Do not edit it: change the script, and run it again.`,
    '',
    '## What is counted',
    '',
    ...countsTable(costs),
    '',
    '- A job is everything from kick-off to purge that is in none of the other lines. Calls of objects, their alarms among them, are Durable',
    '  Object requests. A row that is deleted, an entry of an index and an alarm that is set are each billed as a row written, and so they',
    '  are counted here.',
    '- Processor time is that of the whole local runtime, its HTTP server and its disk included: an upper bound. For bytes it is taken with a',
    '  sink that discards them, since R2 is a simulator in the same process here.',
    '- A file of up to 64 MiB is one put; a longer one is an upload in parts of 5 MiB, which is what a GB in one file costs more.',
    '- Egress is free, and deleting is.',
    '',
    '## The monthly bill',
    '',
    `Of exports of ${gigabytes} GB in ${files} files, for which the vendor takes ${minutes} minutes. It is asked for the status ${vendorPolls} times, and we`,
    `are ${clientPolls} times, with ${tokens} access tokens. Every file is downloaded once. Days that a file rests in R2: ${keptDays}.`,
    '',
    ...billTable(costs),
    '',
    `The subscription of ${dollars(SUBSCRIPTION_DOLLARS)} is in it, and what it includes is taken off; a month has ${DAYS} days. Storage is that of a service that has run`,
    `for ${AUDIT_DAYS.toLocaleString('en')} days, which is how long audit records are kept unless \`auditRetentionDays\` says otherwise; before that it is less.`,
    '',
    'Assumed, since it cannot be counted here:',
    '',
    `- An object is busy for ${REQUEST_SECONDS * 1_000} ms with each request, and while it collects, at ${VENDOR_MEGABYTES_PER_SECOND} MB/s.`,
    `- An audit record takes ${AUDIT_RECORD_BYTES} bytes, a file's row ${FILE_ROW_BYTES}, and the object of a job ${JOB_BYTES.toLocaleString('en')} besides, for as long as its files rest.`,
    '- There is one source; each further one is asked once more by every sweep.',
    '',
    'Not in the model: DNS, logs that are kept, egress (which is free), and the requests that a vendor or a CDN charges for.',
    '',
    '## List prices',
    '',
    row('', 'included in a month', 'beyond it'),
    row('---', '---:', '---:'),
    ...METERED.map((name) => {
      const { what, unit, included, dollarsPerMillion, roundedTo }: Price = PRICES[name]
      const rounded = roundedTo === undefined ? '' : ', rounded up'
      const price =
        (unit === 'GB-months' ? `$${dollarsPerMillion / 1e6} a GB-month` : `$${dollarsPerMillion} a million ${unit}`) + rounded
      return row(what, `${included.toLocaleString('en')} ${unit}`, price)
    }),
    '',
    'Sources: [Workers](https://developers.cloudflare.com/workers/platform/pricing/),',
    '[Durable Objects](https://developers.cloudflare.com/durable-objects/platform/pricing/), [R2](https://developers.cloudflare.com/r2/pricing/).',
    'Rows that rest in Durable Objects are billed since January 2026.',
    '',
  ].join('\n')
}

if (!canMeasureProcessor) {
  process.stderr.write('Processor time is told by Linux only: run it there.\n')
  process.exit(1)
}
await build()
await writeFile(DOCUMENT, await format(documentOf(await countCosts()), { parser: 'markdown', printWidth: 130 }))
process.stdout.write('docs/cost.md is written.\n')
