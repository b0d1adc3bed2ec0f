import { MalformedRow } from './row-program.ts'

export const QUOTE = 34
export const COMMA = 44
export const COLON = 58
export const BACKSLASH = 92
export const OPENING_BRACKET = 91
export const CLOSING_BRACKET = 93
export const OPENING_BRACE = 123
export const CLOSING_BRACE = 125

/** Set in a brace and not in the bracket of the same side, which is otherwise the same byte. */
const BRACE_BIT = 32

const isBlank = (byte: number | undefined): boolean => byte === 32 || byte === 9 || byte === 10 || byte === 13

/** @returns Place of the first byte that is no white space. */
export const skipBlanks = (bytes: Uint8Array, at: number): number => {
  while (isBlank(bytes[at])) at += 1
  return at
}

/**
 * @param at Place of the opening quote.
 * @returns Place after the closing one. @throws MalformedRow when there is none before `end`.
 */
export const endOfString = (bytes: Uint8Array, at: number, end: number): number => {
  for (let place = at + 1; place < end; place += 1) {
    const byte = bytes[place]
    if (byte === QUOTE) return place + 1
    if (byte === BACKSLASH) place += 1
  }
  throw new MalformedRow('a row is not JSON')
}

/**
 * Passes over a value of any depth, without recursion and without looking at more than its brackets and quotes.
 *
 * @returns Place after it. @throws MalformedRow when it does not end before `end`.
 */
export const endOfValue = (bytes: Uint8Array, at: number, end: number): number => {
  const first = bytes[at]
  if (first === QUOTE) return endOfString(bytes, at, end)
  let place = at
  if (first === OPENING_BRACE || first === OPENING_BRACKET) {
    let depth = 0
    for (; place < end; place += 1) {
      const byte = bytes[place] ?? 0
      if (byte === QUOTE) place = endOfString(bytes, place, end) - 1
      else if ((byte | BRACE_BIT) === OPENING_BRACE) depth += 1
      else if ((byte | BRACE_BIT) === CLOSING_BRACE && (depth -= 1) === 0) return place + 1
    }
  } else {
    while (place < end && bytes[place] !== COMMA && bytes[place] !== CLOSING_BRACE && !isBlank(bytes[place])) place += 1
    if (place > at) return place
  }
  throw new MalformedRow('a row is not JSON')
}

/** A member of an object: from the opening quote of its name to the end of its value. */
export type VisitMember = (start: number, nameEnd: number, valueStart: number, valueEnd: number) => void

/**
 * Tells the members of an object, in their order.
 *
 * @param at Place of the opening brace. @returns Place after the closing one. @throws MalformedRow
 */
export const eachMember = (bytes: Uint8Array, at: number, end: number, visit: VisitMember): number => {
  let place = skipBlanks(bytes, at + 1)
  if (bytes[at] !== OPENING_BRACE) throw new MalformedRow('a row is not a JSON object')
  if (bytes[place] === CLOSING_BRACE) return place + 1
  for (;;) {
    if (bytes[place] !== QUOTE) throw new MalformedRow('a row is not JSON')
    const nameEnd = endOfString(bytes, place, end)
    const colon = skipBlanks(bytes, nameEnd)
    if (bytes[colon] !== COLON) throw new MalformedRow('a row is not JSON')
    const valueStart = skipBlanks(bytes, colon + 1)
    const valueEnd = endOfValue(bytes, valueStart, end)
    visit(place, nameEnd, valueStart, valueEnd)
    place = skipBlanks(bytes, valueEnd)
    if (bytes[place] === CLOSING_BRACE) return place + 1
    if (bytes[place] !== COMMA) throw new MalformedRow('a row is not JSON')
    place = skipBlanks(bytes, place + 1)
  }
}

/** Tells the members of a row's object. @throws MalformedRow also for what follows it. */
export const eachRootMember = (bytes: Uint8Array, start: number, end: number, visit: VisitMember): void => {
  const after = eachMember(bytes, skipBlanks(bytes, start), end, visit)
  if (after > end || skipBlanks(bytes, after) < end) throw new MalformedRow('a row is not JSON')
}

/** What a string of JSON says. @param text Its bytes, one code unit each, with its quotes. @throws MalformedRow */
export const stringAt = (text: string, bytes: Uint8Array, start: number, end: number): string => {
  const plain = text.slice(start + 1, end - 1)
  if (!NEEDS_DECODING.test(plain)) return plain
  try {
    return JSON.parse(new TextDecoder().decode(bytes.subarray(start, end))) as string
  } catch {
    throw new MalformedRow('a row is not JSON')
  }
}

// eslint-disable-next-line no-control-regex
const NEEDS_DECODING = /[^\x20-\x5b\x5d-\x7e]/
