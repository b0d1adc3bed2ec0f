import { writeFile } from 'node:fs/promises'
import { cpus, loadavg, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from '../sandbox/build.ts'
import { removeDirectories } from '../test/scale/stack.ts'
import { FULL, QUICK, USUAL, type BenchRow, type Scale } from './bench.ts'
import { fails, isSeenSpoilt, tableOf, verdictOf, type Line } from './line.ts'
import { ROWS } from './rows/index.ts'

const USAGE = `Options:
  --quick           a smoke test of every row in a minute or two: counts are judged, timings are not
  --full            memory with 5 GB instead of 1 GB
  --only NAMES      some rows, by commas: ${ROWS.map(({ name }) => name).join(', ')}
  --sabotage NAMES  some rows with the measured path slowed down, or all with "all": each must miss its budget`

const RESULTS = fileURLToPath(new URL('results.json', import.meta.url))

const refuse = (problem: string): never => {
  process.stderr.write(`${problem}\n\n${USAGE}\n`)
  process.exit(2)
}

const rowsNamed = (names: string): readonly BenchRow[] =>
  names.split(',').map((name) => ROWS.find((row) => row.name === name) ?? refuse(`There is no row ${name}`))

const optionsOf = () => {
  try {
    return parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        full: { type: 'boolean', default: false },
        only: { type: 'string' },
        sabotage: { type: 'string' },
      },
    }).values
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error))
  }
}

/** What a row gave, or one line that says why it gave nothing. */
const linesOf = async (row: BenchRow, scale: Scale, isSabotaged: boolean): Promise<readonly Line[]> => {
  try {
    return await row.measure({ ...scale, layers: isSabotaged ? row.sabotage : [] })
  } catch (error) {
    const note = error instanceof Error ? error.message : String(error)
    return [{ what: row.name, unit: '', figure: NaN, budget: { of: 'figure', atMost: 0, isCounted: true }, note }]
  }
}

/** Whether a row that was spoilt is seen to be so. One that has nothing to measure here has nothing to miss. */
const isSeen = (plain: readonly Line[], spoilt: readonly Line[]): boolean =>
  spoilt.every((line) => verdictOf(line) === 'skipped') ||
  spoilt.some((line, index) => {
    const before = plain[index]
    return before?.what === line.what && isSeenSpoilt(before, line)
  })

const options = optionsOf()
if (options.quick && options.full) refuse('--quick or --full, not both')
const scale = options.quick ? QUICK : options.full ? FULL : USUAL
const names = options.sabotage ?? options.only
const rows = names === undefined || names === 'all' ? ROWS : rowsNamed(names)

process.once('exit', removeDirectories)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

interface Result {
  readonly name: string
  readonly lines: readonly Line[]
  readonly seconds: number
}

/** Runs the rows one after the other and writes what came of them. @returns Whether all budgets are met. */
const measureAll = async (): Promise<boolean> => {
  const results: Result[] = []
  for (const row of rows) {
    process.stderr.write(`${row.name}\n`)
    const startedMs = performance.now()
    const lines = await linesOf(row, scale, false)
    results.push({ name: row.name, lines, seconds: Math.round(performance.now() - startedMs) / 1000 })
  }
  const lines = results.flatMap((result) => result.lines)
  process.stdout.write(`${tableOf(lines, !options.quick)}\n`)
  if (options.quick) process.stdout.write('Of a quick run only what is counted is judged.\n')
  const machine = { processors: cpus().length, model: cpus()[0]?.model, memoryBytes: totalmem(), load: loadavg()[0] }
  const judged = results.map((result) => ({
    ...result,
    lines: result.lines.map((line) => ({ ...line, verdict: verdictOf(line) })),
  }))
  await writeFile(RESULTS, `${JSON.stringify({ at: new Date().toISOString(), scale, machine, rows: judged }, null, 2)}\n`)
  return !lines.some((line) => fails(line, !options.quick))
}

const named =
  (how: string) =>
  (line: Line): Line => ({ ...line, what: `${line.what} [${how}]` })

/** Measures each row as it is, and then with its path slowed down. @returns Whether that was seen of all. */
const spoilAll = async (): Promise<boolean> => {
  const unseen: string[] = []
  for (const row of rows) {
    process.stderr.write(`${row.name}\n`)
    const plain = await linesOf(row, scale, false)
    const spoilt = await linesOf(row, scale, true)
    process.stdout.write(`${tableOf([...plain.map(named('as it is')), ...spoilt.map(named('spoilt'))])}\n\n`)
    if (!isSeen(plain, spoilt)) unseen.push(row.name)
  }
  const all = 'Every row that was slowed down misses its budget for it.'
  process.stdout.write(`${unseen.length === 0 ? all : `Slowed down and not seen: ${unseen.join(', ')}`}\n`)
  return unseen.length === 0
}

const startedMs = performance.now()
await build()
const isWell = await (options.sabotage === undefined ? measureAll() : spoilAll())
process.stdout.write(`All in ${Math.round((performance.now() - startedMs) / 1000)} s\n`)
process.exitCode = isWell ? 0 : 1
