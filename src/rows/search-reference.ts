import type { Test } from './search-path.ts'
import { isRecord } from './search-path.ts'

/** A URI or canonical: the same to the letter. Without a version it stands for every version. */
export const uriTest =
  (value: string): Test =>
  (candidate) =>
    typeof candidate === 'string' && (candidate === value || candidate.startsWith(`${value}|`))

const RELATIVE = /^([A-Z][A-Za-z]+)\/([^/]+)$/

/**
 * A search value of a reference parameter: an id, `Type/id` or an absolute address.
 *
 * @param type The type of the modifier; then the value is an id, or names the same type.
 * @param bases Addresses under which a resource is one of this export, without a slash at their end.
 * @returns `undefined` when the value is none of these, or of another type than the modifier's.
 * @see https://hl7.org/fhir/R4/search.html#reference
 */
export const referenceTest = (value: string, type: string | undefined, bases: readonly string[]): Test | undefined => {
  /** Relative where it can be, and of no version: a search knows the current one only. */
  const local = (address: string): string => {
    const base = bases.find((each) => address.startsWith(`${each}/`))
    return (base === undefined ? address : address.slice(base.length + 1)).replace(/\/_history\/[^/]+$/, '')
  }
  const wanted = local(value)
  const [, namedType, id = wanted] = RELATIVE.exec(wanted) ?? []
  const isAbsolute = /^([a-z][a-z0-9+.-]*:|#)/i.test(wanted)
  if (isAbsolute ? type !== undefined : id.includes('/') || id.includes('|')) return undefined
  if (type !== undefined && namedType !== undefined && namedType !== type) return undefined
  const address = namedType === undefined && type !== undefined ? `${type}/${id}` : wanted
  const isCanonical = uriTest(value)
  return (candidate) => {
    if (!isRecord(candidate)) return isCanonical(candidate)
    const { reference } = candidate
    if (typeof reference !== 'string') return false
    const found = local(reference)
    return found === address || (address === id && RELATIVE.exec(found)?.[2] === id)
  }
}
