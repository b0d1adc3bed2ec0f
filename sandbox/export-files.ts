import { createHash, randomUUID } from 'node:crypto'
import type { Dataset, DatasetFile } from './dataset.ts'
import { parseJson, stringOf } from './json.ts'
import { lines, type Chunks } from './ndjson.ts'
import { filterRows, isOfType, passes, passesAll, targetsOf, type ExportFilter } from './row-filter.ts'

/** One output file of a vendor job. */
export interface ExportFile {
  readonly id: string
  readonly type: string
  readonly resources: number
  /** Names these very bytes; hexadecimal, so that it can stand in an ETag. */
  readonly version: string
  /** Omitted: NDJSON. */
  readonly contentType?: string
  open(): Chunks
  /** Length in bytes where it is known without reading; then the file may be too large to be held or read twice. */
  readonly bytes?: number
  /** The same content as one gzip stream, of a file that is sent compressed. */
  openCompressed?(): Chunks
  /** Length in bytes; found by reading the file once. */
  measure(): Promise<number>
}

/** Adds what every output file has: an id of its own and a length that is found once. */
export const exportFile = (
  file: Pick<ExportFile, 'type' | 'resources' | 'version' | 'contentType' | 'open' | 'bytes' | 'openCompressed'>,
): ExportFile => {
  let length: Promise<number> | undefined
  const measure = async (): Promise<number> => {
    let bytes = 0
    for await (const chunk of file.open()) bytes += chunk.length
    return bytes
  }
  return {
    id: randomUUID(),
    type: file.type,
    resources: file.resources,
    version: createHash('sha256').update(file.version).digest('hex').slice(0, 32),
    open: () => file.open(),
    ...(file.contentType === undefined ? {} : { contentType: file.contentType }),
    ...(file.bytes === undefined ? {} : { bytes: file.bytes }),
    ...(file.openCompressed === undefined ? {} : { openCompressed: file.openCompressed }),
    measure: () => (length ??= file.bytes === undefined ? measure() : Promise.resolve(file.bytes)),
  }
}

/** Ids of the Provenance that is, among all that goes out, the last of one of its targets. */
const latestProvenance = async (dataset: Dataset, filter: ExportFilter): Promise<ReadonlySet<string>> => {
  const last = new Map<string, { readonly id: string; readonly recordedMs: number }>()
  for (const file of await dataset.files('Provenance')) {
    for await (const line of lines(file.open())) {
      const resource = parseJson(line.toString('utf8')) ?? {}
      if (!passes(resource, filter)) continue
      const recordedMs = Date.parse(stringOf(resource['recorded']))
      for (const target of targetsOf(resource).filter((each) => isOfType(each, filter.provenanceOf)))
        if (recordedMs > (last.get(target)?.recordedMs ?? -Infinity))
          last.set(target, { id: stringOf(resource['id']), recordedMs })
    }
  }
  return new Set([...last.values()].map(({ id }) => id))
}

const filtered = async (
  file: DatasetFile,
  filter: ExportFilter,
  latest: ReadonlySet<string> | undefined,
): Promise<ExportFile | undefined> => {
  const open = () => filterRows(file.open(), filter, latest)
  let resources = 0
  for await (const line of lines(open())) resources += line.length > 0 ? 1 : 0
  if (resources === 0) return undefined
  return exportFile({ type: file.type, resources, version: `${file.version}-${randomUUID()}`, open })
}

/**
 * The output files of an export, type after type in the dataset's order. A type, or a slice of it, without rows gives no file.
 *
 * @param perFile As for `Dataset.files`.
 */
export const exportFiles = async (dataset: Dataset, filter: ExportFilter, perFile?: number): Promise<ExportFile[]> => {
  const files: ExportFile[] = []
  const latest = filter.latestProvenance === true ? await latestProvenance(dataset, filter) : undefined
  for (const type of dataset.types) {
    if (filter.types !== undefined && !filter.types.includes(type)) continue
    for (const file of await dataset.files(type, perFile)) {
      const output = passesAll(filter) ? exportFile(file) : await filtered(file, filter, latest)
      if (output !== undefined) files.push(output)
    }
  }
  return files
}
