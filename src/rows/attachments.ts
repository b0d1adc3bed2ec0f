import type { Edit } from './edits.ts'
import {
  CLOSING_BRACE,
  CLOSING_BRACKET,
  COLON,
  COMMA,
  eachRootMember,
  endOfString,
  endOfValue,
  OPENING_BRACE,
  OPENING_BRACKET,
  QUOTE,
  skipBlanks,
  stringAt,
} from './json-scan.ts'
import { MalformedRow, type RowContext } from './row-program.ts'
import { MAX_ROW_BYTES, type Row } from './row.ts'

/** https://hl7.org/fhir/R4/datatypes.html#Attachment */
const MEMBERS = new Set(
  ['contentType', 'language', 'data', 'url', 'size', 'hash', 'title', 'creation', 'id', 'extension'].flatMap((name) => [
    name,
    `_${name}`,
  ]),
)

/** What has a `url` that is its name, and may have no other member than an attachment has. */
const NO_ATTACHMENT = new Set(['extension', 'modifierExtension'])

/** An object or array that has begun. */
interface Open {
  readonly isObject: boolean
  /** The member that it is the value of, or in the list of. */
  readonly name: string
  isAttachment: boolean
  contentType?: string
  url?: Place
}

interface Place {
  readonly start: number
  readonly end: number
}

interface Attachment extends Place {
  readonly url: string
  readonly contentType?: string
}

/** Finds the attachments in the value of a member that have an address, at any depth and without recursion. @throws MalformedRow */
const attachmentsIn = ({ bytes, text }: Row, member: string, start: number, end: number): readonly Attachment[] => {
  const found: Attachment[] = []
  const open: Open[] = []
  let name = member
  for (let at = skipBlanks(bytes, start); at < end; at = skipBlanks(bytes, at)) {
    const byte = bytes[at]
    const inner = open.at(-1)
    if (byte === OPENING_BRACE || byte === OPENING_BRACKET) {
      const isObject = byte === OPENING_BRACE
      open.push({ isObject, name: inner?.isObject === false ? inner.name : name, isAttachment: isObject })
      at += 1
    } else if (byte === CLOSING_BRACE || byte === CLOSING_BRACKET) {
      open.pop()
      if (inner?.url && inner.isAttachment && !NO_ATTACHMENT.has(inner.name)) {
        const { url, contentType } = inner
        const said = stringAt(text, bytes, url.start, url.end)
        found.push({ ...url, url: said, ...(contentType === undefined ? {} : { contentType }) })
      }
      at += 1
    } else if (byte === COMMA) at += 1
    else if (!inner?.isObject) at = endOfValue(bytes, at, end)
    else {
      const nameEnd = byte === QUOTE ? endOfString(bytes, at, end) : at
      const written = text.slice(at + 1, nameEnd - 1)
      name = written.includes('\\') ? stringAt(text, bytes, at, nameEnd) : written
      if (!MEMBERS.has(name)) inner.isAttachment = false
      at = skipBlanks(bytes, nameEnd)
      if (bytes[at] !== COLON) throw new MalformedRow('a row is not JSON')
      at = skipBlanks(bytes, at + 1)
      if (bytes[at] === OPENING_BRACE || bytes[at] === OPENING_BRACKET) continue
      const valueEnd = endOfValue(bytes, at, end)
      if (bytes[at] === QUOTE) {
        if (name === 'url') inner.url = { start: at, end: valueEnd }
        if (name === 'contentType') inner.contentType = stringAt(text, bytes, at, valueEnd)
      }
      at = valueEnd
    }
  }
  return found.toSorted((one, other) => one.start - other.start)
}

/** Only of the members in which one of the places lies; the resource itself is no attachment. */
const attachmentsOf = (row: Row, places: readonly number[]): readonly Attachment[] => {
  const found: (readonly Attachment[])[] = []
  let next = 0
  row.checkLength()
  eachRootMember(row.bytes, row.start, row.end, (start, nameEnd, valueStart, valueEnd) => {
    while ((places[next] ?? Infinity) <= valueStart) next += 1
    if ((places[next] ?? Infinity) < valueEnd)
      found.push(attachmentsIn(row, stringAt(row.text, row.bytes, start, nameEnd), valueStart, valueEnd))
  })
  return found.flat()
}

/** An address without a scheme that leads to a Binary. */
const RELATIVE = /^(?![A-Za-z][A-Za-z0-9+.-]*:)(?!\/\/)(?:[^?#]*\/)?Binary\//

const ENCODER = new TextEncoder()

/**
 * Addresses of attachments at the vendor become ours, through which the client's token gets it there. A relative one means nothing where
 * a file is read; it is taken as the vendor means it.
 *
 * @param places Where some may be, in their order. @throws MalformedRow also for a row that our addresses would make too long to be held.
 * @see Bulk Data Attachments [FI-14]
 */
export const attachmentEdits = async (
  row: Row,
  places: readonly number[],
  type: string,
  origins: ReadonlySet<string>,
  { vendorBases, attachmentUrl }: RowContext,
): Promise<readonly Edit[]> => {
  const edits: Edit[] = []
  let addedBytes = 0
  for (const { start, end, url, contentType } of attachmentsOf(row, places)) {
    const absolute = RELATIVE.test(url) ? URL.parse(url, `${vendorBases[0]}/`)?.href : url
    const origin = absolute === undefined ? undefined : URL.parse(absolute)?.origin
    if (absolute === undefined || origin === undefined || !origins.has(origin)) continue
    const ours = await attachmentUrl?.(absolute, { type, ...(contentType === undefined ? {} : { contentType }) })
    if (ours === undefined) continue
    const by = ENCODER.encode(JSON.stringify(ours))
    if ((addedBytes += by.length) > MAX_ROW_BYTES) throw new MalformedRow('a row has more attachments than may be held in memory')
    edits.push({ start, end, by })
  }
  return edits
}
