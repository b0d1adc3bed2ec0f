import { readFile, rm, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { BulkClient } from './bulk-client.ts'
import { CanaryWatch } from './canary-watch.ts'
import { compareExport, compareTraffic } from './compare.ts'
import { freePort } from './facade.ts'
import { readOptions } from './options.ts'
import { ProgressBoard } from './progress-board.ts'
import type { SandboxVendor } from './sandbox.ts'
import { startStack } from './stack.ts'
import { LOG_FILE } from './state.ts'

const EXPORTS = fileURLToPath(new URL('../exports', import.meta.url))

interface Row {
  readonly source: string
  readonly vendor: string
  readonly files: number
  readonly resources: number
  readonly bytes: number
  readonly seconds: number
  readonly differences: readonly string[]
}

/** One export from kick-off to files on disk, compared with what the fake EHR holds. */
const runExport = async (client: BulkClient, vendor: SandboxVendor, board: ProgressBoard): Promise<Row> => {
  const startedMs = Date.now()
  const directory = `${EXPORTS}/${vendor.id}`
  const show = (text: string, share: number): void => board.update(vendor.id, text, share)
  await rm(directory, { recursive: true, force: true })
  const statusUrl = await client.kickoff(`/fhir/${vendor.id}/Group/${vendor.groupId}/$export`)
  const manifest = await client.manifest(statusUrl, (progress) => {
    if (progress.step === 'waiting') show(progress.progress, (Number.parseInt(progress.progress, 10) || 0) / 200)
  })
  const bytes = await client.download(manifest, directory, (progress) => {
    if (progress.step === 'downloading')
      show(`file ${progress.done} of ${progress.total}`, 0.5 + progress.done / progress.total / 2)
  })
  const seconds = (Date.now() - startedMs) / 1000
  show('comparing', 1)
  const { resources, differences } = await compareExport(vendor, manifest, directory, (url) => client.read(url))
  show(differences.length === 0 ? 'identical' : 'DIFFERENT', 1)
  return { source: vendor.id, vendor: vendor.title, files: manifest.output.length, resources, bytes, seconds, differences }
}

const table = (rows: readonly Row[]): string => {
  const head = ['source', 'vendor', 'files', 'resources', 'bytes', 'seconds']
  const cells = rows.map((row) => [
    row.source,
    row.vendor,
    String(row.files),
    row.resources.toLocaleString('en-US'),
    row.bytes.toLocaleString('en-US'),
    row.seconds.toFixed(1),
  ])
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  ')
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...cells.map(line)].join('\n')
}

const options = readOptions(process.argv.slice(2))
if (options.sandbox.dataDir !== undefined && !(await stat(options.sandbox.dataDir).catch(() => undefined))?.isDirectory()) {
  console.error('--data: there is no such directory')
  process.exit(2)
}
const stack = await startStack(options, await freePort())
const watch = await CanaryWatch.start(stack.sandbox, stack.keys)
const problems: string[] = []
try {
  const { sandbox, facade, keys } = stack
  watch.facadeAt(facade.base)
  const client = new BulkClient(facade.base, 'demo', keys.demo)
  console.log(`Exporting from ${sandbox.vendors.length} fake EHRs through one $export:\n`)
  const board = new ProgressBoard(sandbox.vendors.map(({ id }) => id))
  const results = await Promise.allSettled(sandbox.vendors.map((vendor) => runExport(client, vendor, board)))
  board.close()
  const rows = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  problems.push(
    ...results.flatMap((result, index) =>
      result.status === 'rejected' ? [`${sandbox.vendors[index]?.id}: ${(result.reason as Error).message}`] : [],
    ),
    ...rows.flatMap((row) => row.differences.map((difference) => `${row.source}: ${difference}`)),
    ...sandbox.vendors.flatMap((vendor) => compareTraffic(vendor).map((difference) => `${vendor.id}: ${difference}`)),
  )
  console.log(`\n${table(rows)}\n`)
} finally {
  await stack.close()
}
for (const line of (await readFile(LOG_FILE, 'utf8')).split('\n')) watch.log(line)
problems.push(...watch.leaks().map((leak) => `leaked: ${leak}`))
if (problems.length === 0) {
  console.log('Every file is identical to what the fake EHRs hold, and no vendor rule was broken.')
  console.log('No name, id, token, key or signature left by a door that is not meant for it.')
  console.log('Files: exports/<source>/')
} else {
  console.log(`What is not as it should be:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
}
process.exit(problems.length > 0 ? 1 : 0)
