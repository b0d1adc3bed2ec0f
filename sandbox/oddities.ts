import { exportFile, type ExportFile } from './export-files.ts'
import { isJson, listOf, parseJson, stringOf, type Json } from './json.ts'
import { lines } from './ndjson.ts'

/**
 * Ways in which a server writes rows, or puts them into files, that differ from the specification's examples and that real ones have.
 * Which vendor does which is assumed, save where a comment names a source; each can be switched on for any of them.
 */
export type Oddity =
  /** `reference` with the server's own base before it, as the specification allows [KO-17]. */
  | 'absolute-references'
  /** `attachment.url` in place of `data`: absolute under the server's own base, where its token is needed [FI-14]. */
  | 'absolute-attachments'
  /** The same, relative to the base. */
  | 'relative-attachments'
  /** Strings with `\/` for `/`, as PHP's `json_encode` writes them: https://www.php.net/manual/en/json.constants.php. */
  | 'escaped-slashes'
  /** Rows of several types in one file, under the type of the first. */
  | 'mixed-files'
  /** A file as a FHIR Binary with the rows in `data` (assumed of servers that keep their files as Binary). */
  | 'binary-wrapped'

/** What a file of a mixed-type export holds. */
const FILES_IN_ONE = 2

const attachmentsOf = (row: Json): readonly Json[] =>
  listOf(row['content'])
    .filter(isJson)
    .map(({ attachment }) => attachment)
    .filter(isJson)

/** Where the attachment of a document is: its id is the document's. */
const withUrl = (row: Json, base: string): Json => {
  if (!Array.isArray(row['content'])) return row
  const content = listOf(row['content']).map((each) => {
    if (!isJson(each) || !isJson(each['attachment']) || each['attachment']['data'] === undefined) return each
    const { data: _, ...attachment } = each['attachment']
    return { ...each, attachment: { ...attachment, url: `${base}Binary/${stringOf(row['id'])}` } }
  })
  return { ...row, content }
}

const RELATIVE = /^[A-Z][A-Za-z]+\/[^/]+(\/_history\/[^/]+)?$/

const withAbsoluteReferences = (value: unknown, base: string): unknown => {
  if (Array.isArray(value)) return value.map((each) => withAbsoluteReferences(each, base))
  if (!isJson(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) =>
      name === 'reference' && typeof member === 'string' && RELATIVE.test(member)
        ? [name, base + member]
        : [name, withAbsoluteReferences(member, base)],
    ),
  )
}

/** How one row is written. @param base The server's, with a slash at its end. */
const written = (line: string, oddities: readonly Oddity[], base: string): string => {
  let row: Json | undefined = parseJson(line)
  if (row === undefined) return line
  const original = row
  if (oddities.includes('absolute-attachments')) row = withUrl(row, base)
  if (oddities.includes('relative-attachments')) row = withUrl(row, '')
  if (oddities.includes('absolute-references')) row = withAbsoluteReferences(row, base) as Json
  const text = row === original ? line : JSON.stringify(row)
  return oddities.includes('escaped-slashes') ? text.replaceAll('/', '\\/') : text
}

/** Whether a file is made anew rather than sent as it is. */
const rewrites = (oddities: readonly Oddity[]): boolean => oddities.some((oddity) => oddity !== 'mixed-files')

const oddFile = (files: readonly ExportFile[], oddities: readonly Oddity[], baseOf: () => string): ExportFile => {
  const isWrapped = oddities.includes('binary-wrapped')
  async function* rows(): AsyncGenerator<Uint8Array> {
    for (const file of files)
      for await (const line of lines(file.open()))
        yield Buffer.from(`${written(line.toString('utf8'), oddities, `${baseOf()}/`)}\n`)
  }
  async function* wrapped(): AsyncGenerator<Uint8Array> {
    const parts: Uint8Array[] = []
    for await (const row of rows()) parts.push(row)
    const data = Buffer.concat(parts).toString('base64')
    yield Buffer.from(JSON.stringify({ resourceType: 'Binary', contentType: 'application/fhir+ndjson', data }))
  }
  return exportFile({
    type: files[0]?.type ?? '',
    resources: files.reduce((sum, { resources }) => sum + resources, 0),
    version: `${oddities.join()}-${files.map(({ version }) => version).join()}`,
    open: isWrapped ? wrapped : rows,
    ...(isWrapped ? { contentType: 'application/fhir+json' } : {}),
  })
}

/** The files of an export as a server with these oddities gives them out. */
export const oddFiles = (
  files: readonly ExportFile[],
  oddities: readonly Oddity[],
  baseOf: () => string,
): readonly ExportFile[] => {
  if (oddities.length === 0) return files
  const groups = oddities.includes('mixed-files')
    ? Array.from({ length: Math.ceil(files.length / FILES_IN_ONE) }, (_, nth) =>
        files.slice(nth * FILES_IN_ONE, (nth + 1) * FILES_IN_ONE),
      )
    : files.map((file) => [file])
  return groups.map((group) => {
    const [only] = group
    return only !== undefined && group.length === 1 && !rewrites(oddities) ? only : oddFile(group, oddities, baseOf)
  })
}

/** The attachment of a document, by the id that its URL ends in. */
export const attachmentOf = (row: Json): { readonly contentType: string; readonly data: string } | undefined => {
  const [attachment] = attachmentsOf(row)
  const data = stringOf(attachment?.['data'])
  return data === '' ? undefined : { contentType: stringOf(attachment?.['contentType']), data }
}
