import { textTest } from './search-string.ts'
import type { Test } from './search-path.ts'
import { isRecord } from './search-path.ts'

/** Splits at a separator that no backslash makes part of the value. Escapes stay in the parts. */
export const splitUnescaped = (text: string, separator: ',' | '|'): readonly string[] => {
  const parts = ['']
  for (const [piece] of text.matchAll(/\\.|[^\\]|\\$/gsu)) {
    if (piece === separator) parts.push('')
    else parts[parts.length - 1] += piece
  }
  return parts
}

/** @see https://hl7.org/fhir/R4/search.html#escaping */
export const unescaped = (text: string): string => text.replace(/\\([\\,$|])/g, '$1')

interface Code {
  readonly system: unknown
  readonly code: unknown
}

/** Asks for each pair of system and code of a Coding, CodeableConcept, Identifier, ContactPoint or primitive. */
const anyCode = (value: unknown, test: (code: Code) => boolean): boolean => {
  if (!isRecord(value)) return test({ system: undefined, code: String(value) })
  const { coding, system, code } = value
  if (Array.isArray(coding)) return coding.some((each: unknown) => isRecord(each) && anyCode(each, test))
  return test({ system, code: code ?? value['value'] })
}

/**
 * A search value of a token parameter without a modifier, or with `:not`.
 *
 * @param isExact Whether case counts, as for FHIR's own codes and ids. That of other codes is in doubt, and then it does not.
 * @returns `undefined` when the value names nothing.
 * @see https://hl7.org/fhir/R4/search.html#token
 */
export const tokenTest = (value: string, isExact = false): Test | undefined => {
  const parts = splitUnescaped(value, '|').map(unescaped)
  const [code = '', system] = parts.toReversed()
  if (parts.length > 2 || (code === '' && (system ?? '') === '')) return undefined
  const folded = code.toLowerCase()
  const isCode = (candidate: unknown): boolean =>
    candidate === code || (!isExact && typeof candidate === 'string' && candidate.toLowerCase() === folded)
  return (candidate) =>
    anyCode(
      candidate,
      (each) =>
        (system === undefined || each.system === (system === '' ? undefined : system)) && (code === '' || isCode(each.code)),
    )
}

/** `:of-type`: an Identifier by a coding of its type, and its value. All three parts must be there. */
export const ofTypeTest = (value: string): Test | undefined => {
  const [system = '', code = '', number = '', ...more] = splitUnescaped(value, '|')
  if (system === '' || code === '' || number === '' || more.length > 0) return undefined
  const isType = tokenTest(`${system}|${code}`)
  const isNumber = tokenTest(number)
  return (candidate) => isRecord(candidate) && isType?.(candidate['type']) === true && isNumber?.(candidate['value']) === true
}

/** `:text`: the words that go with a code, searched as a string. */
export const tokenTextTest = (value: string): Test | undefined => {
  const isText = textTest(value)
  return (
    isText &&
    ((candidate) => {
      if (!isRecord(candidate)) return false
      const { text, display, coding, type } = candidate
      if ([text, display, isRecord(type) ? type['text'] : undefined].some(isText)) return true
      return Array.isArray(coding) && coding.some((each) => isRecord(each) && isText(each['display']))
    })
  )
}
