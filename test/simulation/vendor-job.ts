import { gzipSync } from 'node:zlib'
import type { JobPlan, Plan, Wrapping } from './plan.ts'

type Bytes = Uint8Array<ArrayBuffer>

/** What stands among rows of these where a plan says so. */
const OTHER_TYPE = 'Procedure'
const LATER = '2025-06-01T00:00:00Z'
const LATE_EVERY = 4
const TYPES = ['Patient', 'Observation', 'Condition', 'Encounter'] as const

/** Characters of an id that make a line as long as a part. */
const PADDED = 29

/** One file as the vendor has it. */
export interface VendorFile {
  readonly index: number
  readonly type: string
  /** As the specification wants it. */
  readonly text: string
  /** What the client is to have of it, by type: a file for each. */
  readonly wanted: ReadonlyMap<string, string>
  /** As it comes over the wire. */
  readonly bytes: Bytes
  readonly lines: number
  readonly wrapping: Wrapping
}

/** An export at the vendor. */
export interface VendorJob {
  readonly number: number
  /** Which of our jobs it is for: the number in its `_since`. */
  readonly forJob: number
  readonly takenMs: number
  readonly files: readonly VendorFile[]
  isRunning: boolean
  isLost: boolean
  /** It was done, and said later that it runs. */
  wentBack: boolean
  /** We were told where it is. */
  isKnown: boolean
  pollsLeft: number
  /** DELETEs that were sent, whether or not they arrived. */
  deletes: number
  /** URLs of files are signed with this; older ones have run out. */
  generation: number
  /** Files whose reading broke off once. */
  readonly broken: Set<number>
  /** Part of the files' tags. */
  edition: number
  /** No status request before this. */
  pollFromMs: number
  /** The manifest was given. */
  isDone: boolean
}

const encoded = (text: string): Bytes => new Uint8Array(new TextEncoder().encode(text))

const wrapped = (text: string, wrapping: Wrapping): Bytes => {
  switch (wrapping) {
    case 'plain':
    case 'no-length':
      return encoded(text)
    case 'crlf':
      return encoded(text.replaceAll('\n', '\r\n'))
    case 'no-final-newline':
      return encoded(text.slice(0, -1))
    case 'gzip':
      return new Uint8Array(gzipSync(text))
    case 'byte-order-mark':
      return encoded(`\u{feff}${text}`)
  }
}

/** No two files of a history hold the same line. */
const filesOf = (plan: JobPlan, { streams, filters, organizes }: Plan, number: number, forJob: number): VendorFile[] =>
  plan.files.map((lines, index) => {
    const type = TYPES[index] ?? 'Patient'
    // Some files are as long as a number of parts, others are not.
    const pad = type === 'Patient' ? PADDED : 0
    const wanted = new Map<string, string>()
    const line = (n: number): string => {
      // A file that is not kept cannot be parted.
      const resourceType = plan.isMixed && !streams && n % 2 === 1 ? OTHER_TYPE : type
      const isLate = filters && n % LATE_EVERY === 0
      const resource = {
        resourceType,
        id: `job${forJob}-${number}-${index}-${n}`.padEnd(pad, '-'),
        ...(isLate ? { meta: { lastUpdated: LATER } } : {}),
        ...(organizes && resourceType !== 'Patient' ? { subject: { reference: `Patient/p${n % 3}` } } : {}),
      }
      const row = `${JSON.stringify(resource)}\n`
      if (!isLate) wanted.set(resourceType, (wanted.get(resourceType) ?? '') + row)
      return row
    }
    const text = Array.from({ length: lines }, (_, n) => line(n)).join('')
    const wrapping = text === '' ? 'plain' : plan.wrapping
    return { index, type, text, wanted, bytes: wrapped(text, wrapping), lines, wrapping }
  })

export const newVendorJob = (
  plan: JobPlan,
  of: Plan,
  { number, forJob, nowMs }: { readonly number: number; readonly forJob: number; readonly nowMs: number },
): VendorJob => ({
  number,
  forJob,
  takenMs: nowMs,
  files: filesOf(plan, of, number, forJob),
  isRunning: true,
  isLost: false,
  wentBack: false,
  isKnown: false,
  pollsLeft: plan.polls,
  deletes: 0,
  generation: 0,
  broken: new Set(),
  edition: 0,
  pollFromMs: nowMs,
  isDone: false,
})
