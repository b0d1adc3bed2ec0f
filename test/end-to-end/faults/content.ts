import { hugeFileContent, tinyFileContent } from '../../../sandbox/faults/files.ts'
import type { BulkClient, Manifest, ManifestFile } from '../../../sandbox/bulk-client.ts'
import { lines } from '../../../sandbox/ndjson.ts'
import type { SandboxVendor } from '../../../sandbox/sandbox.ts'
import type { Outcome as OperationOutcome } from '../support.ts'
import type { Content, Outcome } from './row.ts'

/** Types of every export of the table: few, and more than one, so that one file can be missing among others. */
export const TYPES: readonly string[] = ['Patient', 'Encounter']

/** Type → lines in order. */
type Lines = ReadonlyMap<string, readonly string[]>

const textsOf = async (files: AsyncIterable<Uint8Array>): Promise<string[]> => {
  const texts: string[] = []
  for await (const line of lines(files)) texts.push(line.toString())
  return texts
}

const held = async ({ dataset }: SandboxVendor): Promise<Lines> => {
  const found = new Map<string, string[]>()
  for (const type of TYPES) {
    const files = await dataset.files(type)
    found.set(type, (await Promise.all(files.map((file) => textsOf(file.open())))).flat())
  }
  return found
}

const tiny = (files: number): readonly string[] =>
  Array.from({ length: files }, (_, index) => tinyFileContent(index).toString()).flatMap((text) => text.trimEnd().split('\n'))

const expected = async (vendor: SandboxVendor, content: Content): Promise<Lines> => {
  switch (content.kind) {
    case 'dataset':
      return held(vendor)
    case 'tiny':
      return new Map([['Patient', tiny(content.files)]])
    case 'huge':
      return new Map([['Patient', await textsOf(hugeFileContent(content.bytes))]])
  }
}

/** A delivered file's lines. @throws when it is not as the manifest says. */
const delivered = async (client: BulkClient, { type, url, count }: ManifestFile): Promise<readonly string[]> => {
  const response = await client.fetch(url, { headers: { 'Accept-Encoding': 'identity' } })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${url}: ${response.status} ${text}`)
  if (!text.endsWith('\n')) throw new Error(`${type}: a file without a final newline`)
  const found = text.slice(0, -1).split('\n')
  if (count !== undefined && count !== found.length) throw new Error(`${type}: ${found.length} lines, counted ${count}`)
  return found
}

const download = async (client: BulkClient, files: readonly ManifestFile[]): Promise<Lines> => {
  const found = new Map<string, string[]>()
  for (const file of files) found.set(file.type, [...(found.get(file.type) ?? []), ...(await delivered(client, file))])
  return found
}

/** What is wrong with an export from which nothing may be missing. */
const differences = (found: Lines, wanted: Lines): string[] =>
  [...new Set([...found.keys(), ...wanted.keys()])].flatMap((type) => {
    const [has, wants] = [found.get(type) ?? [], wanted.get(type) ?? []]
    if (has.length !== wants.length) return [`${type}: ${has.length} resources, ${wants.length} expected`]
    return has.join('\n') === wants.join('\n') ? [] : [`${type}: the content differs`]
  })

/** Whether all of `part` stands in `whole` in its order. */
const isWithin = (part: readonly string[], whole: readonly string[]): boolean => {
  let at = -1
  return part.every((line) => (at = whole.indexOf(line, at + 1)) !== -1)
}

const issuesIn = async (client: BulkClient, files: readonly ManifestFile[]): Promise<OperationOutcome['issue']> => {
  const found = await download(client, files)
  return (found.get('OperationOutcome') ?? []).flatMap((line) => (JSON.parse(line) as OperationOutcome).issue)
}

/** What is wrong with an export of which one file is reported in `error` instead. */
const withoutOne = (
  found: Lines,
  wanted: Lines,
  issues: OperationOutcome['issue'],
  { says }: Extract<Outcome, { kind: 'partial' }>,
): string[] => {
  const [issue] = issues
  if (issues.length !== 1 || issue?.code !== 'incomplete' || issue.severity !== 'error' || !issue.diagnostics.includes(says))
    return [`error: ${JSON.stringify(issues)}`]
  const missing = TYPES.find((type) => issue.diagnostics.startsWith(`A ${type} file`)) ?? ''
  const [has, wants] = [found.get(missing) ?? [], wanted.get(missing) ?? []]
  const others = (of: Lines): Lines => new Map([...of].filter(([type]) => type !== missing))
  return [
    ...(has.length < wants.length && isWithin(has, wants) ? [] : [`${missing}: ${has.length} of ${wants.length} resources`]),
    ...differences(others(found), others(wanted)),
  ]
}

/** What is wrong with an export that lacks one file, and says nothing of it. */
const withoutEmpty = (found: Lines, wanted: Lines, issues: OperationOutcome['issue']): string[] => {
  const lacking = TYPES.filter((type) => (found.get(type) ?? []).length < (wanted.get(type) ?? []).length)
  const isSound = TYPES.every((type) => isWithin(found.get(type) ?? [], wanted.get(type) ?? []))
  return lacking.length === 1 && isSound && issues.length === 0 ? [] : [`lacking: ${lacking.join()}`, JSON.stringify(issues)]
}

/** Everything in which a finished export is not what was promised. */
export const wrongContent = async (
  client: BulkClient,
  vendor: SandboxVendor,
  { output, error, deleted }: Manifest,
  outcome: Extract<Outcome, { kind: 'complete' | 'partial' | 'emptied' }>,
): Promise<string[]> => {
  try {
    if (deleted.length > 0) return [`${deleted.length} files of deletions`]
    const found = await download(client, output)
    const wanted = await expected(vendor, outcome.kind === 'complete' ? outcome.content : { kind: 'dataset' })
    const issues = await issuesIn(client, error)
    if (outcome.kind === 'partial') return withoutOne(found, wanted, issues, outcome)
    if (outcome.kind === 'emptied') return withoutEmpty(found, wanted, issues)
    return [...issues.map(({ diagnostics }) => `error: ${diagnostics}`), ...differences(found, wanted)]
  } catch (problem) {
    return [String(problem)]
  }
}
