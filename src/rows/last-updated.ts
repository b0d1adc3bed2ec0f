import { isInstant } from '../fhir/instant.ts'
import { eachMember, eachRootMember, OPENING_BRACE, QUOTE, stringAt } from './json-scan.ts'
import { search, type Row } from './row.ts'

/** How most servers begin a resource. */
const USUAL = /\{"resourceType":"\w+","id":"[^"\\]*","meta":\{(?:"versionId":"[^"\\]*",)?"lastUpdated":"([^"\\]*)"/y

/**
 * Lets out what changed after and before; and what does not tell when it changed, since no one can say that it did not.
 *
 * @see Bulk Data Kick-off, `_since`, `_until` [PA-02, PA-04]
 */
export const passesTime = (sinceMs = -Infinity, untilMs = Infinity): ((row: Row) => boolean) => {
  const isWithin = (instant: string | undefined): boolean => {
    const readMs = instant === undefined ? NaN : Date.parse(instant)
    // An instant with digits beyond milliseconds lies between two of them.
    const atMs = (readMs === sinceMs || readMs === untilMs) && /\.\d{3}\d*[1-9]/.test(instant ?? '') ? readMs + 0.5 : readMs
    // What a parser takes for a date need not be an instant; it is asked only where it matters.
    return Number.isNaN(atMs) || (atMs > sinceMs && atMs < untilMs) || !isInstant(instant)
  }
  const nextMeta = search('meta"')
  const nextNumbered = search('\\u')
  return (row) => {
    USUAL.lastIndex = row.start
    const usual = USUAL.exec(row.text)?.[1]
    if (usual === undefined) return isWithin(lastUpdatedOf(row))
    // What the start says counts unless it is said twice, which is looked for only where a row would be left out.
    if (isWithin(usual)) return true
    const mayRepeat = !row.isWhole || nextMeta(row, USUAL.lastIndex) !== -1 || nextNumbered(row, USUAL.lastIndex) !== -1
    return mayRepeat && isWithin(lastUpdatedOf(row))
  }
}

/** `meta.lastUpdated`, wherever it stands; of members that are repeated the last, as a parser has it. @throws MalformedRow */
const lastUpdatedOf = (row: Row): string | undefined => {
  row.checkLength()
  const { bytes, text } = row
  let found: string | undefined
  eachRootMember(bytes, row.start, row.end, (start, nameEnd, valueStart) => {
    if (stringAt(text, bytes, start, nameEnd) !== 'meta') return
    found = undefined
    if (bytes[valueStart] !== OPENING_BRACE) return
    eachMember(bytes, valueStart, row.end, (metaStart, metaNameEnd, at, end) => {
      if (stringAt(text, bytes, metaStart, metaNameEnd) === 'lastUpdated')
        found = bytes[at] === QUOTE ? stringAt(text, bytes, at, end) : undefined
    })
  })
  return found
}
