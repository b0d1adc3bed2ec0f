import { formatInstant } from './instant.ts'

/** The three lists of a manifest. */
export type FileKind = 'output' | 'deleted' | 'error'

/**
 * One file of a manifest.
 *
 * @see Bulk Data Manifest, `output` [MF-05, MF-06, MF-08, MF-09]
 */
export interface ManifestFile {
  readonly url: string
  /** Resource type of every line. Absent only where files are organized by a resource, or when a vendor did not say. */
  readonly type?: string
  /** Lines of the file. */
  readonly count?: number
  /** URL of the file in which the last block goes on. */
  readonly continuesInFile?: string
  /** Up to 3.0.0 an object keyed by name. */
  readonly extension?: Readonly<Record<string, unknown>>
}

/** What our manifest says besides its files. */
export interface ManifestHead {
  /** Epoch milliseconds: the vendor's time of the query, never ours. */
  readonly transactionTimeMs: number
  /** The kick-off URL as the client called it. */
  readonly request: string
  /** The honoured `organizeOutputBy` [MF-10]. */
  readonly outputOrganizedBy?: string
  /** Where the next page is [MF-16]. */
  readonly nextUrl?: string
  readonly extension?: Readonly<Record<string, unknown>>
}

/**
 * The document a client gets when its export is complete.
 *
 * @see Bulk Data Manifest [MF-01..MF-18]
 */
export interface Manifest {
  readonly transactionTime: string
  readonly request: string
  readonly requiresAccessToken: boolean
  readonly outputOrganizedBy?: string
  readonly output: readonly ManifestFile[]
  readonly deleted: readonly ManifestFile[]
  readonly error: readonly ManifestFile[]
  readonly extension?: Readonly<Record<string, unknown>>
  /** At most one: the next page of the manifest [MF-16]. */
  readonly link?: readonly { readonly relation: 'next'; readonly url: string }[]
}

/** Members of one file's entry, in the order in which they are written. */
export const FILE_MEMBERS = ['type', 'url', 'count', 'continuesInFile', 'extension'] as const satisfies (keyof ManifestFile)[]

/** A piece of a JSON document, as text or in UTF-8. */
export type JsonPiece = string | Uint8Array

/**
 * Writes our manifest around its entries, without ever holding it whole: all three lists are there, empty or not, and the files need our
 * token.
 *
 * @param entries Called once for each list, in the order in which the lists are written: `output`, `deleted`, `error`. Each piece that it
 *   gives is the JSON of some entries with a comma between them.
 * @returns Pieces of one JSON document. Text that follows on text is one piece.
 * @see Bulk Data Status Request, Complete Status [ST-11, MF-01..MF-18]
 */
export function* manifestPieces(head: ManifestHead, entries: (kind: FileKind) => Iterable<JsonPiece>): Generator<JsonPiece> {
  const opening = {
    transactionTime: formatInstant(head.transactionTimeMs),
    request: head.request,
    requiresAccessToken: true,
    ...(head.outputOrganizedBy === undefined ? {} : { outputOrganizedBy: head.outputOrganizedBy }),
  }
  let text = JSON.stringify(opening).slice(0, -1)
  for (const kind of KINDS) {
    text += `,"${kind}":[`
    let separator = ''
    for (const piece of entries(kind)) {
      text += separator
      separator = ','
      if (typeof piece === 'string') text += piece
      else {
        yield text
        yield piece
        text = ''
      }
    }
    text += ']'
  }
  if (head.extension !== undefined) text += `,"extension":${JSON.stringify(head.extension)}`
  // Last, so that a page that gets its link is what it was before, and more [ST-14].
  if (head.nextUrl !== undefined) text += `,"link":${JSON.stringify([{ relation: 'next', url: head.nextUrl }])}`
  yield text + '}'
}

const KINDS: readonly FileKind[] = ['output', 'deleted', 'error']

export { parseManifest, typeInFileName, type ParsedManifest } from './vendor-manifest.ts'
