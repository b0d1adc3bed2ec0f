/** A JSON object whose members are not known. */
export type Json = Readonly<Record<string, unknown>>

export const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** @returns The object in `text`; `undefined` when it is none. */
export const parseJson = (text: string): Json | undefined => {
  try {
    const parsed: unknown = JSON.parse(text)
    return isJson(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

/** A member of something that may be no object. */
export const memberOf = (value: unknown, name: string): unknown => (isJson(value) ? value[name] : undefined)

export const stringOf = (value: unknown): string => (typeof value === 'string' ? value : '')

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
