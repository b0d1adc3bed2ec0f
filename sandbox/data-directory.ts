import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Dataset, DatasetFile } from './dataset.ts'
import { parseJson, stringOf } from './json.ts'
import { lines } from './ndjson.ts'

const NEWLINE = '\n'
/** `Patient.ndjson`, `Patient.000.ndjson`, `Patient_1.ndjson`. */
const TYPED_NAME = /^([A-Z][A-Za-z]+)(?:[._-].*)?\.ndjson$/

interface Part {
  readonly path: string
  readonly version: string
  readonly resources: number
}

const typeInside = async (path: string): Promise<string> => {
  for await (const line of lines(createReadStream(path))) {
    const resourceType = parseJson(line.toString('utf8'))?.['resourceType']
    if (typeof resourceType === 'string') return resourceType
    break
  }
  throw new Error(`${basename(path)}: its first line has no resourceType`)
}

const countLines = async (path: string): Promise<number> => {
  let resources = 0
  for await (const line of lines(createReadStream(path))) resources += line.length > 0 ? 1 : 0
  return resources
}

/** Where a file can be cut after every `perFile` resources; the first place is its beginning. One reading of the file. */
const cutsOf = async (path: string, perFile: number): Promise<readonly number[]> => {
  const cuts = [0]
  let [resources, at, lineBytes] = [0, 0, 0]
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      // An empty line is no resource, CRLF or not.
      resources += lineBytes + end - start > 1 ? 1 : 0
      lineBytes = 0
      start = end + 1
      if (resources === cuts.length * perFile) cuts.push(at + start)
    }
    lineBytes += chunk.length - start
    at += chunk.length
  }
  return cuts
}

async function* joined(paths: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const path of paths)
    for await (const line of lines(createReadStream(path))) yield Buffer.concat([line, Buffer.from(NEWLINE)])
}

const whole = (type: string, parts: readonly Part[]): DatasetFile[] =>
  // As they are: anyone's file may end without a newline, and that is what a vendor would serve.
  parts.map(({ path, version, resources }, index) => ({ type, index, resources, version, open: () => createReadStream(path) }))

const single = (type: string, parts: readonly Part[]): DatasetFile => ({
  type,
  index: 0,
  resources: parts.reduce((sum, part) => sum + part.resources, 0),
  version: parts.map(({ version }) => version).join('+'),
  open: () => joined(parts.map(({ path }) => path)),
})

const slicesOf = async ({ path, version, resources }: Part, perFile: number) => {
  if (resources <= perFile) return [{ resources, version, open: () => createReadStream(path) }]
  const cuts = await cutsOf(path, perFile)
  return Array.from({ length: Math.ceil(resources / perFile) }, (_, nth) => {
    const [start = 0, next = Infinity] = cuts.slice(nth, nth + 2)
    return {
      resources: Math.min(perFile, resources - nth * perFile),
      version: `${version}-${perFile}-${nth}`,
      open: () => createReadStream(path, { start, end: next - 1 }),
    }
  })
}

const sliced = async (type: string, parts: readonly Part[], perFile: number): Promise<DatasetFile[]> => {
  const slices = await Promise.all(parts.map((part) => slicesOf(part, perFile)))
  return slices.flat().map((slice, index) => ({ type, index, ...slice }))
}

/** Anyone's `*.ndjson` files. The type of a file is told by its name, else by its first line. */
export const directoryDataset = async (directory: string): Promise<Dataset> => {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.ndjson')).toSorted()
  const parts = new Map<string, Part[]>()
  for (const name of names) {
    const path = join(directory, name)
    const resources = await countLines(path)
    if (resources === 0) continue
    const { mtimeMs, size } = await stat(path)
    const type = TYPED_NAME.exec(name)?.[1] ?? (await typeInside(path))
    parts.set(type, [...(parts.get(type) ?? []), { path, resources, version: `${name}-${size}-${Math.floor(mtimeMs)}` }])
  }
  if (parts.size === 0) throw new Error(`${directory}: no *.ndjson with resources in it`)
  const patientParts = parts.get('Patient') ?? []
  return {
    types: [...parts.keys()],
    patients: patientParts.reduce((sum, part) => sum + part.resources, 0),
    files: async (type, perFile) => {
      const held = parts.get(type) ?? []
      if (held.length === 0) return []
      if (perFile === undefined) return whole(type, held)
      if (perFile !== Infinity) return sliced(type, held, perFile)
      return held.length === 1 ? whole(type, held) : [single(type, held)]
    },
    patientIds: async function* () {
      for await (const line of joined(patientParts.map(({ path }) => path))) {
        yield stringOf(parseJson(Buffer.from(line).toString('utf8'))?.['id'])
      }
    },
  }
}
