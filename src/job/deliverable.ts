import type { FileKind, ParsedManifest } from '../fhir/manifest.ts'
import { RESOURCE_TYPES } from '../fhir/resource-types.ts'

/**
 * The files of a vendor's manifest that may be delivered. A type outside the client's right is not even fetched [KO-14], and neither
 * is one that is not FHIR's: some vendors export their own bookkeeping along with it.
 */
export function* deliverable(
  manifest: ParsedManifest,
  types: readonly string[] | undefined,
): Generator<{ kind: FileKind; url: string; type?: string; count?: number }> {
  for (const kind of ['output', 'deleted', 'error'] as const) {
    for (const file of manifest[kind]) {
      const wanted = file.type === undefined || (types ? types.includes(file.type) : RESOURCE_TYPES.has(file.type))
      // What those hold is fixed, whatever the vendor calls it: its words are not to reach our manifest.
      if (kind !== 'output') yield { kind, ...file, type: kind === 'deleted' ? 'Bundle' : 'OperationOutcome' }
      else if (wanted) yield { kind, ...file }
    }
  }
}
