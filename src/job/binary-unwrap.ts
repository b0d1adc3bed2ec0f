import { Base64Decoder } from './base64.ts'
import { CutOff, MalformedFile } from './file-errors.ts'

/* A file that comes in a FHIR Binary, as JSON or XML: its bytes are those of `data`, decoded as they come [N-27]. */

/** What stands before `data`, or behind it. Ids, a type and a few extensions; a file would be longer. */
const MAX_FRAME_BYTES = 64 * 1024

const BACKSLASH = 92
const AMPERSAND = 38
const SEMICOLON = 59

/** Strings and brackets. A string that is cut off matches up to the end. */
const TOKEN = /"(?:[^"\\]|\\.)*"?|[{}[\]]/gs
/** Members of a Binary that may come before `data` where its type comes after. */
const UNTYPED_JSON = /^\s*\{(?:\s*"(?:id|contentType)"\s*:\s*"[^"\\]*"\s*,)*\s*"data"\s*:\s*"/
const XML = /^\s*(?:<\?xml[^>]*\?>\s*)?<Binary[\s>]/
const XML_DATA = /<data\s(?:[^<>"']|"[^"]*"|'[^']*')*?\bvalue\s*=\s*(["'])/

// One character for each byte, so that places in the text are places in the bytes; the labels for it all mean windows-1252.
const LATIN = new TextDecoder('latin1')

/** Whether the first bytes of a file are a Binary although nothing in them says so in the usual way. */
export const looksWrapped = (head: Uint8Array): boolean => {
  const text = LATIN.decode(head).replace(/^\u00ef\u00bb\u00bf/, '')
  return XML.test(text) || UNTYPED_JSON.test(text)
}

/** The media type that a Binary says its data are, if it does before them. */
export const contentTypeIn = (head: Uint8Array): string | undefined => {
  const text = LATIN.decode(head)
  const frame = text.slice(0, frameOf(text).start)
  return (/"contentType"\s*:\s*"([^"]*)"/.exec(frame) ??
    /<contentType\s[^>]*?\bvalue\s*=\s*["']([^"']*)["']/.exec(frame))?.[1]?.replaceAll('\\/', '/')
}

interface Frame {
  /** Where the text of `data` begins; `undefined` while it has not come. */
  readonly start?: number
  readonly quote: '"' | "'"
  readonly isXml: boolean
  /** The resource has ended. */
  readonly isOver: boolean
}

const frameOf = (text: string): Frame => {
  if (text.trimStart().startsWith('<')) {
    const found = XML_DATA.exec(text)
    const isOver = text.includes('</Binary>')
    return found
      ? { start: found.index + found[0].length, quote: found[1] === "'" ? "'" : '"', isXml: true, isOver }
      : { quote: '"', isXml: true, isOver }
  }
  let depth = 0
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') depth += 1
    else if (token === '}' || token === ']') depth -= 1
    else if (depth === 1 && token === '"data"') {
      const value = /^\s*:\s*"/.exec(text.slice(index + token.length, index + token.length + 256))
      if (value) return { start: index + token.length + value[0].length, quote: '"', isXml: false, isOver: false }
    }
    if (depth === 0) return { quote: '"', isXml: false, isOver: true }
  }
  return { quote: '"', isXml: false, isOver: false }
}

/** What follows `data` ends the one resource, and nothing comes after it: else it was a file of many. @throws CutOff, MalformedFile */
const checkEnd = (tail: string, isXml: boolean): void => {
  if (isXml) {
    if (!tail.includes('</Binary>')) throw new CutOff('ends within a Binary')
    return
  }
  let depth = 1
  for (const { 0: token, index } of tail.matchAll(TOKEN)) {
    if (token === '{' || token === '[') depth += 1
    else if (token === '}' || token === ']') depth -= 1
    if (depth > 0) continue
    if (/^\s*$/.test(tail.slice(index + 1))) return
    throw new MalformedFile('is more than one Binary')
  }
  throw new CutOff('ends within a Binary')
}

/** The characters of `data`: escapes of JSON and references of XML made what they stand for. */
class DataText {
  readonly #decoder = new Base64Decoder()
  readonly #quote: number
  readonly #mark: number
  /** An escape that has begun. */
  #escape = ''
  isOver = false
  #buffer = new Uint8Array(0)

  constructor(quote: string, isXml: boolean) {
    this.#quote = quote.charCodeAt(0)
    this.#mark = isXml ? AMPERSAND : BACKSLASH
  }

