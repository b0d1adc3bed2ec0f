import { placesOf } from './byte-search.ts'
import { COMMA, eachRootMember, endOfString, OPENING_BRACE, OPENING_BRACKET, QUOTE, stringAt } from './json-scan.ts'
import { MalformedRow } from './row-program.ts'

/** A longer row is not looked into: a Worker has 128 MB, and what is parsed takes a multiple of its bytes. */
export const MAX_ROW_BYTES = 16 * 1024 * 1024

const UTF8 = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true })

/** One row of some bytes that hold many. Only one is looked at at a time, so that one object serves for all. */
export class Row {
  bytes: Uint8Array = new Uint8Array(0)
  /** {@link placesOf} the bytes. */
  text = ''
  start = 0
  /** Place of its newline. */
  end = 0
  /** Whether all of it is there. */
  isWhole = true
  #resource: Readonly<Record<string, unknown>> | undefined

  /** Turns to other bytes. */
  over(bytes: Uint8Array, isWhole = true): void {
    this.bytes = bytes
    this.text = placesOf(bytes)
    this.isWhole = isWhole
    this.at(0, bytes.length)
  }

  at(start: number, end: number): void {
    this.start = start
    this.end = end
    this.#resource = undefined
  }

  /** @throws MalformedRow when it is no JSON object, or too long to be parsed. */
  get resource(): Readonly<Record<string, unknown>> {
    this.checkLength()
    return (this.#resource ??= objectOf(parseAt(this, this.start, this.end)))
  }

  /** @throws MalformedRow when it is longer than what is looked into. */
  checkLength(): void {
    if (!this.isWhole || this.end - this.start > MAX_ROW_BYTES)
      throw new MalformedRow('a row is longer than may be held in memory')
  }
}

// eslint-disable-next-line no-control-regex
const BEYOND_ASCII = /[^\0-\x7f]/

/** Shorter ones cannot hold more values than there is memory for. */
const FEW_BYTES = 1024 * 1024
/** Commas and opening brackets of what is parsed: an empty object is three bytes of a row, and thirty of memory. */
export const MOST_VALUES = 500_000

/** @throws MalformedRow */
const checkValues = (bytes: Uint8Array, start: number, end: number): void => {
  let values = 0
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]
    if (byte === QUOTE) at = endOfString(bytes, at, end) - 1
    else if ((byte === COMMA || byte === OPENING_BRACE || byte === OPENING_BRACKET) && (values += 1) > MOST_VALUES)
      throw new MalformedRow('a row has more values than may be held in memory')
  }
}

/** A value within a row. @throws MalformedRow */
const parseAt = ({ bytes, text }: Row, start: number, end: number): unknown => {
  const written = text.slice(start, end)
  if (BEYOND_ASCII.test(written)) return parseJson(bytes.subarray(start, end))
  if (end - start > FEW_BYTES) checkValues(bytes, start, end)
  return parseText(written)
}

/** @throws MalformedRow */
export const parseJson = (bytes: Uint8Array): unknown => {
  if (bytes.length > FEW_BYTES) checkValues(bytes, 0, bytes.length)
  return parseText(UTF8.decode(bytes))
}

const parseText = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (cause) {
    // The error of the parser quotes what it read.
    throw new MalformedRow(cause instanceof SyntaxError ? 'a row is not JSON' : 'a row cannot be held in memory')
  }
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const objectOf = (value: unknown): Readonly<Record<string, unknown>> => {
  if (!isObject(value)) throw new MalformedRow('a row is not a JSON object')
  return value
}

/** Names of types that the program tells of; what else stands in their place is a vendor's text. */
const TYPE = /^[A-Za-z]{1,64}$/

/** @returns `undefined` for what is no resource: its type is missing or no name. */
export const typeOf = (resource: Readonly<Record<string, unknown>>): string | undefined => {
  const type = resource['resourceType']
  return typeof type === 'string' && TYPE.test(type) ? type : undefined
}

/**
 * A row's object with some of its members alone: the others are passed over unparsed. Of members that are repeated the last, as a parser
 * has it.
 *
 * @throws MalformedRow
 */
export const membersOf = (row: Row, names: ReadonlySet<string>): Readonly<Record<string, unknown>> => {
  row.checkLength()
  const { bytes, text } = row
  const members: Record<string, unknown> = {}
  eachRootMember(bytes, row.start, row.end, (start, nameEnd, valueStart, valueEnd) => {
    const written = text.slice(start + 1, nameEnd - 1)
    const name = written.includes('\\') ? stringAt(text, bytes, start, nameEnd) : written
    if (names.has(name)) members[name] = parseAt(row, valueStart, valueEnd)
  })
  return members
}

/**
 * A search within rows that are looked at in their order. What it found is remembered, so that rows that hold nothing do not each search
 * all that follow them.
 *
 * @returns Finds the next place in a row, or -1.
 */
export const search = (needle: string): ((row: Row, from: number) => number) => {
  let bytes: Uint8Array | undefined
  let searchedFrom = 0
  let found = -1
  return (row, from) => {
    if (row.bytes !== bytes || from < searchedFrom || (found !== -1 && found < from)) {
      found = row.text.indexOf(needle, from)
      bytes = row.bytes
      searchedFrom = from
    }
    return found < row.end ? found : -1
  }
}
