import { parseKickoffParameters, parseKickoffQuery } from './kickoff-params.ts'
import { manifestChunks } from './manifest.ts'

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
  readonly manifestChunks: typeof manifestChunks
}

/** By version of the implementation guide. */
export const WIRE_FORMATS: Readonly<Record<WireFormat['version'], WireFormat>> = {
  '3.0': { version: '3.0', parseQuery: parseKickoffQuery, parseParameters: parseKickoffParameters, manifestChunks },
}
