import type { KickoffParameter, KickoffParams } from '../fhir/kickoff-params.ts'

const FIELDS = {
  _outputFormat: 'outputFormat',
  _since: 'since',
  _until: 'until',
  _type: 'type',
  _elements: 'elements',
  patient: 'patient',
  includeAssociatedData: 'includeAssociatedData',
  _typeFilter: 'typeFilter',
  organizeOutputBy: 'organizeOutputBy',
  allowPartialManifests: 'allowPartialManifests',
} as const satisfies Record<KickoffParameter, keyof KickoffParams>

/** The same kick-off without one parameter. */
export const withoutParameter = (params: KickoffParams, name: KickoffParameter): KickoffParams => {
  const field = FIELDS[name]
  if (Array.isArray(params[field])) return { ...params, [field]: [] }
  const { [field]: _, ...rest } = params
  return rest as KickoffParams
}
