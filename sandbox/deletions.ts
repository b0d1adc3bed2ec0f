import { exportFile, type ExportFile } from './export-files.ts'
import type { Dataset } from './dataset.ts'
import { random } from './random.ts'
import { DELETED_NTH, FIRST_UPDATE_MS, ids, UPDATE_WINDOW_SECONDS } from './resources.ts'
import type { ExportFilter } from './row-filter.ts'

/** A resource that was there once. */
export interface Deletion {
  readonly type: string
  readonly id: string
  readonly patientId: string
  readonly deletedMs: number
}

const ENTRIES_PER_BUNDLE = 20

/** Every third patient has lost an Observation and a Condition, each at a time of its own. Their ids are no one's now. */
export function* generatedDeletions(patients: number): Generator<Deletion> {
  for (let patient = 0; patient < patients; patient += 3) {
    for (const [type, kind] of [
      ['Observation', 'obs'],
      ['Condition', 'cond'],
    ] as const) {
      const deletedMs = FIRST_UPDATE_MS + random(98, patient, kind.length).below(UPDATE_WINDOW_SECONDS) * 1000
      yield { type, id: ids.of(kind, patient, DELETED_NTH), patientId: ids.patient(patient), deletedMs }
    }
  }
}

const isAsked = (
  { type, patientId, deletedMs }: Deletion,
  { types, sinceMs = -Infinity, untilMs = Infinity, patientIds }: ExportFilter,
) => deletedMs > sinceMs && deletedMs < untilMs && types?.includes(type) !== false && patientIds?.has(patientId) !== false

/**
 * Files of `deleted`: transaction Bundles of what was deleted since then [MF-11], [MF-12]. None without `_since`, for nothing that was
 * exported before can be meant.
 */
export const deletedFiles = (dataset: Dataset, filter: ExportFilter): readonly ExportFile[] => {
  if (filter.sinceMs === undefined) return []
  const asked = [...(dataset.deletions?.() ?? [])].filter((deletion) => isAsked(deletion, filter))
  const bundles = Array.from({ length: Math.ceil(asked.length / ENTRIES_PER_BUNDLE) }, (_, nth) => ({
    resourceType: 'Bundle',
    type: 'transaction',
    entry: asked
      .slice(nth * ENTRIES_PER_BUNDLE, (nth + 1) * ENTRIES_PER_BUNDLE)
      .map(({ type, id }) => ({ request: { method: 'DELETE', url: `${type}/${id}` } })),
  }))
  if (bundles.length === 0) return []
  const bytes = Buffer.from(bundles.map((bundle) => `${JSON.stringify(bundle)}\n`).join(''))
  const open = async function* () {
    yield bytes
  }
  return [exportFile({ type: 'Bundle', resources: bundles.length, version: `deleted-${bytes.toString('base64')}`, open })]
}
