import { writeFile } from 'node:fs/promises'
import { cpus, loadavg, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from '../sandbox/build.ts'
import { removeDirectories } from '../test/scale/stack.ts'
import { FULL, QUICK, USUAL, type BenchRow } from './bench.ts'
import { fails, sentenceOf, tableOf, verdictOf, type Line } from './line.ts'
import { linesOf, spoiltOf } from './measure.ts'
import { ROWS } from './rows/index.ts'

const USAGE = `Options:
  --quick           a smoke test of every row in a few minutes: counts are judged, timings are not
  --full            memory with 5 GB instead of 1 GB
  --only NAMES      some rows, by commas: ${ROWS.map(({ name }) => name).join(', ')}
  --sabotage NAMES  some rows with the measured path slowed down, or all with "all": every budget must be missed`

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

const tell = (text: string): void => void process.stderr.write(`${text}\n`)

const secondsSince = (startedMs: number): number => Math.round(performance.now() - startedMs) / 1000

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

const save = (results: readonly Result[]): Promise<void> => {
  const machine = { processors: cpus().length, model: cpus()[0]?.model, memoryBytes: totalmem(), load: loadavg()[0] }
  const judged = results.map((result) => ({
    ...result,
    lines: result.lines.map((line) => ({ ...line, verdict: verdictOf(line) })),
  }))
  return writeFile(RESULTS, `${JSON.stringify({ at: new Date().toISOString(), scale, machine, rows: judged }, null, 2)}\n`)
}

/** Runs the rows one after the other and writes what came of each as soon as it is there. @returns Whether all budgets are met. */
const measureAll = async (): Promise<boolean> => {
  const results: Result[] = []
  for (const row of rows) {
    tell(row.name)
    const startedMs = performance.now()
    const lines = await linesOf(row, scale, false)
    const seconds = secondsSince(startedMs)
    results.push({ name: row.name, lines, seconds })
    for (const line of lines) tell(`  ${sentenceOf(line, !options.quick)}`)
    tell(`  in ${seconds.toFixed(1)} s`)
    await save(results)
  }
  const lines = results.flatMap((result) => result.lines)
  process.stdout.write(`${tableOf(lines, !options.quick)}\n`)
  if (options.quick) process.stdout.write('Of a quick run only what is counted is judged.\n')
  return !lines.some((line) => fails(line, !options.quick))
}

/** Measures each row as it is, and then with its path slowed down. @returns Whether that was seen by every line with a budget. */
const spoilAll = async (): Promise<boolean> => {
  const unseen: string[] = []
  for (const row of rows) {
    tell(row.name)
    const startedMs = performance.now()
    const found = await spoiltOf(row, scale)
    for (const line of found) tell(`  ${line.isSeen ? 'seen' : 'NOT SEEN'}: ${line.text}`)
    tell(`  in ${secondsSince(startedMs).toFixed(1)} s`)
    unseen.push(...found.filter(({ isSeen }) => !isSeen).map(({ text }) => `${row.name}: ${text}`))
  }
  const all = 'Every line with a budget misses it when its path is slowed down.'
  process.stdout.write(unseen.length === 0 ? `${all}\n` : `Slowed down and not seen:\n${unseen.join('\n')}\n`)
  return unseen.length === 0
}

const startedMs = performance.now()
await build()
const isWell = await (options.sabotage === undefined ? measureAll() : spoilAll())
process.stdout.write(`All in ${Math.round(secondsSince(startedMs))} s\n`)
process.exitCode = isWell ? 0 : 1
