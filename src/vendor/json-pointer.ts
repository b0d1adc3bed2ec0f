import type { From, JsonPointer, VendorResponse } from './adapter.ts'

/** The value at an RFC 6901 pointer; `undefined` when there is none. Own members only. */
export const at = (body: unknown, pointer: JsonPointer): unknown => {
  let value = body
  for (const token of pointer.split('/').slice(1)) {
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return value
}

/** What a dialect's `From` names in a response; `undefined` when absent or null. */
export const readFrom = (response: VendorResponse, from: From): unknown =>
  ('header' in from ? response.headers[from.header.toLowerCase()] : at(response.body, from.body)) ?? undefined
