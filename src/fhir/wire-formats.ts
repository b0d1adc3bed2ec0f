import { parseKickoffParameters, parseKickoffQuery } from './kickoff-params.ts'
import { FILE_MEMBERS, manifestPieces } from './manifest.ts'

/**
 * What a version of the specification looks like on the wire. Everything behind it (plan, job, files) speaks of parameters and files
 * and knows no version, so that another one is another entry here and a route that picks it.
 *
 * @see https://hl7.org/fhir/uv/bulkdata/history.html
 */
export interface WireFormat {
  readonly version: '3.0'
  readonly parseQuery: typeof parseKickoffQuery
  readonly parseParameters: typeof parseKickoffParameters
  /** What an entry of a manifest says, in the order in which it is written; each is left out where there is nothing to say. */
  readonly fileMembers: typeof FILE_MEMBERS
  readonly manifestPieces: typeof manifestPieces
}

/** By version of the implementation guide. */
export const WIRE_FORMATS: Readonly<Record<WireFormat['version'], WireFormat>> = {
  '3.0': {
    version: '3.0',
    parseQuery: parseKickoffQuery,
    parseParameters: parseKickoffParameters,
    fileMembers: FILE_MEMBERS,
    manifestPieces,
  },
}
