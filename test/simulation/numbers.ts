import type { Plan } from './plan.ts'

/* What the engine is configured with, and held to. */

export const PUBLIC_BASE = 'https://bulk.example'
export const VENDOR_BASE = 'https://ehr.example/fhir'
export const TOKEN_URL = 'https://ehr.example/token'
export const SOURCE_ID = 's1'
export const OTHER_SOURCE_ID = 's2'
/** Rows that changed later are left out where a plan says so. */
export const UNTIL = '2025-01-01T00:00:00Z'
export const FLOOR_MS = 5_000
export const POLL_MS = 30_000
export const MAX_POLL_MS = 3_600_000
export const HIDDEN_MS = 900_000
export const RETENTION_MS = 600_000
export const GRACE_MS = 60_000
export const COOLDOWN_MS = 3_600_000
const SHORT_DEADLINE_MS = 1_200_000
const LONG_DEADLINE_MS = 14_400_000

export const deadlineMsOf = (plan: Plan): number =>
  plan.longDeadline && plan.habit !== 'endless' ? LONG_DEADLINE_MS : SHORT_DEADLINE_MS
