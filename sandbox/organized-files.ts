import { blocksOf } from './compartment.ts'
import type { Dataset } from './dataset.ts'
import { exportFile, exportFiles, type ExportFile } from './export-files.ts'
import { parseJson } from './json.ts'
import { lines } from './ndjson.ts'
import { project, type ExportFilter } from './row-filter.ts'

/** How many rows a file takes, headers included, before the next is begun. */
const ROWS_PER_FILE = 100

const headerOf = (patientId: string): string =>
  JSON.stringify({
    resourceType: 'Parameters',
    parameter: [{ name: 'header', valueReference: { reference: `Patient/${patientId}` } }],
  })

/** Patient id → its rows: the Patient, and what is in its compartment in the order of the types. */
const rowsByBlock = async (
  dataset: Dataset,
  { elements, ...filter }: ExportFilter,
): Promise<ReadonlyMap<string, readonly string[]>> => {
  const blocks = new Map<string, string[]>()
  for (const file of await exportFiles(dataset, filter)) {
    for await (const line of lines(file.open())) {
      const resource = parseJson(line.toString('utf8')) ?? {}
      // By what the whole resource says, since elements may be left out that name its patient.
      const row = elements === undefined ? line.toString('utf8') : JSON.stringify(project(resource, elements))
      // What is in nobody's compartment may be left out (IG export, Organization of output) [FI-13].
      for (const id of blocksOf(resource)) {
        const block = blocks.get(id) ?? []
        if (block.length === 0) blocks.set(id, block)
        block.push(row)
      }
    }
  }
  return blocks
}

const fileOf = (rows: readonly string[]): ExportFile => {
  const bytes = Buffer.from(`${rows.join('\n')}\n`)
  const open = async function* () {
    yield bytes
  }
  return exportFile({ type: '', resources: rows.length, version: `organized-${bytes.toString('base64')}`, open })
}

/**
 * The output files of an export that is organized by Patient [FI-12]. All of it is in memory at once: what can be said of how this
 * server does it is that it is right.
 *
 * @returns The files, and of each whose last block goes on the id of the file where it does.
 */
export const organizedFiles = async (
  dataset: Dataset,
  filter: ExportFilter,
): Promise<{ readonly files: readonly ExportFile[]; readonly continuesIn: ReadonlyMap<string, string> }> => {
  const files: string[][] = []
  const splitAfter = new Set<number>()
  let current: string[] = []
  const begin = (): void => {
    current = []
    files.push(current)
  }
  for (const [patientId, rows] of await rowsByBlock(dataset, filter)) {
    if (files.length === 0 || current.length + rows.length + 1 > ROWS_PER_FILE) begin()
    for (let at = 0; at < rows.length; at += ROWS_PER_FILE - 1) {
      if (at > 0) {
        splitAfter.add(files.length - 1)
        begin()
      }
      current.push(headerOf(patientId), ...rows.slice(at, at + ROWS_PER_FILE - 1))
    }
  }
  const made = files.map(fileOf)
  const continuesIn = new Map([...splitAfter].map((nth) => [made[nth]?.id ?? '', made[nth + 1]?.id ?? '']))
  return { files: made, continuesIn }
}
