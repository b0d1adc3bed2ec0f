import { isJson, type Json } from './json.ts'

/** Search parameter → the member that it looks at. Token parameters only. */
const MEMBERS: Readonly<Record<string, string>> = {
  _id: 'id',
  status: 'status',
  intent: 'intent',
  gender: 'gender',
  class: 'class',
  category: 'category',
  code: 'code',
  type: 'type',
  'clinical-status': 'clinicalStatus',
  'verification-status': 'verificationStatus',
}

const codesOf = (value: unknown): string[] => {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.flatMap(codesOf)
  if (!isJson(value)) return []
  const { coding, code, system } = value
  if (coding !== undefined) return codesOf(coding)
  return typeof code === 'string' ? [code, `${typeof system === 'string' ? system : ''}|${code}`] : []
}

/**
 * A `_typeFilter` value such as `Condition?clinical-status=active,recurrence`.
 *
 * @returns The type and its predicate; `undefined` when it is malformed or more than these fakes can do.
 */
export const parseTypeFilter = (value: string): { type: string; passes: (resource: Json) => boolean } | undefined => {
  const parts = /^([A-Z][A-Za-z]+)\?(.+)$/.exec(value)
  const [type, query] = [parts?.[1], parts?.[2]]
  if (type === undefined || query === undefined) return undefined
  const wanted = [...new URLSearchParams(query)].map(([name, values]) => ({ member: MEMBERS[name], any: values.split(',') }))
  if (wanted.some(({ member }) => member === undefined)) return undefined
  return {
    type,
    passes: (resource) => wanted.every(({ member = '', any }) => codesOf(resource[member]).some((code) => any.includes(code))),
  }
}
