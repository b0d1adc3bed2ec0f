/** What a fake vendor was sent, as counts. Nothing here grows with the traffic. */
export interface Traffic {
  readonly tokenRequests: number
  readonly tokensIssued: number
  readonly kickoffs: { readonly accepted: number; readonly refused: number }
  readonly statusRequests: number
  /** Status requests that came before the last `Retry-After` of their job had passed. */
  readonly earlyStatusRequests: number
  readonly fileRequests: number
  /** Requests to the presigned store. */
  readonly storeRequests: number
  readonly bearersAtStore: number
  readonly maxInFlight: number
  readonly cancels: number
  readonly groupReads: number
  /** Answers 401. */
  readonly unauthorized: number
  /** `GET /fhir/Group/{id}` → how often. */
  readonly paths: Readonly<Record<string, number>>
  /** Values of headers that a vendor wants to see, each once. */
  readonly seen: Readonly<Record<string, readonly string[]>>
}

export type Counter =
  | 'tokenRequests'
  | 'tokensIssued'
  | 'statusRequests'
  | 'earlyStatusRequests'
  | 'fileRequests'
  | 'storeRequests'
  | 'bearersAtStore'
  | 'cancels'
  | 'groupReads'
  | 'unauthorized'

export interface TrafficRecorder {
  count(counter: Counter): void
  kickoff(accepted: boolean, inFlight: number): void
  path(method: string, path: string): void
  see(header: string, value: string): void
  snapshot(): Traffic
}

const MAX_PATHS = 200
const MAX_SEEN = 20
const FIXED_SEGMENT = /^(?:[A-Za-z][A-Za-z$._-]*|R4|r4|v2|\$export|smart-v1|oauth2)$/

const shapeOf = (path: string): string =>
  path
    .split('/')
    .map((segment) => (segment === '' || segment.startsWith('$') || FIXED_SEGMENT.test(segment) ? segment : '{id}'))
    .join('/')

export const recordTraffic = (): TrafficRecorder => {
  const counts: Record<Counter, number> = {
    tokenRequests: 0,
    tokensIssued: 0,
    statusRequests: 0,
    earlyStatusRequests: 0,
    fileRequests: 0,
    storeRequests: 0,
    bearersAtStore: 0,
    cancels: 0,
    groupReads: 0,
    unauthorized: 0,
  }
  const kickoffs = { accepted: 0, refused: 0 }
  const paths = new Map<string, number>()
  const seen = new Map<string, Set<string>>()
  let maxInFlight = 0
  return {
    count: (counter) => {
      counts[counter] += 1
    },
    kickoff: (accepted, inFlight) => {
      kickoffs[accepted ? 'accepted' : 'refused'] += 1
      maxInFlight = Math.max(maxInFlight, inFlight)
    },
    path: (method, path) => {
      const shape = `${method} ${shapeOf(path)}`
      const key = paths.has(shape) || paths.size < MAX_PATHS ? shape : 'other'
      paths.set(key, (paths.get(key) ?? 0) + 1)
    },
    see: (header, value) => {
      const values = seen.get(header) ?? new Set<string>()
      if (values.size < MAX_SEEN) values.add(value)
      seen.set(header, values)
    },
    snapshot: () => ({
      ...counts,
      kickoffs: { ...kickoffs },
      maxInFlight,
      paths: Object.fromEntries(paths),
      seen: Object.fromEntries([...seen].map(([header, values]) => [header, [...values]])),
    }),
  }
}
