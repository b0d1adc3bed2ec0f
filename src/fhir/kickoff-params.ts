import { ExportError } from '../errors.ts'
import { type Ignored, quoted, readKickoffValues } from './kickoff-values.ts'

/** Whose data an export is about: the whole server, all patients, or the members of one group [KO-01]. */
export type Level = 'system' | 'patient' | 'group'

/** Every parameter of the three export operations in 3.0.0. */
export const KICKOFF_PARAMETERS = [
  '_outputFormat',
  '_since',
  '_until',
  '_type',
  '_elements',
  'patient',
  'includeAssociatedData',
  '_typeFilter',
  'organizeOutputBy',
  'allowPartialManifests',
] as const

export type KickoffParameter = (typeof KICKOFF_PARAMETERS)[number]

/** What a client asked for. A list that is empty was not given; instants are as the client wrote them. */
export interface KickoffParams {
  readonly outputFormat?: string
  readonly since?: string
  readonly until?: string
  readonly type: readonly string[]
  readonly elements: readonly string[]
  /** `Patient/id` each. */
  readonly patient: readonly string[]
  readonly includeAssociatedData: readonly string[]
  /** `Type?query` each; several of one type are alternatives. */
  readonly typeFilter: readonly string[]
  readonly organizeOutputBy?: string
  readonly allowPartialManifests?: boolean
}

export interface KickoffOptions {
  readonly level: Level
  /** The client sent `Prefer: handling=lenient`. */
  readonly lenient: boolean
  /** FHIR base that the client called; a `patient` reference may be absolute under it, and only under it. */
  readonly base?: string
}

export interface ParsedKickoff {
  readonly params: KickoffParams
  /** What a lenient request loses, one for each parameter or value; each becomes an OperationOutcome of the export [MF-22]. */
  readonly ignored: readonly Ignored[]
}

export type { Ignored }

/**
 * Reads the parameters of a GET kick-off.
 *
 * @param search Query of the URL, with or without `?`. A `+` that was not encoded arrives as a blank and is understood.
 * @throws ExportError `parameter_unknown`, `parameter_unsupported` or `parameter_invalid`, naming the parameter.
 * @see Bulk Data Kick-off, Query Parameters [KO-02, KO-05, KO-09, PA-01..PA-18]
 */
export const parseKickoffQuery = (search: string, options: KickoffOptions): ParsedKickoff => {
  const given = new GivenValues(options)
  for (const [name, value] of new URLSearchParams(search)) {
    const parameter = given.knownOrIgnored(name)
    if (parameter === 'patient') {
      throw new ExportError('parameter_invalid', 'patient is taken in the Parameters body of a POST only. Kick off with POST.', {
        parameter,
      })
    }
    if (parameter !== undefined) given.add(parameter, value)
  }
  return given.read()
}

/**
 * Reads the parameters of a POST kick-off.
 *
 * @param body Parsed JSON; `undefined` for a request without a body, which is one without parameters.
 * @throws ExportError as {@link parseKickoffQuery}, and `body_invalid` for a body that is no Parameters resource.
 * @see Bulk Data Kick-off, Query Parameters [KO-03, KO-05, KO-09, PA-01..PA-18]
 */
export const parseKickoffParameters = (body: unknown, options: KickoffOptions): ParsedKickoff => {
  const given = new GivenValues(options)
  for (const entry of parametersOf(body)) {
    const parameter = given.knownOrIgnored(entry['name'])
    if (parameter !== undefined) given.add(parameter, valueOf(parameter, entry))
  }
  return given.read()
}

/** The values of each known parameter, in the order they came, and the names of the others. */
class GivenValues {
  readonly #values = new Map<KickoffParameter, string[]>()
  readonly #ignored = new Map<string, Ignored>()
  readonly #options: KickoffOptions

  constructor(options: KickoffOptions) {
    this.#options = options
  }

