import type { Edit } from './edits.ts'
import { eachRootMember, stringAt } from './json-scan.ts'
import { CHOICE_ELEMENTS, mandatoryElementsOf } from './root-elements.ts'
import { isObject, parseJson, type Row } from './row.ts'

/**
 * What every resource keeps: what names it, what says that it is not whole, and what may turn its meaning around for one who does not
 * see it. Other modifier elements, such as a status that is not mandatory, are for the client to ask for, as R4 tells it to.
 *
 * @see https://hl7.org/fhir/R4/search.html#elements
 */
const ALWAYS = ['resourceType', 'id', 'meta', 'implicitRules', 'modifierExtension']

const SUBSETTED = { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' }

/** A data type; three elements of R4 go on after the name of a choice without being a form of it. */
const FORM = /^(?!MedicalHistory$|Material$|Location$)[A-Z]/

/** Whether a member of a resource spells the element: by its name, or as one form of a choice. */
export const spells = (element: string, member: string): boolean =>
  member === element || (CHOICE_ELEMENTS.has(element) && member.startsWith(element) && FORM.test(member.slice(element.length)))

/**
 * Leaves out of each row what was not asked for and need not be there, and says so in its tags. What stays keeps its bytes, so that no
 * number loses a digit; only a `meta` that has tags is written anew.
 *
 * @param elements `element` or `Type.element`.
 * @returns `undefined` when they are elements of other types, and this one stays whole.
 * @throws MalformedRow, by what is returned.
 * @see Bulk Data Kick-off, `_elements` [PA-08]
 */
export const prune = (type: string, elements: readonly string[]): ((row: Row, edits: Edit[]) => void) | undefined => {
  const listed = elements.flatMap((element) => {
    const [first = '', second] = element.split('.')
    if (second === undefined) return [first]
    return first === type ? [second] : []
  })
  if (listed.length === 0) return undefined
  const kept = [...listed, ...mandatoryElementsOf(type)]
  const always = new Set(ALWAYS)
  /** The same few names come in every row. */
  const known = new Map<string, boolean>()
  const isKept = (written: string, said: () => string): boolean => {
    let answer = known.get(written)
    if (answer === undefined) {
      // An extension of a primitive stands beside it, under its name with an underscore.
      const element = said().replace(/^_/, '')
      answer = always.has(element) || kept.some((candidate) => spells(candidate, element))
      if (known.size < MOST_KNOWN) known.set(written, answer)
    }
    return answer
  }
  return (row, edits) => pruneRow(row, edits, isKept)
}

/** More names than a type has elements are a vendor's play. */
const MOST_KNOWN = 500

const ENCODER = new TextEncoder()
const NEW_TAG = ENCODER.encode(`,"tag":[${JSON.stringify(SUBSETTED)}]`)
const NEW_META = ENCODER.encode(`,"meta":{"tag":[${JSON.stringify(SUBSETTED)}]}`)

const pruneRow = (row: Row, edits: Edit[], isKept: (written: string, said: () => string) => boolean): void => {
  row.checkLength()
  const { bytes, text } = row
  const first = edits.length
  /** The end of the last member that stays; a member that goes takes the comma before it along. */
  let lastKept: number | undefined
  let goesFrom: number | undefined
  let hasMeta = false
  /** The end of the last of the members that name the resource; one of them is there. */
  let identityEnd = 0
  const close = (until: number): void => {
    if (goesFrom !== undefined) edits.push({ start: goesFrom, end: until })
    goesFrom = undefined
  }
  eachRootMember(bytes, row.start, row.end, (start, nameEnd, valueStart, valueEnd) => {
    const written = text.slice(start + 1, nameEnd - 1)
    const said = (): string => stringAt(text, bytes, start, nameEnd)
    if (!isKept(written, said)) {
      goesFrom ??= lastKept ?? start
      return
    }
    // Nothing that stays was before it: the comma that goes is the one after what went.
    close(lastKept === undefined ? start : commaBefore(text, start))
    lastKept = valueEnd
    const name = written.includes('\\') ? said() : written
    if (name === 'meta') {
      hasMeta = true
      const edit = tagging(row, valueStart, valueEnd)
      if (edit) edits.push(edit)
    } else if (name === 'resourceType' || name === 'id') identityEnd = valueEnd
  })
  close(text.lastIndexOf('}', row.end - 1))
  if (hasMeta) return
  // Before what goes from the same place on.
  const after = edits.findIndex(({ start }, index) => index >= first && start >= identityEnd)
  edits.splice(after === -1 ? edits.length : after, 0, { start: identityEnd, end: identityEnd, by: NEW_META })
}

const commaBefore = (text: string, at: number): number => text.lastIndexOf(',', at)

/** Adds the tag to `meta`; `undefined` when it is there already. */
const tagging = ({ bytes, text }: Row, start: number, end: number): Edit | undefined => {
  const written = text.slice(start, end)
  // The usual one has members, and no tag among them.
  if (/^\{\s*"/.test(written) && !/tag"|\\/.test(written)) return { start: end - 1, end: end - 1, by: NEW_TAG }
  const value = written.startsWith('{') ? parseJson(bytes.subarray(start, end)) : {}
  const meta = isObject(value) ? value : {}
  const tags: readonly unknown[] = meta['tag'] === undefined || meta['tag'] === null ? [] : [meta['tag']].flat()
  if (tags.some((tag) => isObject(tag) && tag['code'] === SUBSETTED.code && tag['system'] === SUBSETTED.system)) return undefined
  return { start, end, by: ENCODER.encode(JSON.stringify({ ...meta, tag: [...tags, SUBSETTED] })) }
}
