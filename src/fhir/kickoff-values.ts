import { ExportError, type ExportErrorCode } from '../errors.ts'
import { isInstant } from './instant.ts'
import type { KickoffOptions, KickoffParameter, KickoffParams } from './kickoff-params.ts'
import { decoded } from './percent.ts'
import { RESOURCE_TYPES } from './resource-types.ts'

/** One parameter, or one value of it, that a lenient request goes on without. */
export interface Ignored {
  readonly parameter: string
  readonly diagnostics: string
}

type Given = ReadonlyMap<KickoffParameter, readonly string[]>

/**
 * Turns the given values into parameters. Values that are well formed but beyond us are ignored when lenient; malformed ones, and
 * those without which an export would hold what nobody asked for, are refused always.
 *
 * @param given Every value of a known parameter, before commas are split.
 * @throws ExportError naming the parameter and the remedy.
 * @see Bulk Data Kick-off, Query Parameters [KO-05, KO-09, PA-01..PA-18]
 */
export const readKickoffValues = (
  given: Given,
  options: KickoffOptions,
): { readonly params: KickoffParams; readonly ignored: readonly Ignored[] } => {
  for (const [parameter, values] of given) {
    // Half a character has no UTF-8, so it could be sent nowhere.
    if (!values.every((value) => value.isWellFormed()))
      refuse('parameter_invalid', parameter, `${parameter} is not well-formed Unicode.`)
  }
  const ignored: Ignored[] = []
  const unsupported = (parameter: KickoffParameter, diagnostics: string): void => {
    if (!options.lenient) refuse('parameter_unsupported', parameter, diagnostics)
    ignored.push({ parameter, diagnostics })
  }
  const outputFormat = readOutputFormat(given)
  const since = readInstant(given, '_since')
  const until = readInstant(given, '_until')
  const organizeOutputBy = readOrganizeOutputBy(given, unsupported)
  const allowPartialManifests = readBoolean(given, 'allowPartialManifests')
  const params: KickoffParams = {
    type: readTypes(given, unsupported),
    elements: readElements(given, unsupported),
    patient: readPatients(given, options),
    includeAssociatedData: readAssociatedData(given, unsupported),
    typeFilter: readTypeFilters(given, unsupported),
    ...(outputFormat === undefined ? {} : { outputFormat }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    ...(organizeOutputBy === undefined ? {} : { organizeOutputBy }),
    ...(allowPartialManifests === undefined ? {} : { allowPartialManifests }),
  }
  return { params, ignored }
}

/** Throws unless the request is lenient; then notes what is lost. */
type Unsupported = (parameter: KickoffParameter, diagnostics: string) => void

const refuse = (code: ExportErrorCode, parameter: KickoffParameter, diagnostics: string): never => {
  throw new ExportError(code, diagnostics, { parameter })
}

const MAX_QUOTED_CHARS = 40

/**
 * A client's text as it may appear in diagnostics.
 *
 * @returns Cut, in quotes, printable ASCII.
 */
export const quoted = (text: string): string => {
  const cut = text.length > MAX_QUOTED_CHARS ? `${text.slice(0, MAX_QUOTED_CHARS)}...` : text
  return `"${cut.replaceAll(/[^\x20-\x7e]/g, '?').replaceAll('"', "'")}"`
}

/** Each value costs something for each row. A list of patients does not: they are looked up. */
const COUNTED: ReadonlySet<KickoffParameter> = new Set<KickoffParameter>(['_typeFilter', '_elements'])
const MOST_VALUES = 1_000

/** All values as one list without repeats [KO-05]. */
const listOf = (given: Given, parameter: KickoffParameter, separator: RegExp): readonly string[] => {
  const values = given.get(parameter)
  if (values === undefined) return []
  const list = new Set(values.flatMap((value) => value.split(separator)).flatMap((value) => value.trim() || []))
  if (list.size === 0) refuse('parameter_invalid', parameter, `${parameter} is empty. Give it a value or leave it out.`)
  if (list.size > MOST_VALUES && COUNTED.has(parameter))
    refuse('parameter_invalid', parameter, `${parameter} has more than ${MOST_VALUES} values. Give fewer in one export.`)
  return [...list]
}

const COMMA = /,/
/** A comma is a search value's own unless the next filter begins behind it [PA-14]. */
const COMMA_BEFORE_FILTER = /,(?=\s*[A-Z][A-Za-z]*\?)/

const singleOf = (given: Given, parameter: KickoffParameter, repair: (value: string) => string = String): string | undefined => {
  const values = given.get(parameter)
  if (values === undefined) return undefined
  const [value = '', ...others] = new Set(values.map((each) => repair(each.trim())))
  if (others.length > 0)
    refuse('parameter_invalid', parameter, `${parameter} was given more than once, differently. Give it once.`)
  if (value === '') refuse('parameter_invalid', parameter, `${parameter} is empty. Give it a value or leave it out.`)
  return value
}

const OUTPUT_FORMATS: readonly string[] = ['application/fhir+ndjson', 'application/ndjson', 'ndjson']

const readOutputFormat = (given: Given): string | undefined => {
  const format = singleOf(given, '_outputFormat', (value) => value.toLowerCase().replace('fhir ndjson', 'fhir+ndjson'))
  if (format !== undefined && !OUTPUT_FORMATS.includes(format)) {
    // Not to be ignored when lenient: another format is no answer
    refuse(
      'parameter_unsupported',
      '_outputFormat',
      `_outputFormat ${quoted(format)} is not supported. Use ${OUTPUT_FORMATS[0]}.`,
    )
  }
  return format
}

/** Servers take it for nothing, for an error, or for another moment. */
const LEAP_SECOND = /:60(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/
const readInstant = (given: Given, parameter: '_since' | '_until'): string | undefined => {
  const instant = singleOf(given, parameter, (value) => value.replace(/ (?=\d\d:\d\d$)/, '+'))
  if (instant !== undefined && LEAP_SECOND.test(instant))
    refuse(
      'parameter_invalid',
      parameter,
      `${parameter} ${quoted(instant)} is a leap second. Use the second before it or after it.`,
    )
  if (instant === undefined || isInstant(instant)) return instant
  const remedy = 'Use a FHIR instant with seconds and zone, such as 2026-01-31T00:00:00Z'
  return refuse('parameter_invalid', parameter, `${parameter} ${quoted(instant)} is not an instant. ${remedy}; encode + as %2B.`)
}

const readBoolean = (given: Given, parameter: KickoffParameter): boolean | undefined => {
  const word = singleOf(given, parameter)
  if (word === undefined || word === 'true' || word === 'false') return word === undefined ? undefined : word === 'true'
  return refuse('parameter_invalid', parameter, `${parameter} ${quoted(word)} is not a boolean. Use true or false.`)
}

const UNKNOWN_TYPE = 'is not a resource type of FHIR R4. Use one that /metadata lists; case matters.'

const readTypes = (given: Given, unsupported: Unsupported): readonly string[] => {
  const asked = listOf(given, '_type', COMMA)
  const known = asked.filter((type) => {
    if (RESOURCE_TYPES.has(type)) return true
    unsupported('_type', `_type ${quoted(type)} ${UNKNOWN_TYPE}`)
    return false
  })
  if (asked.length > 0 && known.length === 0) {
    // To export everything would be the opposite of what was asked
    refuse(
      'parameter_unsupported',
      '_type',
      `Nothing remains of _type: ${quoted(asked.join(','))} names no resource type of FHIR R4.`,
    )
  }
  return known
}

const ELEMENT = /^(?:([A-Za-z]+)\.)?[a-z][A-Za-z0-9]*$/

const readElements = (given: Given, unsupported: Unsupported): readonly string[] =>
  listOf(given, '_elements', COMMA).filter((element) => {
    const [shaped, type] = ELEMENT.exec(element) ?? []
    if (shaped === undefined) {
      const remedy = 'Name root elements only, as element or Type.element'
      return refuse('parameter_invalid', '_elements', `_elements ${quoted(element)} is not an element. ${remedy}.`)
    }
    if (type === undefined || RESOURCE_TYPES.has(type)) return true
    unsupported('_elements', `_elements ${quoted(element)}: ${quoted(type)} ${UNKNOWN_TYPE}`)
    return false
  })

/** Ids longer than FHIR's 64 characters occur at Epic. */
const PATIENT = /^(?:(.+)\/)?(Patient\/[A-Za-z0-9.-]{1,256})$/

/** Refused rather than ignored, also when lenient: without it the export would hold other patients [PA-09]. */
const readPatients = (given: Given, { level, base }: KickoffOptions): readonly string[] => {
  const values = given.get('patient')
  if (values === undefined) return []
  if (level === 'system') {
    const remedy = 'Use Patient/$export or Group/[id]/$export, or leave it out'
    return refuse('parameter_unsupported', 'patient', `patient does not exist at the system level. ${remedy}.`)
  }
  const references = values.map((value) => {
    const [, under, reference] = PATIENT.exec(value.trim()) ?? []
    if (reference !== undefined && (under === undefined || under === base?.replace(/\/$/, ''))) return reference
    const remedy = 'Use Patient/[id], with an id of this server'
    return refuse('parameter_invalid', 'patient', `patient ${quoted(value)} does not name a patient here. ${remedy}.`)
  })
  return [...new Set(references)]
}

const ASSOCIATED_DATA = /^(LatestProvenanceResources|RelevantProvenanceResources|_\S+)$/

const readAssociatedData = (given: Given, unsupported: Unsupported): readonly string[] =>
  listOf(given, 'includeAssociatedData', COMMA).filter((code) => {
    if (ASSOCIATED_DATA.test(code)) return true
    const remedy = 'Use LatestProvenanceResources or RelevantProvenanceResources; custom codes begin with _'
    unsupported('includeAssociatedData', `includeAssociatedData ${quoted(code)} is not known. ${remedy}.`)
    return false
  })

/** Search parameters that shape a result rather than choose resources, with any modifier [PA-15]. */
const RESULT_PARAMETER =
  /^(_sort|_include|_revinclude|_count|_elements|_summary|_total|_contained|_containedType|_format|_pretty|_maxresults|_graph|_score)(:|$)/

const readTypeFilters = (given: Given, unsupported: Unsupported): readonly string[] =>
  listOf(given, '_typeFilter', COMMA_BEFORE_FILTER).flatMap((filter) => {
    const [, type = '', query = ''] = /^([A-Za-z]+)\?(.+)$/s.exec(filter) ?? []
    if (query === '') {
      const remedy = 'Use Type?query, such as Condition?clinical-status=active, percent-encoded'
      return refuse('parameter_invalid', '_typeFilter', `_typeFilter ${quoted(filter)} is not a search. ${remedy}.`)
    }
    if (!RESOURCE_TYPES.has(type)) {
      unsupported('_typeFilter', `_typeFilter ${quoted(filter)}: ${quoted(type)} ${UNKNOWN_TYPE}`)
      return []
    }
    const kept = query.split('&').filter((criterion) => {
      const name = decoded(criterion.split('=', 1)[0] ?? '')
      if (!RESULT_PARAMETER.test(name)) return criterion !== ''
      unsupported(
        '_typeFilter',
        `_typeFilter ${quoted(filter)}: ${quoted(name)} shapes a result and chooses nothing. Leave it out.`,
      )
      return false
    })
    if (kept.length > 0) return [`${type}?${kept.join('&')}`]
    return refuse(
      'parameter_unsupported',
      '_typeFilter',
      `Nothing remains of _typeFilter ${quoted(filter)}. Give it a criterion.`,
    )
  })

const readOrganizeOutputBy = (given: Given, unsupported: Unsupported): string | undefined => {
  const type = singleOf(given, 'organizeOutputBy')
  if (type === undefined || RESOURCE_TYPES.has(type)) return type
  unsupported('organizeOutputBy', `organizeOutputBy ${quoted(type)} ${UNKNOWN_TYPE}`)
  return undefined
}
