import { remember } from './remember.ts'

/** One `system/` scope, v1 or v2, reduced to the letters of v2: create, read, update, delete, search. */
export interface Scope {
  /** A resource type, or `*`. */
  readonly type: string
  readonly rights: ReadonlySet<string>
  /** The form it was written in; an answer keeps it. */
  readonly form: 'v1' | 'v2'
}

const V1_RIGHTS = { read: 'rs', write: 'cud', '*': 'cruds' } as const
const LETTERS = 'cruds'
const READING = 'rs'
const ANY_TYPE = '*'
/** Letters out of order do not match, nor does a `?query`: what cannot be enforced is not granted. */
const SCOPE = /^system\/(\*|[A-Z][A-Za-z]{0,63})\.(?:(read|write|\*)|(c?r?u?d?s?))$/

const parseScope = (text: string): Scope | undefined => {
  const [, type, v1, v2] = SCOPE.exec(text) ?? []
  if (type === undefined) return undefined
  if (v1 === 'read' || v1 === 'write' || v1 === '*') return { type, rights: new Set(V1_RIGHTS[v1]), form: 'v1' }
  return v2 ? { type, rights: new Set(v2), form: 'v2' } : undefined
}

/**
 * The scopes in a space-separated text.
 *
 * @returns Those that are understood and can be enforced; the others are left out, as RFC 6749 §3.3 allows.
 * @see SMART App Launch, Scopes for requesting FHIR resources, AU-15
 */
export const parseScopes = (text: string): Scope[] => [...new Set(text.split(/\s+/))].flatMap((word) => parseScope(word) ?? [])

const holds = (rights: ReadonlySet<string>, letters: string): boolean => letters.split('').every((letter) => rights.has(letter))

/** All that `scopes` allow on one type, by its name or by `*`. */
const rightsOn = (scopes: readonly Scope[], type: string): Set<string> =>
  new Set(scopes.filter((scope) => scope.type === type || scope.type === ANY_TYPE).flatMap((scope) => [...scope.rights]))

/** The widest scope of that form within `rights`; v1 has no word for less than read or less than write. */
const written = (type: string, rights: ReadonlySet<string>, form: Scope['form']): string | undefined => {
  if (form === 'v2') {
    const letters = LETTERS.split('')
      .filter((letter) => rights.has(letter))
      .join('')
    return letters === '' ? undefined : `system/${type}.${letters}`
  }
  const word = (['*', 'read', 'write'] as const).find((candidate) => holds(rights, V1_RIGHTS[candidate]))
  return word && `system/${type}.${word}`
}

/**
 * The allowed subset of what was asked, each scope in the form it was asked in. `*` is narrowed to the types that are allowed.
 *
 * @returns Without duplicates, in the order asked; empty when nothing asked is allowed.
 * @see SMART Backend Services, AU-14, AU-15
 */
export const grantScopes = (requested: string, allowed: readonly string[]): string[] => {
  const permitted = parseScopes(allowed.join(' '))
  const granted = parseScopes(requested).flatMap((asked) => {
    const grant = (type: string): string | undefined => {
      const rights = [...rightsOn(permitted, type)].filter((letter) => asked.rights.has(letter))
      return written(type, new Set(rights), asked.form)
    }
    const whole = grant(asked.type)
    if (asked.type !== ANY_TYPE) return whole ?? []
    const suffix = whole?.slice(`system/${ANY_TYPE}`.length)
    // A type of its own is named only where it may do more than every type may.
    const extra = permitted
      .filter((scope) => scope.type !== ANY_TYPE)
      .map((scope) => grant(scope.type))
      .filter((scope) => scope !== undefined)
      .filter((scope) => suffix === undefined || !scope.endsWith(suffix))
    return whole === undefined ? extra : [whole, ...extra]
  })
  return [...new Set(granted)]
}

/** What scopes allow to be read. */
interface Readable {
  readonly named: ReadonlySet<string>
  /** Every type. */
  readonly all: boolean
}

/** What scopes came to: those of one token are asked about with each poll. */
const known = new Map<string, Readable>()
const MOST_KNOWN = 1000

const readableBy = (scopes: readonly string[]): Readable => {
  const text = scopes.join(' ')
  const before = known.get(text)
  if (before) return before
  const parsed = parseScopes(text)
  const mayRead = (type: string): boolean => holds(rightsOn(parsed, type), READING)
  const readable = { named: new Set(parsed.map(({ type }) => type).filter(mayRead)), all: mayRead(ANY_TYPE) }
  remember(known, text, readable, MOST_KNOWN)
  return readable
}

/**
 * Those of `types` that may be exported: an export both finds resources and reads them.
 *
 * @see AU-17, AU-18
 */
export const readableTypes = (scopes: readonly string[], types: readonly string[]): string[] => {
  const { named, all } = readableBy(scopes)
  return types.filter((type) => all || named.has(type))
}

/** Whether resources of one type may be exported. @see AU-17, AU-18, AU-19 */
export const mayRead = (scopes: readonly string[], type: string): boolean => readableTypes(scopes, [type]).length === 1

/** Whether every type may be exported, also those nobody thought of. */
export const readsEverything = (scopes: readonly string[]): boolean => mayRead(scopes, ANY_TYPE)
