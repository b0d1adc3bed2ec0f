import { ExportError } from '../errors.ts'
import { parseVendorInstant } from '../fhir/instant.ts'
import type { KickoffParameter, KickoffParams } from '../fhir/kickoff-params.ts'
import type { Issue } from '../fhir/operation-outcome.ts'
import { RESOURCE_TYPES } from '../fhir/resource-types.ts'
import { isIdle, type RowWork } from '../rows/row-work.ts'
import { handlingOf, takesPatients } from './handling.ts'
import { askedOf, needsPatients, type Target } from './levels.ts'
import { associatedDataOf, typeFiltersOf, type GiveUp } from './plan-parameters.ts'
import type { Source } from './source.ts'

/** An export as its client asks for it. */
export interface ExportAsked extends Target {
  readonly params: KickoffParams
  /** Types that the source, the client's `_type` and its token leave; absent when all may be delivered. */
  readonly types?: readonly string[]
  /** Go on without what cannot be done, and report it [KO-09]. */
  readonly lenient: boolean
  /** Whether the client's token covers a type. */
  readonly mayRead: (type: string) => boolean
}

/** Who does what: what goes to the vendor, and what is left to us. */
export interface ExportPlan {
  /** Where the vendor is asked, when that is not where the client asks. */
  readonly asked?: Target
  /** As they go to the vendor. */
  readonly params: KickoffParams
  /** What is done to rows by us. Absent: nothing. */
  readonly rows?: RowWork
  readonly organizeBy?: 'Patient'
  /** The vendor organizes its files by this type. */
  readonly organizedBy?: string
  /** Types that may be delivered; absent when all may. */
  readonly types?: readonly string[]
  /** What a lenient client is told was left out [MF-22]. */
  readonly notes: readonly Issue[]
}

/** Work for which a row has to be whole, so that elements can only be pruned after it, by us [PA-20]. */
const NEEDS_WHOLE_ROWS: readonly (keyof RowWork)[] = ['sinceMs', 'untilMs', 'patients', 'typeFilter', 'provenanceOf']

/** A group that comes along with its export at some vendors, and at others does not, is not delivered unless it is asked for. */
const WITHOUT_GROUP: readonly string[] = [...RESOURCE_TYPES].filter((type) => type !== 'Group')

/**
 * Divides an export between the vendor and us.
 *
 * @throws ExportError for what can be done by neither, unless the client is lenient: `parameter_unsupported`, `parameter_invalid`,
 *   `level_unsupported`, `scope_insufficient`. A list of patients is never ignored: the export would hold everybody else.
 * @see Bulk Data Kick-off, Query Parameters, Processing Model [PA-01..PA-20]
 */
export const planExport = (source: Source, { params, types, lenient, mayRead, ...target }: ExportAsked): ExportPlan => {
  const asked = askedOf(source, target, params.patient.length > 0)
  if (asked === undefined) throw unserved(source, target)
  const { supports } = source.dialect
  const handling = handlingOf(source, target.level)
  const notes: Issue[] = []
  const giveUp: GiveUp = (parameter, refusal, ignored, code = 'parameter_unsupported') => {
    if (!lenient) throw new ExportError(code, refusal, { parameter })
    notes.push({ severity: 'warning', code: 'not-supported', diagnostics: ignored, expression: parameter })
  }
  const sendsTypes = supports.params.includes('_type')

  const filters = typeFiltersOf(source, params.typeFilter, types, lenient, giveUp)
  const needsTypes = filters.native.length > 0 && supports.typeFilter?.needsType === true
  const allowed = types ?? (needsTypes ? source.types : undefined)
  const associated = associatedDataOf(source, params, allowed, mayRead, giveUp)
  const picksNatively = takesPatients(source, asked)
  const filtering: RowWork = {
    ...timeWork('_since', 'sinceMs', params.since, handling, giveUp),
    ...timeWork('_until', 'untilMs', params.until, handling, giveUp),
    ...(params.patient.length === 0 || picksNatively ? {} : { patients: params.patient.map(idOf) }),
    ...(filters.emulated.length === 0 ? {} : { typeFilter: filters.emulated }),
    ...(associated.provenanceOf === undefined ? {} : { provenanceOf: associated.provenanceOf }),
  }
  const isFiltered = NEEDS_WHOLE_ROWS.some((work) => filtering[work] !== undefined)
  const isPruned = params.elements.length > 0 && (isFiltered || handling._elements !== 'native')
  // Files that hold more than one type cannot be left out by their type.
  const isWhole = !isFiltered && !isPruned && (allowed === undefined || sendsTypes)
  const organized = organizedWork(source, params.organizeOutputBy, isWhole, giveUp)
  const prunes = isPruned || (params.elements.length > 0 && organized.organizeBy !== undefined)

  const rows: RowWork = { ...filtering, ...(prunes ? { elements: params.elements } : {}) }
  const listed = params.type.length > 0 || types !== undefined || needsTypes ? (allowed ?? []) : []
  const askedTypes = associated.adds && associated.provenanceOf !== undefined ? [...listed, 'Provenance'] : listed
  const vendorParams: KickoffParams = {
    type: sendsTypes ? askedTypes : [],
    elements: prunes ? [] : params.elements,
    patient: picksNatively ? params.patient : [],
    includeAssociatedData: associated.native,
    typeFilter: filters.native,
    ...(params.since !== undefined && handling._since === 'native' ? { since: params.since } : {}),
    ...(params.until !== undefined && handling._until === 'native' ? { until: params.until } : {}),
    ...(organized.organizedBy === undefined ? {} : { organizeOutputBy: organized.organizedBy }),
  }
  const delivered = associated.adds ? [...(allowed ?? []), 'Provenance'] : allowed
  const deliverable = delivered ?? (target.level === 'system' || source.types.includes('Group') ? undefined : WITHOUT_GROUP)
  return {
    ...(asked.level === target.level && asked.groupId === target.groupId ? {} : { asked }),
    params: vendorParams,
    ...(isIdle(rows) ? {} : { rows }),
    ...organized,
    ...(deliverable === undefined ? {} : { types: deliverable }),
    notes,
  }
}

