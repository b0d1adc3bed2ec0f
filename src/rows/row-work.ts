/**
 * What an export does to rows by itself, because its vendor does not. Plain data, kept with the job; empty for most jobs. Each member that
 * is present lets fewer rows out, or less of a row.
 *
 * @see Bulk Data Kick-off, Processing Model [PA-20]
 */
export interface RowWork {
  /** Epoch milliseconds: only what changed after it, and what does not tell when it changed [PA-02]. */
  readonly sinceMs?: number
  /** Epoch milliseconds: only what changed before it, and what does not tell [PA-04]. */
  readonly untilMs?: number
  /** Ids of patients. Of the types in the Patient compartment only what belongs to one of them; all of the others [PA-09]. */
  readonly patients?: readonly string[]
  /** `Type?query` each; those of one type are alternatives, a type without one is not filtered [PA-13], [PA-14]. */
  readonly typeFilter?: readonly string[]
  /** `element` or `Type.element` [PA-08]. */
  readonly elements?: readonly string[]
  /** Provenance only of resources of these types [PA-11]. */
  readonly provenanceOf?: readonly string[]
}

/** Whether nothing is to be done to rows, so that they need not be looked at. */
export const isIdle = (work: RowWork): boolean => Object.values(work).every((member) => member === undefined)
