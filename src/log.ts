/** What a log line may hold: ids, states, sizes, durations, codes, vendor trace ids. Never a URL, a token, or anything of a patient. */
interface LogFields {
  readonly event: string
  readonly jobId?: string
  readonly sourceId?: string
  readonly from?: string
  readonly to?: string
  readonly state?: string
  readonly code?: string
  /** Name of an error class, never its message. */
  readonly error?: string
  readonly count?: number
  readonly trace?: Readonly<Record<string, string>>
}

/** One line of JSON. */
export const log = (level: 'info' | 'warn' | 'error', fields: LogFields): void => {
  // eslint-disable-next-line no-console
  console[level](JSON.stringify({ level, ...fields }))
}

/** What of an unknown error may be logged. */
export const nameOf = (error: unknown): string => (error instanceof Error ? error.name : typeof error)
