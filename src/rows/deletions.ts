import { valuesAt } from './compartment.ts'
import { relativeTo } from './references.ts'
import { MalformedRow, type RowContext, type RowFile } from './row-program.ts'
import type { RowWork } from './row-work.ts'
import { isObject, parseJson, typeOf } from './row.ts'
import type { Rewrite } from './single-rows.ts'

const NAME = /^([A-Z][A-Za-z]{0,63})\/[A-Za-z0-9\-.]{1,64}$/

/**
 * What was deleted: of each Bundle the deletions of resources that may be delivered, and nothing that a vendor adds to them. A deletion
 * tells neither whose a resource was nor what it said: where that decides what goes out, none does.
 *
 * @param otherTypes Takes the types of rows that are no Bundles.
 * @see Bulk Data Manifest, `deleted` [MF-12]
 */
export const rewriteDeletions = (
  { patients, typeFilter }: RowWork,
  { types }: RowFile,
  { vendorBases }: RowContext,
  otherTypes: Set<string>,
): Rewrite => {
  const isHidden = patients !== undefined || typeFilter !== undefined
  const relative = relativeTo(vendorBases)
  const nameOf = (url: unknown): string | undefined => {
    if (typeof url !== 'string') return undefined
    const name = relative(url)
    const type = NAME.exec(name)?.[1]
    return type === undefined || types?.includes(type) === false ? undefined : name
  }
  return (bytes) => {
    if (isHidden) return undefined
    if (!bytes) throw new MalformedRow('a row is longer than may be held in memory')
    const bundle = parseJson(bytes)
    const type = isObject(bundle) ? typeOf(bundle) : undefined
    if (type === undefined) throw new MalformedRow('a row is not a resource')
    if (type !== 'Bundle') {
      otherTypes.add(type)
      return undefined
    }
    const entry = valuesAt(bundle, ['entry', 'request']).flatMap((request) => {
      const url = isObject(request) && request['method'] === 'DELETE' ? nameOf(request['url']) : undefined
      return url === undefined ? [] : [{ request: { method: 'DELETE', url } }]
    })
    return entry.length === 0 ? undefined : JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry })
  }
}
