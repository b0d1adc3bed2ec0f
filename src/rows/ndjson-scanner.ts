import { resourceTypeOfFirstLine } from '../fhir/ndjson-sniff.ts'
import { holds } from './byte-search.ts'

const LF = 10
const CR = 13
const SPACE = 32
const TAB = 9
const CLOSING_BRACE = 125
const BOM: readonly number[] = [0xef, 0xbb, 0xbf]
const NEWLINE = Uint8Array.of(LF)
const NOTHING = new Uint8Array(0)
/** What no clean bytes hold: a CR, and lines that are empty or begin with a blank. */
const UNCLEAN = ['\r', '\n\n', '\n ', '\n\t']

/** Enough to find the type of a first line, and nothing beside a file. */
const HEAD_BYTES = 4_096

/**
 * Makes a stream of bytes clean NDJSON and counts its lines, without parsing: a byte order mark, every CR, blanks at the start of
 * a line and blank lines go, a missing final newline comes. However the bytes are cut into chunks, the result is the same.
 *
 * Bytes that are clean already are handed on as they are.
 *
 * @see Bulk Data Output File Request [FI-05, MF-08]
 */
export class NdjsonScanner {
  #lines = 0
  #changed = false
  /** Nothing of the current line has been kept yet. */
  #atLineStart = true
  /** The start of a byte order mark that the next chunk may complete; `undefined` once past it. */
  #bom: Uint8Array | undefined = NOTHING
  #head: Uint8Array = NOTHING
  /** The last byte that is not white space. */
  #last: number | undefined

  readonly #counts: boolean

  /**
   * @param goesOn For a source that is taken up in its midst: whether what came before ended a line. Omitted: it begins.
   * @param counts False where somebody else counts the lines.
   */
  constructor(goesOn?: { readonly atLineStart: boolean }, counts = true) {
    this.#counts = counts
    if (goesOn === undefined) return
    this.#atLineStart = goesOn.atLineStart
    this.#bom = undefined
  }

  /** Lines kept so far that have their newline; after {@link end} all of them. Of no meaning where they are not counted. */
  get lines(): number {
    return this.#lines
  }

  /** True when what came out is not byte for byte what went in, so that the length and digest of the source do not hold. */
  get changed(): boolean {
    return this.#changed
  }

  /** The first kilobytes as they went in. */
  get head(): Uint8Array {
    return this.#head
  }

  /** Type of the first resource; `undefined` while or when it cannot be told. */
  get firstLineType(): string | undefined {
    return resourceTypeOfFirstLine(this.#head)
  }

  /**
   * Takes the next bytes of the source.
   *
   * @returns The clean bytes: the same object when there was nothing to do, possibly empty otherwise. Valid as long as the chunk is.
   */
  push(chunk: Uint8Array): Uint8Array {
    if (chunk.length === 0) return chunk
    if (this.#head.length < HEAD_BYTES) this.#head = joined(this.#head, chunk.subarray(0, HEAD_BYTES - this.#head.length))
    const bytes = this.#bom === undefined ? chunk : this.#withoutBom(chunk, this.#bom)
    this.#last = lastOf(bytes) ?? this.#last
    return this.#passes(bytes) ? bytes : this.#cleaned(bytes)
  }

  /** True when the source, if it ended now, would end within a line: without a newline, and not with the brace of an object. */
  get isTorn(): boolean {
    return !this.#atLineStart && this.#last !== undefined && this.#last !== CLOSING_BRACE
  }

  /**
   * Takes the end of the source.
   *
   * @returns The newline that its last line lacked; `undefined` when it lacked none.
   */
  end(): Uint8Array | undefined {
    // One or two bytes of a mark that never became one; they are no JSON, but not ours to drop
    const rest = this.#bom ?? NOTHING
    this.#bom = undefined
    if (rest.length === 0 && this.#atLineStart) return undefined
    this.#lines += 1
    this.#changed = true
    this.#atLineStart = true
    return joined(rest, NEWLINE)
  }

  #withoutBom(chunk: Uint8Array, held: Uint8Array): Uint8Array {
    const bytes = held.length === 0 ? chunk : joined(held, chunk)
    let matched = 0
    while (matched < BOM.length && bytes[matched] === BOM[matched]) matched += 1
    if (matched === bytes.length && matched < BOM.length) {
      this.#bom = bytes.slice()
      return NOTHING
    }
    this.#bom = undefined
    if (matched < BOM.length) return bytes
    this.#changed = true
    return bytes.subarray(BOM.length)
  }

  /** Counts the lines of bytes that need no change; false, and nothing counted, when they need one. */
  #passes(bytes: Uint8Array): boolean {
    if (bytes.length === 0) return true
    if ((this.#atLineStart && isBlank(bytes[0])) || UNCLEAN.some((text) => holds(bytes, text))) return false
    if (this.#counts) for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) this.#lines += 1
    this.#atLineStart = bytes.at(-1) === LF
    return true
  }

  /** Copies what is to be kept, in runs up to the next newline or CR. */
  #cleaned(bytes: Uint8Array): Uint8Array {
    const clean = new Uint8Array(bytes.length)
    let length = 0
    let newline = bytes.indexOf(LF)
    let carriageReturn = bytes.indexOf(CR)
    for (let at = 0; at < bytes.length;) {
      if (this.#atLineStart && isBlank(bytes[at])) {
        at += 1
        continue
      }
      if (newline !== -1 && newline < at) newline = bytes.indexOf(LF, at)
      if (carriageReturn !== -1 && carriageReturn < at) carriageReturn = bytes.indexOf(CR, at)
      const lineEnd = newline === -1 ? bytes.length : newline + 1
      const endsInCr = carriageReturn !== -1 && carriageReturn < lineEnd
      const runEnd = endsInCr ? carriageReturn : lineEnd
      clean.set(bytes.subarray(at, runEnd), length)
      length += runEnd - at
      this.#atLineStart = !endsInCr && newline !== -1
      if (this.#atLineStart) this.#lines += 1
      at = endsInCr ? runEnd + 1 : runEnd
    }
    this.#changed = true
    return clean.subarray(0, length)
  }
}

/** White space of JSON; `undefined` past the end is none. */
const isBlank = (byte: number | undefined): boolean => byte === LF || byte === CR || byte === SPACE || byte === TAB

/** The last byte that is not white space. */
const lastOf = (bytes: Uint8Array): number | undefined => {
  let at = bytes.length - 1
  while (at >= 0 && isBlank(bytes[at])) at -= 1
  return bytes[at]
}

const joined = (first: Uint8Array, second: Uint8Array): Uint8Array => {
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}
