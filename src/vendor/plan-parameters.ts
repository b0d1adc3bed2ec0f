import type { ExportErrorCode } from '../errors.ts'
import type { KickoffParameter, KickoffParams } from '../fhir/kickoff-params.ts'
import { typeFilterProblem } from '../rows/type-filter.ts'
import { isByKnownParameters, isPlainFilter } from './plain-filter.ts'
import type { Source } from './source.ts'

/** Refuses, or for a lenient client notes what is ignored and goes on. */
export type GiveUp = (parameter: KickoffParameter, refusal: string, ignored: string, code?: ExportErrorCode) => void

/** Filters by who evaluates them. */
export interface DividedFilters {
  readonly native: readonly string[]
  readonly emulated: readonly string[]
}

/**
 * Divides `_typeFilter` between the vendor and us, type by type: filters of one type are alternatives and stay together. A vendor that can
 * is asked for what means the same everywhere, and in a strict request for what only it can know; all else is evaluated here, so that
 * it means the same behind every source.
 *
 * @param types Those that may be delivered; a filter of another type filters nothing.
 * @see Bulk Data Kick-off, `_typeFilter` [PA-13, PA-14, PA-16]
 */
export const typeFiltersOf = (
  source: Source,
  filters: readonly string[],
  types: readonly string[] | undefined,
  lenient: boolean,
  giveUp: GiveUp,
): DividedFilters => {
  const { params, typeFilter: { perType = Infinity, needsType = false } = {} } = source.dialect.supports
  const isNative = params.includes('_typeFilter') && (!needsType || params.includes('_type'))
  const native: string[] = []
  const emulated: string[] = []
  for (const [type, alternatives] of Map.groupBy(filters, (filter) => filter.slice(0, filter.indexOf('?')))) {
    if (types !== undefined && !types.includes(type)) continue
    const unclear = alternatives.flatMap((filter) => {
      const problem = typeFilterProblem(filter)
      return problem === undefined ? [] : [{ filter, problem }]
    })
    const goesNatively =
      unclear.length === 0
        ? alternatives.every(isPlainFilter)
        : !lenient && !unclear.some(({ filter }) => isByKnownParameters(filter))
    if (isNative && alternatives.length <= perType && goesNatively) {
      native.push(...alternatives)
      continue
    }
    if (unclear.length === 0) emulated.push(...alternatives)
    const all =
      alternatives.length > 1
        ? ` All filters of ${type} were ignored: without one of them, the others would leave out what it lets through.`
        : ' The filter was ignored.'
    for (const { problem } of unclear) giveUp('_typeFilter', problem, problem + all)
  }
  return { native, emulated }
}

/** What becomes of `includeAssociatedData`. */
export interface AssociatedData {
  /** Codes for the vendor. */
  readonly native: readonly string[]
  /** Provenance is delivered beside the types that were asked for. */
  readonly adds: boolean
  /** We choose what is delivered of it: that of resources of these types. */
  readonly provenanceOf?: readonly string[]
}

const LATEST = 'LatestProvenanceResources'
const RELEVANT = 'RelevantProvenanceResources'
const NOTHING: AssociatedData = { native: [], adds: false }

/**
 * Divides `includeAssociatedData` between the vendor and us.
 *
 * @param types Those that may be delivered without it; `undefined` for all, and then so is Provenance [PA-12].
 * @see Bulk Data Kick-off, `includeAssociatedData` [PA-11, PA-12]
 */
export const associatedDataOf = (
  source: Source,
  { includeAssociatedData: codes, type }: KickoffParams,
  types: readonly string[] | undefined,
  mayRead: (type: string) => boolean,
  giveUp: GiveUp,
): AssociatedData => {
  const { params } = source.dialect.supports
  const isNative = params.includes('includeAssociatedData')
  const custom = codes.filter((code) => code !== LATEST && code !== RELEVANT)
  if (!isNative && custom.length > 0) {
    const text = 'includeAssociatedData has a code of its own that this source does not know.'
    giveUp('includeAssociatedData', `${text} Use ${RELEVANT}, or leave it out.`, `${text} It was ignored.`)
  }
  const native = isNative ? custom : []
  if (custom.length === codes.length) return { ...NOTHING, native }
  if (!source.types.includes('Provenance')) {
    const text = 'includeAssociatedData cannot be honoured: this source exports no Provenance.'
    giveUp('includeAssociatedData', `${text} Leave it out.`, `${text} It was ignored.`)
    return { ...NOTHING, native }
  }
  const adds = types !== undefined && !types.includes('Provenance')
  if (adds && !mayRead('Provenance')) {
    const text = 'includeAssociatedData needs the scope system/Provenance.rs, which the token does not cover.'
    giveUp(
      'includeAssociatedData',
      `${text} Ask for it, or leave the parameter out.`,
      `${text} It was ignored.`,
      'scope_insufficient',
    )
    return { ...NOTHING, native }
  }
  // Of two values in conflict the one that holds more counts.
  const code = codes.includes(RELEVANT) ? RELEVANT : LATEST
  if (!isNative && code === LATEST) {
    const text =
      'Only the whole export tells which Provenance is the latest, so LatestProvenanceResources cannot be honoured here.'
    giveUp('includeAssociatedData', `${text} Use ${RELEVANT}.`, `${text} All Provenance of the resources is delivered.`)
  }
  // What the vendor was not told to choose from is chosen from by us.
  const chooses = adds && type.length > 0 && !(isNative && params.includes('_type'))
  return { native: isNative ? [...native, code] : [], adds, ...(chooses ? { provenanceOf: types } : {}) }
}
