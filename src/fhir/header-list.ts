/** One element of a comma-separated header: its value, and its `;` parameters by lower-case name. */
export interface HeaderElement {
  readonly value: string
  readonly parameters: ReadonlyMap<string, string>
}

const MAX_CHARS = 4_096

/**
 * Splits a header whose several lines arrive joined by commas. Commas and semicolons within quotes stay; quotes around a value go.
 *
 * @param header A header longer than any honest one is read up to that length.
 * @returns No element for an absent or empty header.
 * @see RFC 9110 §5.6.1, §5.6.6
 */
export const headerElements = (header: string | null): readonly HeaderElement[] =>
  split((header ?? '').slice(0, MAX_CHARS), ',').flatMap((element) => {
    const [value = '', ...rest] = split(element, ';')
    if (value === '') return []
    const parameters = new Map<string, string>()
    for (const parameter of rest) {
      const equals = parameter.indexOf('=')
      const name = (equals < 0 ? parameter : parameter.slice(0, equals)).trim().toLowerCase()
      if (name !== '' && !parameters.has(name)) parameters.set(name, equals < 0 ? '' : unquoted(parameter.slice(equals + 1)))
    }
    return [{ value, parameters }]
  })

/** What stands within quotes, or the text without blanks around it. */
export const unquoted = (text: string): string => /^"(.*)"$/.exec(text.trim())?.[1] ?? text.trim()

const split = (text: string, separator: ',' | ';'): readonly string[] => {
  const parts: string[] = []
  let from = 0
  let quoted = false
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '"') quoted = !quoted
    if (text[at] !== separator || quoted) continue
    parts.push(text.slice(from, at).trim())
    from = at + 1
  }
  return [...parts, text.slice(from).trim()]
}
