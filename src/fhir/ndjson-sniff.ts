/**
 * What the first bytes of an answer to a file request look like. `binary-resource` and `bundle` say that the first resource is one:
 * whether that is a wrapper or a line of a Binary or `deleted` file depends on the file's type, which the caller knows.
 */
export type Sniffed = 'ndjson' | 'gzip' | 'html' | 'binary-resource' | 'bundle' | 'other' | 'empty'

/**
 * Tells NDJSON from what vendors send instead. Content types are not to be trusted for it.
 *
 * @param firstBytes The start of the body as it came, before any decoding; a few hundred bytes do.
 * @returns `other` for anything else: JSON that is pretty-printed or no resource, XML, text.
 * @see Bulk Data Output File Request [FI-05]
 */
export const sniff = (firstBytes: Uint8Array): Sniffed => {
  if (firstBytes[0] === 0x1f && firstBytes[1] === 0x8b) return 'gzip'
  const text = startOf(firstBytes)
  if (text === '') return 'empty'
  if (/^<(!doctype html|!--|html|head|body)/i.test(text)) return 'html'
  if (!text.startsWith('{')) return 'other'
  const { type, complete } = firstObject(text)
  if (type === 'Binary') return 'binary-resource'
  if (type === 'Bundle') return 'bundle'
  // A line break right behind the brace is indentation, and an object that has ended without a type is no resource
  return /^\{\s*\n/.test(text) || (complete && type === undefined) ? 'other' : 'ndjson'
}

/**
 * The `resourceType` of the first resource, also when it is not its first member. Types of contained resources do not count.
 *
 * @param firstBytes The start of a file; a byte order mark and blanks before the resource do not matter.
 * @returns `undefined` when it does not stand within these bytes, or they are no JSON object.
 * @see Bulk Data Manifest, `output.type` [MF-06]
 */
export const resourceTypeOfFirstLine = (firstBytes: Uint8Array): string | undefined => firstObject(startOf(firstBytes)).type

/** Text without byte order mark and leading blanks. A character that is cut at the end does no harm. */
const startOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).trimStart()

/** Strings and brackets of JSON. A string that is cut off matches up to the end. */
const TOKEN = /"(?:[^"\\]|\\.)*"?|[{}[\]]/gs

const firstObject = (text: string): { readonly type?: string; readonly complete: boolean } => {
  if (!text.startsWith('{')) return { complete: false }
  let depth = 0
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') depth += 1
    else if (token === '}' || token === ']') depth -= 1
    else if (depth === 1 && token === '"resourceType"') {
      const type = /^\s*:\s*"([A-Za-z]+)"/.exec(text.slice(index + token.length))?.[1]
      if (type !== undefined) return { type, complete: false }
    }
    if (depth === 0) return { complete: true }
  }
  return { complete: false }
}
