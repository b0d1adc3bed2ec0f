import { KICKOFF_PARAMETERS, type KickoffParameter, type Level } from '../fhir/kickoff-params.ts'
import type { HonouredParameter } from '../fhir/operation-definition.ts'
import { handlingOf, type Handling } from './handling.ts'
import { needsPatients } from './levels.ts'
import type { Source } from './source.ts'

/** What a source promises its clients about each parameter, in sentences for their developers. Who does the work is not their concern. */

/** Older data of patients who joined a group after `_since` [PA-03]. */
const NEWCOMERS: Readonly<Record<Handling, string>> = {
  native:
    'Whether data of patients who joined since then comes along is up to the source; list them in patient, without _since, to be sure of it.',
  emulated: 'Older data of patients who joined since then does not come along; list them in patient, without _since.',
  refused: '',
}

const PROMISES: Readonly<Record<KickoffParameter, string | Readonly<Record<'native' | 'emulated', string>>>> = {
  _outputFormat: 'application/fhir+ndjson; application/ndjson and ndjson mean the same.',
  _since: 'Resources that changed after it, and those that do not tell when they changed.',
  _until: 'Resources that changed before it, and those that do not tell when they changed.',
  _type: 'Types that the CapabilityStatement lists. Omitted: all that the token covers.',
  _elements: 'Root elements, as element or Type.element. Mandatory ones stay, and resources are tagged SUBSETTED.',
  patient: 'In the body of a POST only. Nothing that belongs to other patients alone is delivered.',
  includeAssociatedData: {
    native: 'RelevantProvenanceResources or LatestProvenanceResources; of both, the former.',
    emulated:
      'RelevantProvenanceResources. LatestProvenanceResources is refused unless RelevantProvenanceResources is there too.',
  },
  _typeFilter: {
    native:
      'Type?query. Which search parameters it may use is up to the source, and so is the refusal of one that it does not know.',
    emulated: 'Type?query, with the search parameters that the CapabilityStatement lists for the type.',
  },
  organizeOutputBy: {
    native: 'A resource type.',
    emulated: 'Patient.',
  },
  allowPartialManifests: 'true: the manifest may come in pages, the first of them before all files are there.',
}

/** The parameters that a source honours at a level, and those that it refuses [CS-02]. */
export const promisesOf = (
  source: Source,
  level: Level,
): { readonly honoured: readonly HonouredParameter[]; readonly refused: readonly KickoffParameter[] } => {
  const handling = handlingOf(source, level)
  const honoured = KICKOFF_PARAMETERS.flatMap((name): HonouredParameter[] => {
    const how = handling[name]
    if (how === 'refused') return []
    const promise = PROMISES[name]
    const sentence = typeof promise === 'string' ? promise : promise[how]
    const newcomers = name === '_since' && level === 'group' ? ` ${NEWCOMERS[how]}` : ''
    const isRequired = name === 'patient' && needsPatients(source, level)
    return [{ name, documentation: sentence + newcomers, ...(isRequired ? { isRequired } : {}) }]
  })
  // The system level has no such parameter, so nothing is refused there that anybody could expect.
  const refused = KICKOFF_PARAMETERS.filter((name) => handling[name] === 'refused' && !(name === 'patient' && level === 'system'))
  return { honoured, refused }
}
