import type { SourceId } from './source-ids.ts'

const UNKNOWN_PATIENT =
  'Bulkhead picks the patients out of what the EHR exports, and asks it nothing before: a patient that does not exist gives an export without patients, and a warning in its `error`'

/** Requirement → source → why it is not met there. Nothing else may fail or be warned of on a source of ours. */
export const KNOWN_REASONS: Readonly<Record<string, Partial<Readonly<Record<SourceId, string>>>>> = {
  'PA-10': {
    generic: UNKNOWN_PATIENT,
    'oracle-health': UNKNOWN_PATIENT,
    redox: UNKNOWN_PATIENT,
    medplum: UNKNOWN_PATIENT,
    'vendor-x': UNKNOWN_PATIENT,
  },
}
