import { createReadStream } from 'node:fs'
import { fileNameOf, type Manifest } from './bulk-client.ts'
import { canonical, type ReadAttachment } from './canonical.ts'
import { parseJson } from './json.ts'
import { digestLines, lines, type Chunks } from './ndjson.ts'
import type { SandboxVendor } from './sandbox.ts'

/** What an export gave, and everything in which it is not what the vendor holds. */
export interface Comparison {
  readonly resources: number
  readonly differences: readonly string[]
}

const noReader: ReadAttachment = () => Promise.reject(new Error('attachments cannot be read here'))

/** Rows by what they say, for a vendor that writes them in its own way. */
async function* readRows(chunks: Chunks, read: ReadAttachment): AsyncGenerator<Uint8Array> {
  for await (const line of lines(chunks)) yield Buffer.from(`${await canonical(parseJson(line.toString('utf8')) ?? {}, read)}\n`)
}

/**
 * Compares downloaded files with what a fake EHR holds: the same types, and per type the same lines in the same order. They are the same
 * bytes, unless the vendor writes rows in its own way: then they say the same, references are relative, and attachments can be read.
 */
export const compareExport = async (
  vendor: SandboxVendor,
  manifest: Manifest,
  directory: string,
  read: ReadAttachment = noReader,
): Promise<Comparison> => {
  const rowsOf = (chunks: Chunks): Chunks => (vendor.writesOddly ? readRows(chunks, read) : chunks)
  const expectedOf = async (type: string) => {
    const files = await vendor.dataset.files(type)
    return digestLines(files.map((file) => rowsOf(file.open())))
  }
  const differences: string[] = []
  let resources = 0
  const listed = manifest.output.map(({ type }) => type)
  // A group that a vendor adds to its own export need not be delivered.
  const held = vendor.dataset.types.filter((type) => type !== 'Group' || listed.includes(type))
  const types = [...new Set([...held, ...listed])]
  for (const type of types) {
    const files = manifest.output.filter((file) => file.type === type)
    const expected = await expectedOf(type)
    const found = await digestLines(files.map(({ url }) => rowsOf(createReadStream(`${directory}/${fileNameOf(url)}`))))
    resources += found.resources
    if (found.resources !== expected.resources)
      differences.push(`${type}: ${found.resources} resources, ${expected.resources} expected`)
    else if (found.sha256 !== expected.sha256) differences.push(`${type}: the content differs`)
    const counts = files.map(({ count }) => count)
    const announced = counts.reduce<number>((sum, count) => sum + (count ?? 0), 0)
    if (counts.every((count) => count !== undefined) && announced !== found.resources) {
      differences.push(`${type}: the manifest counts ${announced} resources, the files hold ${found.resources}`)
    }
  }
  if (manifest.error.length > 0) differences.push(`${manifest.error.length} files in error`)
  return { resources, differences }
}

/** The rules that every vendor was promised; @returns those that the facade broke. */
export const compareTraffic = (vendor: SandboxVendor, exports = 1): string[] => {
  const traffic = vendor.traffic()
  const broken: string[] = []
  if (traffic.bearersAtStore > 0) broken.push(`${traffic.bearersAtStore} bearer tokens reached the presigned store`)
  if (traffic.earlyStatusRequests > 0)
    broken.push(`${traffic.earlyStatusRequests} status requests came before Retry-After had passed`)
  if (vendor.id === 'oracle-health' && traffic.maxInFlight > 1)
    broken.push(`${traffic.maxInFlight} exports in flight at a one-slot vendor`)
  if (traffic.kickoffs.accepted !== exports) broken.push(`${traffic.kickoffs.accepted} kick-offs for ${exports} exports`)
  return broken
}