  /** @returns The decoded bytes, good until the next are pushed, and how many of these were taken. */
  push(chunk: Uint8Array): { readonly bytes: Uint8Array; readonly taken: number } {
    const mostBytes = Math.ceil(chunk.byteLength / 4) * 3 + 3
    // One buffer for all: garbage of this kind is collected too late to keep memory flat.
    if (this.#buffer.byteLength < mostBytes) this.#buffer = new Uint8Array(mostBytes)
    const bytes = this.#buffer
    let length = 0
    let at = 0
    let mark = chunk.indexOf(this.#mark)
    const quote = chunk.indexOf(this.#quote)
    while (at < chunk.byteLength && !this.isOver) {
      if (this.#escape !== '') {
        this.#escape += String.fromCharCode(chunk[at] ?? 0)
        at += 1
        const meant = meaningOf(this.#escape)
        if (meant === undefined) continue
        this.#escape = ''
        length = this.#decoder.push(Uint8Array.of(meant), bytes, length)
        continue
      }
      if (mark !== -1 && mark < at) mark = chunk.indexOf(this.#mark, at)
      const end = Math.min(mark === -1 ? Infinity : mark, quote === -1 ? Infinity : quote, chunk.byteLength)
      length = this.#decoder.push(chunk.subarray(at, end), bytes, length)
      at = end + 1
      if (end === quote) this.isOver = true
      else if (end === mark) this.#escape = String.fromCharCode(this.#mark)
    }
    if (this.isOver) this.#decoder.end()
    return { bytes: bytes.subarray(0, length), taken: Math.min(at, chunk.byteLength) }
  }
}

const BLANK = 32
const JSON_ESCAPES: Readonly<Record<string, number>> = { '/': 47, n: BLANK, r: BLANK, t: BLANK }

/** The character that an escape stands for; `undefined` while it has not ended. @throws MalformedFile for one that base64 has no use for. */
const meaningOf = (escape: string): number | undefined => {
  const isXml = escape.charCodeAt(0) === AMPERSAND
  if (escape.length > 8) throw new MalformedFile('is a Binary whose data is no base64')
  if (isXml) {
    if (escape.charCodeAt(escape.length - 1) !== SEMICOLON) return undefined
    const [, hex, decimal] = /^&#(?:x([0-9a-f]+)|(\d+));$/i.exec(escape) ?? []
    return asciiOf(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16))
  }
  if (escape[1] !== 'u') return JSON_ESCAPES[escape[1] ?? ''] ?? asciiOf(Number.NaN)
  return escape.length < 6 ? undefined : asciiOf(Number.parseInt(escape.slice(2), 16))
}

const asciiOf = (code: number): number => {
  if (code >= 0 && code < 128) return code
  throw new MalformedFile('is a Binary whose data is no base64')
}

const joined = (first: Uint8Array, second: Uint8Array): Uint8Array => {
  const both = new Uint8Array(first.byteLength + second.byteLength)
  both.set(first)
  both.set(second, first.byteLength)
  return both
}

/**
 * The bytes that a Binary wraps, never held whole.
 *
 * @throws MalformedFile when it has no `data`, no base64 there, or is not one Binary alone; CutOff when it ends before its end.
 */
export async function* unwrapped(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  let frame: Uint8Array = new Uint8Array(0)
  let isXml = false
  let text: DataText | undefined
  for await (const chunk of chunks) {
    let rest = chunk
    if (!text) {
      frame = joined(frame, chunk)
      const found = frameOf(LATIN.decode(frame).replace(/^\u00ef\u00bb\u00bf/, '   '))
      if (found.start === undefined) {
        if (found.isOver || frame.byteLength > MAX_FRAME_BYTES) throw new MalformedFile('is a Binary without data')
        continue
      }
      ;({ isXml } = found)
      text = new DataText(found.quote, isXml)
      rest = frame.subarray(found.start)
      frame = new Uint8Array(0)
    }
    if (!text.isOver) {
      const { bytes, taken } = text.push(rest)
      if (bytes.byteLength > 0) yield bytes
      rest = rest.subarray(taken)
    }
    if (text.isOver && rest.byteLength > 0) frame = joined(frame, rest)
    if (frame.byteLength > MAX_FRAME_BYTES) throw new MalformedFile('is more than one Binary')
  }
  if (!text?.isOver) throw new CutOff('ends within a Binary')
  checkEnd(LATIN.decode(frame), isXml)
}
