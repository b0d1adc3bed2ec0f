import { generatedDeletions, type Deletion } from './deletions.ts'
import { digestLines, type Chunks, type Digest } from './ndjson.ts'
import { countResources, GENERATED_TYPES, generateNdjson, MAX_PER_PATIENT, unitsOf } from './patients.ts'
import { ids } from './resources.ts'

/** Id of the group that holds every patient, at vendors whose group ids are free. */
export const GROUP_ID = 'all-patients'
/** The same group where ids are UUIDs. */
export const GROUP_UUID = '3f0c1a52-8d5e-4c6b-9a57-6b1f2c9e7d10'
/** A group without a `member`. */
export const EMPTY_GROUP_UUID = '91b7a3de-0c44-4f0e-8a6d-52d0e4c1b7aa'
export const GROUP_NAME = 'All synthetic patients'

/** One slice of a type's content. Opening it twice gives the same bytes. */
export interface DatasetFile {
  readonly type: string
  /** From 0, within the type. */
  readonly index: number
  readonly resources: number
  /** Names these very bytes, so that it can stand in an ETag. */
  readonly version: string
  open(): Chunks
}

/** What the fake EHRs hold. Nothing of it is in memory: every slice is a stream that can be opened again. */
export interface Dataset {
  /** Types that have at least one resource. */
  readonly types: readonly string[]
  readonly patients: number
  /** No patient has more resources of one type than this. Absent: not known. */
  readonly maxPerPatient?: number
  /**
   * A type's content as consecutive slices, always the same for the same arguments; none for a type that is not held.
   *
   * @param perFile Patients (generated data) or resources (a directory's) in one slice. `Infinity`: one slice for the type. Omitted:
   *   one slice, or the directory's own files as they are.
   */
  files(type: string, perFile?: number): Promise<readonly DatasetFile[]>
  patientIds(): AsyncIterable<string>
  /** What was there once. Absent: nothing is known of it. */
  deletions?(): Iterable<Deletion>
}

/** Count and sha256 of a type's whole canonical content. */
export const digest = async (dataset: Dataset, type: string): Promise<Digest> => {
  const files = await dataset.files(type)
  return digestLines(files.map((file) => file.open()))
}

/** Synthetic patients, made anew each time they are read. */
export const generatedDataset = (patients: number): Dataset => {
  if (!Number.isInteger(patients) || patients < 1) throw new Error(`patients: a whole number from 1, not ${patients}`)
  return {
    types: GENERATED_TYPES,
    patients,
    maxPerPatient: MAX_PER_PATIENT,
    files: async (type, perFile = Infinity) => {
      if (!GENERATED_TYPES.includes(type)) return []
      const units = unitsOf(type, patients)
      const perSlice = Math.max(1, Math.min(perFile, units))
      return Array.from({ length: Math.ceil(units / perSlice) }, (_, index) => {
        const from = index * perSlice
        const to = Math.min(units, from + perSlice)
        return {
          type,
          index,
          resources: countResources(type, from, to),
          version: `${type}-${from}-${to}`,
          open: () => generateNdjson(type, from, to),
        }
      })
    },
    patientIds: async function* () {
      for (let patient = 0; patient < patients; patient += 1) yield ids.patient(patient)
    },
    deletions: () => generatedDeletions(patients),
  }
}
