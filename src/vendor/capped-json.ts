import { ExportError } from '../errors.ts'

/** Of objects and lists within each other; a FHIR resource has about ten. */
export const MAX_JSON_DEPTH = 64
/** Values take several times the memory of their text: so many, all told, leave a Worker room to live. */
export const MAX_JSON_VALUES = 1_000_000
/** Of one string in what a job's exchanges carry: two of them, at their longest on disk, fit a row. */
export const MAX_STRING_LENGTH = 128 * 1024

const QUOTE = 34
const COMMA = 44
const BACKSLASH = 92
const OPENERS = new Set([91, 123])
const CLOSERS = new Set([93, 125])

const refuse = (what: string): never => {
  throw new ExportError('vendor_answer_invalid', `The source's server sent JSON ${what}.`)
}

/** Where a string ends that begins at `from`, the quotes at either side left out. A string that is cut off ends with the text. */
const endOfString = (text: string, from: number): number => {
  for (let end = text.indexOf('"', from); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (end - 1 - escapes >= from && text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes += 1
    if (escapes % 2 === 0) return end
  }
  return text.length
}

/**
 * Parses JSON of a stranger's. It is measured first, in one pass and without recursion, so that what is too deep or too much is never
 * built.
 *
 * @param maxStringLength UTF-16 units.
 * @throws ExportError `vendor_answer_invalid` for what is too deep, too much or too long; SyntaxError for what is no JSON.
 */
export const parseCappedJson = (text: string, maxStringLength = Infinity): unknown => {
  let depth = 0
  let values = 1
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      const end = endOfString(text, at + 1)
      if (end - at - 1 > maxStringLength) refuse(`with a string of more than ${maxStringLength} characters`)
      at = end
    } else if (OPENERS.has(code)) {
      depth += 1
      values += 1
      if (depth > MAX_JSON_DEPTH) refuse(`that is nested more than ${MAX_JSON_DEPTH} levels deep`)
    } else if (CLOSERS.has(code)) depth -= 1
    else if (code === COMMA) values += 1
    if (values > MAX_JSON_VALUES) refuse(`with more than ${MAX_JSON_VALUES} values`)
  }
  return JSON.parse(text) as unknown
}
