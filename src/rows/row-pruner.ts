import { Editor, type Edit } from './edits.ts'
import { prune } from './elements.ts'
import { Row, typeOf } from './row.ts'

/**
 * Prunes rows one by one, each of a type of its own; for rows that had to be whole until now.
 *
 * @param elements `element` or `Type.element`.
 * @returns Makes of a row without its newline what is left of it, good until the next is asked for. @throws MalformedRow
 * @see Bulk Data Kick-off, `_elements` [PA-08]
 */
export const rowPruner = (elements: readonly string[]): ((bytes: Uint8Array) => Uint8Array) => {
  const row = new Row()
  const editor = new Editor()
  const byType = new Map<string, ReturnType<typeof prune>>()
  return (bytes) => {
    row.over(bytes)
    const type = typeOf(row.resource) ?? ''
    if (!byType.has(type)) byType.set(type, prune(type, elements))
    const edits: Edit[] = []
    byType.get(type)?.(row, edits)
    return editor.apply(bytes, edits)
  }
}