const idOf = (reference: string): string => reference.slice(reference.lastIndexOf('/') + 1)

const unserved = (source: Source, target: Target): ExportError =>
  needsPatients(source, target.level)
    ? new ExportError(
        'parameter_invalid',
        `This source exports at the ${target.level} level only patients that are listed. POST a Parameters body with patient, or export a group.`,
        { parameter: 'patient' },
      )
    : new ExportError('level_unsupported', `This source has no ${target.level}-level export; its /metadata lists what it has.`)

const FINER_THAN_MS = /\.\d{3}\d*[1-9]/

/** `_since` or `_until`, as far as it is left to us. */
const timeWork = (
  parameter: '_since' | '_until',
  member: 'sinceMs' | 'untilMs',
  instant: string | undefined,
  handling: Readonly<Record<KickoffParameter, string>>,
  giveUp: GiveUp,
): RowWork => {
  if (instant === undefined || handling[parameter] === 'native') return {}
  const ms = parseVendorInstant(instant)
  if (handling[parameter] === 'emulated' && ms !== undefined) {
    // Rows of a millisecond that the client cuts in two are delivered: too much is harmless, and too little is lost.
    const margin = FINER_THAN_MS.test(instant) ? 1 : 0
    return { [member]: member === 'sinceMs' ? ms - margin : ms + margin }
  }
  giveUp(
    parameter,
    `${parameter} cannot be honoured: neither this source nor its resources tell when they changed. Leave it out.`,
    `${parameter} was ignored: neither this source nor its resources tell when they changed.`,
  )
  return {}
}

/** Who organizes the files, if anybody does. */
const organizedWork = (
  source: Source,
  type: string | undefined,
  isWhole: boolean,
  giveUp: GiveUp,
): Pick<ExportPlan, 'organizeBy' | 'organizedBy'> => {
  if (type === undefined) return {}
  const isNative = source.dialect.supports.params.includes('organizeOutputBy')
  // Rows that are taken out of the vendor's blocks would leave headers without what they head.
  if (isNative && isWhole) return { organizedBy: type }
  if (type === 'Patient' && source.retention === 'r2') return { organizeBy: 'Patient' }
  const reason = isNative
    ? 'this source cannot do it together with the other parameters'
    : source.retention === 'r2'
      ? 'this source organizes by Patient only'
      : 'this source streams files as they are'
  const remedy = !isNative && source.retention === 'r2' ? 'Use organizeOutputBy=Patient, or leave it out' : 'Leave it out'
  giveUp(
    'organizeOutputBy',
    `organizeOutputBy cannot be honoured: ${reason}. ${remedy}.`,
    `organizeOutputBy was ignored: ${reason}.`,
  )
  return {}
}
