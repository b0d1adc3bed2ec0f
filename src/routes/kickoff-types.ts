import { readableTypes, readsEverything } from '../auth/scopes.ts'
import { ExportError } from '../errors.ts'
import type { Issue } from '../fhir/operation-outcome.ts'
import type { Source } from '../vendor/source.ts'

/** What may come of an export. */
export interface ExportedTypes {
  /** The client's `_type`, as far as the source has it. */
  readonly type: readonly string[]
  /** Types that may be delivered; absent when nobody narrowed them. */
  readonly types?: readonly string[]
}

/**
 * The types that a client may have of a source: what it asks for, and its token covers [AU-18], [KO-14].
 *
 * @param notes Takes what a lenient client loses [MF-22].
 * @throws ExportError `parameter_unsupported` or `scope_insufficient`.
 * @see Bulk Data Kick-off, `_type` [PA-05..PA-07]
 */
export const typesOf = (
  source: Source,
  asked: readonly string[],
  scopes: readonly string[],
  lenient: boolean,
  notes: Issue[],
): ExportedTypes => {
  if (asked.length === 0) {
    if (readsEverything(scopes)) return { type: [] }
    const types = readableTypes(scopes, source.types)
    if (types.length > 0) return { type: [], types }
    throw new ExportError('scope_insufficient', 'The token covers none of the types that this source exports.')
  }
  const type = asked.filter((name) => {
    if (source.types.includes(name)) return true
    const diagnostics = `This source does not export ${name}; /metadata lists the types that it does.`
    if (!lenient) throw new ExportError('parameter_unsupported', diagnostics, { parameter: '_type' })
    notes.push({
      severity: 'warning',
      code: 'not-supported',
      diagnostics: `${name} was ignored: this source does not export it.`,
      expression: '_type',
    })
    return false
  })
  if (type.length === 0)
    throw new ExportError('parameter_unsupported', 'This source exports none of the types in _type.', { parameter: '_type' })
  const readable = new Set(readableTypes(scopes, type))
  const beyond = type.find((name) => !readable.has(name))
  if (beyond === undefined) return { type, types: type }
  throw new ExportError(
    'scope_insufficient',
    `The token does not cover ${beyond}. Ask for the scope system/${beyond}.rs, or leave it out.`,
    { parameter: '_type' },
  )
}
