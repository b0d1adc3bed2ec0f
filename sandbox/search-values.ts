import { isJson, listOf, memberOf, stringOf } from './json.ts'

/** Whether one value of a resource is what a search asks for. */
export type Matches = (value: unknown, wanted: string, modifier?: string) => boolean

interface Token {
  readonly system?: string
  readonly code: string
}

const tokensOf = (value: unknown): readonly Token[] => {
  if (typeof value === 'string' || typeof value === 'boolean') return [{ code: String(value) }]
  if (!isJson(value)) return []
  const coding = listOf(value['coding'])
  if (coding.length > 0) return coding.flatMap(tokensOf)
  const code = stringOf(value['code']) || stringOf(value['value'])
  const system = stringOf(value['system'])
  return code === '' ? [] : [system === '' ? { code } : { system, code }]
}

/** `code`, `system|code`, `|code`, `system|`. https://hl7.org/fhir/R4/search.html#token */
export const matchesToken: Matches = (value, wanted) => {
  const bar = wanted.indexOf('|')
  const [system, code] = bar === -1 ? [undefined, wanted] : [wanted.slice(0, bar), wanted.slice(bar + 1)]
  return tokensOf(value).some(
    (token) => (system === undefined || (token.system ?? '') === system) && (code === '' || token.code === code),
  )
}

const folded = (text: string): string => text.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase()

/** Begins with, whatever the case and the accents. https://hl7.org/fhir/R4/search.html#string */
export const matchesString: Matches = (value, wanted, modifier) => {
  const text = stringOf(value)
  if (modifier === 'exact') return text === wanted
  return modifier === 'contains' ? folded(text).includes(folded(wanted)) : folded(text).startsWith(folded(wanted))
}

/** `id`, `Type/id`. https://hl7.org/fhir/R4/search.html#reference */
export const matchesReference: Matches = (value, wanted, modifier) => {
  const [type, id] = stringOf(memberOf(value, 'reference'))
    .replace(/\/_history\/.*$/, '')
    .split('/')
    .slice(-2)
  const [wantedId = '', wantedType = modifier] = wanted.split('/').toReversed()
  return id === wantedId && (wantedType === undefined || type === wantedType)
}

/** From the first instant of a time, of whatever precision, to the first one behind it, in epoch ms. */
interface Span {
  readonly fromMs: number
  readonly toMs: number
}

const TIME = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?$/

const spanOf = (text: string): Span | undefined => {
  const [, year, month, day, hour, minute, second, fraction, zone = 'Z'] = TIME.exec(text) ?? []
  if (year === undefined) return undefined
  const start = `${year}-${month ?? '01'}-${day ?? '01'}T${hour ?? '00'}:${minute ?? '00'}:${second ?? '00'}${fraction ?? ''}${zone}`
  const fromMs = Date.parse(start)
  if (month === undefined) return { fromMs, toMs: Date.UTC(Number(year) + 1, 0) }
  if (day === undefined) return { fromMs, toMs: Date.UTC(Number(year), Number(month)) }
  const lengthMs = hour === undefined ? 86_400_000 : second === undefined ? 60_000 : fraction === undefined ? 1000 : 1
  return { fromMs, toMs: fromMs + lengthMs }
}

/** A date, or a Period, which may be open at an end. */
const spanOfValue = (value: unknown): Span | undefined => {
  if (!isJson(value)) return spanOf(stringOf(value))
  const [start, end] = [spanOf(stringOf(value['start'])), spanOf(stringOf(value['end']))]
  return start === undefined && end === undefined
    ? undefined
    : { fromMs: start?.fromMs ?? -Infinity, toMs: end?.toMs ?? Infinity }
}

/** With the prefixes of https://hl7.org/fhir/R4/search.html#prefix, save `ap`. A time without a zone is UTC. */
export const matchesDate: Matches = (value, wanted) => {
  const [, prefix = 'eq', text = ''] = /^(eq|ne|gt|lt|ge|le|sa|eb)?(.*)$/.exec(wanted) ?? []
  const [own, asked] = [spanOfValue(value), spanOf(text)]
  if (own === undefined || asked === undefined) return false
  const isWithin = own.fromMs >= asked.fromMs && own.toMs <= asked.toMs
  const isAbove = own.toMs > asked.toMs
  const isBelow = own.fromMs < asked.fromMs
  switch (prefix) {
    case 'ne':
      return !isWithin
    case 'gt':
      return isAbove
    case 'lt':
      return isBelow
    case 'ge':
      return isAbove || isWithin
    case 'le':
      return isBelow || isWithin
    case 'sa':
      return own.fromMs >= asked.toMs
    case 'eb':
      return own.toMs <= asked.fromMs
    default:
      return isWithin
  }
}