  knownOrIgnored(name: string): KickoffParameter | undefined {
    if (isKickoffParameter(name)) return name
    // Lenient or not: a request that works invites the next one.
    if (CREDENTIAL.test(name)) {
      throw new ExportError(
        'parameter_unknown',
        'A credential is no parameter. Send the token in the Authorization header alone, since URLs are kept and logged by others.',
        { parameter: name.slice(0, MAX_NAME_CHARS) },
      )
    }
    const diagnostics = `${quoted(name)} is not a parameter of $export. Leave it out; known are ${KICKOFF_PARAMETERS.join(', ')}.`
    const parameter = name.slice(0, MAX_NAME_CHARS)
    if (!this.#options.lenient) throw new ExportError('parameter_unknown', diagnostics, { parameter })
    this.#ignored.set(name, { parameter, diagnostics })
    return undefined
  }

  add(parameter: KickoffParameter, value: string): void {
    const values = this.#values.get(parameter)
    if (values === undefined) this.#values.set(parameter, [value])
    else values.push(value)
  }

  read(): ParsedKickoff {
    const { params, ignored } = readKickoffValues(this.#values, this.#options)
    return { params, ignored: [...this.#ignored.values(), ...ignored] }
  }
}

const MAX_NAME_CHARS = 80

/** Names under which credentials travel (RFC 6749, RFC 6750 §2.3, RFC 7523), and what people make of them. */
const CREDENTIAL =
  /^_?(access|refresh|id|bearer|auth)?[_-]?token$|^(authorization|bearer|password|passwd|jwt|(x[_-]?)?api[_-]?key|client[_-]?(secret|assertion))$/i

const isKickoffParameter = (name: string): name is KickoffParameter => (KICKOFF_PARAMETERS as readonly string[]).includes(name)

type Entry = Readonly<Record<string, unknown>> & { readonly name: string }

const parametersOf = (body: unknown): readonly Entry[] => {
  if (body === undefined) return []
  if (!isObject(body) || body['resourceType'] !== 'Parameters') {
    throw new ExportError('body_invalid', 'The body is not a FHIR Parameters resource. Send one, or no body at all.')
  }
  const { parameter = [] } = body
  if (!Array.isArray(parameter) || !parameter.every(isEntry)) {
    throw new ExportError(
      'body_invalid',
      'Parameters.parameter must be a list of objects that each have a name and a value[x].',
      {
        parameter: 'Parameters.parameter',
      },
    )
  }
  return parameter
}

const isEntry = (entry: unknown): entry is Entry => isObject(entry) && typeof entry['name'] === 'string'

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const TEXT_MEMBERS = ['valueString', 'valueCode', 'valueUri'] as const
const INSTANT_MEMBERS = ['valueInstant', 'valueDateTime', 'valueString'] as const

/** The members that may carry a value; the first is the specification's. */
const MEMBERS: Readonly<Record<KickoffParameter, readonly [string, ...string[]]>> = {
  _outputFormat: TEXT_MEMBERS,
  _since: INSTANT_MEMBERS,
  _until: INSTANT_MEMBERS,
  _type: TEXT_MEMBERS,
  _elements: TEXT_MEMBERS,
  patient: ['valueReference'],
  includeAssociatedData: ['valueCode', 'valueString', 'valueUri'],
  _typeFilter: TEXT_MEMBERS,
  organizeOutputBy: TEXT_MEMBERS,
  allowPartialManifests: ['valueBoolean'],
}

const valueOf = (parameter: KickoffParameter, entry: Entry): string => {
  const members = Object.keys(entry).filter((key) => key.startsWith('value'))
  const [member] = members
  const value = member !== undefined && members.length === 1 && MEMBERS[parameter].includes(member) ? entry[member] : undefined
  const text = member === 'valueReference' && isObject(value) ? value['reference'] : value
  if (typeof text === (member === 'valueBoolean' ? 'boolean' : 'string')) return String(text)
  const wanted = parameter === 'patient' ? 'valueReference.reference' : MEMBERS[parameter][0]
  throw new ExportError('parameter_invalid', `${parameter} must carry its value in ${wanted}, and in nothing else.`, {
    parameter,
  })
}
