import { MalformedRow } from './row-program.ts'
import type { Test } from './search-path.ts'
import { isRecord } from './search-path.ts'

const PLAIN = /^[A-Za-z0-9]+( [A-Za-z0-9]+)*$/

/** Of any text that is searched: folding takes a multiple of it, and what is longer is no name, address or title. */
const MOST_CHARS = 1024 * 1024

/** @throws MalformedRow */
const checked = (text: string): string => {
  if (text.length > MOST_CHARS) throw new MalformedRow('a row has a text that is too long to be searched')
  return text
}

/** Without case, combining characters, punctuation and white space that says nothing. */
const folded = (text: string): string =>
  (PLAIN.test(text)
    ? text
    : text
        .normalize('NFD')
        .replace(/[\p{M}\p{P}]/gu, '')
        .replace(/\s+/g, ' ')
        .trim()
  ).toUpperCase()

const PARTS = 'text family given prefix suffix line city district state postalCode country'.split(' ')

/** Asks for each text of a HumanName or an Address, or for the text itself. */
const anyText =
  (test: (text: string) => boolean, familyTest = test): Test =>
  (value) => {
    if (typeof value === 'string') return test(value)
    if (!isRecord(value)) return false
    return PARTS.some((part) => {
      const held = value[part]
      if (typeof held === 'string') return (part === 'family' ? familyTest : test)(held)
      return Array.isArray(held) && held.some((each) => typeof each === 'string' && test(each))
    })
  }

/** A family name, and where in it each of its parts begins. In one pass, since what a row holds may be long. */
const partsOf = (text: string): { readonly name: string; readonly starts: readonly number[] } => {
  const pieces: string[] = []
  const starts: number[] = []
  let length = 0
  for (const [index, piece] of text.split(/([\s-]+)/).entries()) {
    const isWord = index % 2 === 0
    const isGap = !isWord && /\s/.test(piece) && length > 0 && pieces.at(-1) !== ' '
    const kept = isWord ? folded(piece) : isGap ? ' ' : ''
    if (kept === '') continue
    if (isWord) starts.push(length)
    pieces.push(kept)
    length += kept.length
  }
  return { name: pieces.join(''), starts }
}

/**
 * A search value of a string parameter: matches what begins with it.
 *
 * @param modifier `exact` compares the whole character by character, `contains` looks anywhere.
 * @param isFamily Whether the text itself is a family name, of which any part may begin with the value.
 * @returns `undefined` when nothing of the value is left to compare.
 * @see https://hl7.org/fhir/R4/search.html#string
 */
export const textTest = (value: string, modifier?: 'exact' | 'contains', isFamily = false): Test | undefined => {
  if (modifier === 'exact') return anyText((text) => text === value)
  const wanted = folded(value)
  if (wanted === '') return undefined
  if (modifier === 'contains') return anyText((text) => folded(checked(text)).includes(wanted))
  const begins = (text: string): boolean => folded(checked(text)).startsWith(wanted)
  const partBegins = (text: string): boolean => {
    const { name, starts } = partsOf(checked(text))
    return starts.some((start) => name.startsWith(wanted, start))
  }
  return anyText(isFamily ? partBegins : begins, partBegins)
}
