import { attachmentEdits } from './attachments.ts'
import { passesPatients, passesProvenance } from './compartment.ts'
import { cutAtRows, type Piece } from './cut.ts'
import { Editor, mergedEdits, type Edit } from './edits.ts'
import { prune } from './elements.ts'
import { passesTime } from './last-updated.ts'
import { LongRow } from './long-row.ts'
import { VendorAddresses } from './references.ts'
import { MalformedRow, type RowContext, type RowFile, type RowProgram } from './row-program.ts'
import type { RowWork } from './row-work.ts'
import { Row, typeOf } from './row.ts'
import { compileTypeFilters } from './type-filter.ts'

/** Bytes that are looked at at a time: their text is small enough to be garbage that costs nothing. */
const WINDOW_BYTES = 48 * 1024
const LF = 10
const USUAL_TYPE = /\{"resourceType":"([A-Za-z]{1,64})"/y
const HEADER = 'Parameters'
/** More types than a file holds by mistake. */
const MOST_OTHER_TYPES = 100

/**
 * Rows of resources. What is done to them is found as edits of their bytes, so that what stays is what came, digit for digit, and a block
 * in which nothing is to be done is handed on as it is.
 *
 * A row is parsed only for what cannot be told without: whom it belongs to when a patient who is asked for is named in it, and search
 * filters.
 */
export class OutputRows implements RowProgram {
  readLines = 0
  lines = 0
  isChanged = false
  readonly otherTypes = new Set<string>()
  readonly #work: RowWork
  readonly #context: RowContext
  readonly #addresses: VendorAddresses
  readonly #row = new Row()
  readonly #editor = new Editor()
  #type: string | undefined
  #usualStart: string | undefined
  #tests: readonly ((row: Row) => boolean)[] = []
  #prune: ((row: Row, edits: Edit[]) => void) | undefined
  /** The row that passes in parts; `left out` when it is dropped in parts. */
  #longRow: LongRow | 'left out' | undefined

  readonly #isMixed: boolean

  constructor(work: RowWork, { type, isMixed }: RowFile, context: RowContext) {
    this.#work = work
    this.#context = context
    this.#isMixed = isMixed === true
    this.#addresses = new VendorAddresses(context.vendorBases, context.attachmentUrl !== undefined)
    if (type !== undefined) this.#expect(type)
  }

  async *run(blocks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of cutAtRows(blocks)) {
      if (piece.part !== undefined) {
        yield* this.#part(piece)
        continue
      }
      const bytes = await this.#wholeRows(piece.bytes)
      if (bytes.length > 0) yield bytes
    }
  }

  /** Everything that depends on the type alone. */
  #expect(type: string): void {
    const { sinceMs, untilMs, patients, typeFilter, provenanceOf, elements } = this.#work
    const { vendorBases } = this.#context
    this.#type = type
    this.#usualStart = `{"resourceType":"${type}"`
    const filter = typeFilter && compileTypeFilters(typeFilter, vendorBases).get(type)
    this.#tests = [
      sinceMs !== undefined || untilMs !== undefined ? passesTime(sinceMs, untilMs) : undefined,
      patients && passesPatients(type, patients, vendorBases),
      provenanceOf && type === 'Provenance' ? passesProvenance(provenanceOf) : undefined,
      filter && ((row: Row) => filter(row.resource)),
    ].filter((test) => test !== undefined)
    this.#prune = elements && prune(type, elements)
  }

  async #wholeRows(bytes: Uint8Array): Promise<Uint8Array> {
    const edits: Edit[] = []
    const mayHoldAddresses = this.#addresses.mayBeIn(bytes)
    for (let from = 0; from < bytes.length;) {
      const until = endOfWindow(bytes, from)
      const here = this.#window(bytes.subarray(from, until), mayHoldAddresses)
      // Only what may be an attachment has to be waited for.
      for (const { start, end, by } of here instanceof Promise ? await here : here) {
        const last = edits.at(-1)
        if (!by && last && !last.by && last.end === from + start) edits[edits.length - 1] = { start: last.start, end: from + end }
        else edits.push({ start: from + start, end: from + end, ...(by ? { by } : {}) })
      }
      from = until
    }
    if (edits.length > 0) this.isChanged = true
    return this.#editor.apply(bytes, edits)
  }

  #window(bytes: Uint8Array, mayHoldAddresses: boolean): readonly Edit[] | Promise<readonly Edit[]> {
    const row = this.#row
    row.over(bytes)
    const edits: Edit[] = []
    const { text } = row
    let { rows: passed, end: start } = this.#usualRows(text)
    this.readLines += passed
    while (start < bytes.length) {
      const newline = text.indexOf('\n', start)
      const end = newline === -1 ? bytes.length : newline
      const next = Math.min(end + 1, bytes.length)
      row.at(start, end)
      this.readLines += 1
      if (this.#passes(row)) {
        // The header of a block is none of its resources.
        passed += this.#isMixed && this.#type === HEADER ? 0 : 1
        this.#guard(() => this.#prune?.(row, edits))
      } else edits.push({ start, end: next })
      start = next
    }
    this.lines += passed
    if (!mayHoldAddresses || (passed === 0 && !this.#isMixed)) return edits
    const urls: number[] = []
    const rewritten = this.#addresses.edits(bytes, text, text.length, urls)
    return urls.length === 0 ? mergedEdits(edits, rewritten) : this.#withAttachments(edits, rewritten, urls)
  }

  /** The first rows, as long as they are of the type that is expected, written as usual, and nothing is done to them: most of most files. */
  #usualRows(text: string): { readonly rows: number; readonly end: number } {
    const usual = this.#usualStart
    let rows = 0
    let end = 0
    if (usual === undefined || this.#isMixed || this.#tests.length > 0 || this.#prune) return { rows, end }
    while (text.startsWith(usual, end)) {
      rows += 1
      const newline = text.indexOf('\n', end + usual.length)
      if (newline === -1) return { rows, end: text.length }
      end = newline + 1
    }
    return { rows, end }
  }

  async #withAttachments(edits: readonly Edit[], rewritten: readonly Edit[], urls: readonly number[]): Promise<readonly Edit[]> {
    const row = this.#row
    const { text } = row
    const inner = [rewritten]
    const places = urls.toSorted((one, other) => one - other)
    let gone = 0
    const stays = (at: number): boolean => {
      while ((edits[gone]?.end ?? Infinity) <= at) gone += 1
      return (edits[gone]?.start ?? Infinity) > at
    }
    for (let next = 0; next < places.length;) {
      const place = places[next] ?? 0
      const newline = text.indexOf('\n', place)
      row.at(text.lastIndexOf('\n', place) + 1, newline === -1 ? text.length : newline)
      const first = next
      while ((places[next] ?? Infinity) < row.end) next += 1
      const here = places.slice(first, next).filter(stays)
      if (here.length === 0) continue
      // Of a file of several types, `#type` is by now that of the last row.
      const type = this.#isMixed ? writtenType(row) : this.#type
      inner.push(await attachmentEdits(row, here, type ?? '', this.#addresses.origins, this.#context))
    }
    return mergedEdits(
      edits,
      inner.flat().toSorted((one, other) => one.start - other.start),
    )
  }

  #passes(row: Row): boolean {
    return this.#guard(() => this.#isOfType(row) && this.#tests.every((test) => test(row)))
  }

  /** @throws MalformedRow also for a row that is nested deeper than some test of it can follow. */
  #guard<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (error instanceof RangeError) throw new MalformedRow('a row is nested too deeply')
      throw error
    }
  }

  #isOfType(row: Row): boolean {
    if (this.#usualStart !== undefined && row.text.startsWith(this.#usualStart, row.start)) return true
    const type = writtenType(row)
    if (type === undefined) throw new MalformedRow('a row is not a resource')
    if (this.#isMixed && type !== this.#type) this.#expect(type)
    if (this.#type === undefined) this.#expect(type)
    if (type !== this.#type && this.otherTypes.size < MOST_OTHER_TYPES) this.otherTypes.add(type)
    return type === this.#type
  }

  /** A part of a row that is too long to be held: it can pass, or be left out, by what its start says. */
  *#part({ bytes, part }: Piece): Generator<Uint8Array> {
    if (part === 'first') {
      // No test looks further into what is not all there.
      this.#row.over(bytes.subarray(0, WINDOW_BYTES), false)
      this.readLines += 1
      const passes = this.#passes(this.#row)
      if (passes && this.#prune) this.#row.checkLength()
      if (passes) this.lines += 1
      this.#longRow = passes ? new LongRow(this.#addresses) : 'left out'
      this.#row.over(new Uint8Array(0))
    }
    if (!(this.#longRow instanceof LongRow)) {
      this.isChanged = true
      return
    }
    for (const { bytes: passed, isChanged } of this.#longRow.push(bytes, part === 'last')) {
      this.isChanged ||= isChanged
      if (passed.length > 0) yield passed
    }
  }
}

const writtenType = (row: Row): string | undefined => {
  USUAL_TYPE.lastIndex = row.start
  return USUAL_TYPE.exec(row.text)?.[1] ?? typeOf(row.resource)
}

/** Some rows, and one at least. */
const endOfWindow = (bytes: Uint8Array, from: number): number => {
  if (bytes.length - from <= WINDOW_BYTES) return bytes.length
  const newline = bytes.subarray(from, from + WINDOW_BYTES).lastIndexOf(LF)
  if (newline !== -1) return from + newline + 1
  const next = bytes.indexOf(LF, from + WINDOW_BYTES)
  return next === -1 ? bytes.length : next + 1
}
