/** What the platform bills, as the layer `counting` counts it. */
export interface Counts {
  readonly workerRequests: number
  /** Calls of an object's methods, and alarms. */
  readonly objectRequests: number
  readonly rowsRead: number
  readonly rowsWritten: number
  /** R2's operations that change, list or begin something. */
  readonly classA: number
  /** R2's operations that read. */
  readonly classB: number
  /** R2's operations that cost nothing. */
  readonly free: number
}

/** What was counted since the last call. */
export const takeCounts = async (base: string): Promise<Counts> => (await (await fetch(`${base}/_counts`)).json()) as Counts
