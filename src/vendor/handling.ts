import type { KickoffParameter, Level } from '../fhir/kickoff-params.ts'
import { askedOf, type Target } from './levels.ts'
import type { Source } from './source.ts'

/** Who does what a parameter asks for: the vendor, Bulkhead, or nobody. */
export type Handling = 'native' | 'emulated' | 'refused'

/** Whether a vendor that is asked there can be told a list of patients: in a body only [PA-09]. */
export const takesPatients = ({ dialect: { supports } }: Source, { level }: Target): boolean =>
  level !== 'system' && supports.levels[level] === 'POST' && supports.params.includes('patient')

/**
 * How each parameter is handled at a level of a source. What a single request combines may still be done by us though the vendor could:
 * `planExport` says that.
 *
 * @see Bulk Data Kick-off, Query Parameters [PA-01..PA-18]
 */
export const handlingOf = (source: Source, level: Level): Readonly<Record<KickoffParameter, Handling>> => {
  const { params, lastUpdated = true } = source.dialect.supports
  const natively = (name: KickoffParameter, otherwise: Handling): Handling => (params.includes(name) ? 'native' : otherwise)
  const byTime = lastUpdated ? 'emulated' : 'refused'
  const asked = askedOf(source, { level }, true)
  return {
    _outputFormat: 'emulated',
    _since: natively('_since', byTime),
    _until: natively('_until', byTime),
    _type: natively('_type', 'emulated'),
    _elements: natively('_elements', 'emulated'),
    patient: level === 'system' ? 'refused' : asked && takesPatients(source, asked) ? 'native' : 'emulated',
    includeAssociatedData: source.types.includes('Provenance') ? natively('includeAssociatedData', 'emulated') : 'refused',
    _typeFilter: natively('_typeFilter', 'emulated'),
    // Blocks are made into new files, and those have to rest somewhere.
    organizeOutputBy: natively('organizeOutputBy', source.retention === 'r2' ? 'emulated' : 'refused'),
    allowPartialManifests: 'emulated',
  }
}
