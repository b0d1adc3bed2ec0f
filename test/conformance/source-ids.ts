/** The sources of the sandbox. */
export const SOURCES = ['generic', 'oracle-health', 'redox', 'medplum', 'vendor-x'] as const
export type SourceId = (typeof SOURCES)[number]
