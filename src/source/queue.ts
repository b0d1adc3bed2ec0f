/** A job that waits for a slot. */
export interface Waiting {
  readonly job: string
  readonly client: string
  readonly source: string
  /** What the vendor counts kick-offs by: the level and group. */
  readonly target: string
  /** When it first asked, epoch ms. It keeps it when the vendor sends it back into the queue. */
  readonly sinceMs: number
  /** When the vendor may be asked again for this job whatever the queue, epoch ms: cool-down, pause, circuit breaker. */
  readonly readyMs: number
  /** Least time between two kick-offs of its target; 0 for none. */
  readonly coolMs: number
  /** Slots that there are for its source; `Infinity` where no limit is known. */
  readonly inFlight: number
}

/** What clients have had already; one who is in neither map has had nothing. */
export interface Turns {
  /** Slots that a client has now. */
  readonly leases: ReadonlyMap<string, number>
  /** When a client was last granted one, epoch ms. */
  readonly grantedMs: ReadonlyMap<string, number>
}

/** A job's place in the queue: that of this entry. */
export interface Place {
  readonly waiting: Waiting
  /** No earlier than this, epoch ms, even if slots are free. */
  readonly dueMs: number
}

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)

const byAge = (one: Waiting, other: Waiting): number => one.sinceMs - other.sinceMs || compare(one.job, other.job)

/**
 * Waiting jobs in the order in which they will be served: who may go earlier first; then turn by turn between clients, where one
 * whose turn is longer ago comes first; and first come first served within one client. So one that cools down keeps nobody from a
 * free slot, and none of its client's turns is spent on it.
 */
export const lineOf = (waiting: readonly Waiting[], turns: Turns, now: number): Place[] => {
  const line = ordered(
    waiting.map((one) => ({ waiting: one, dueMs: Math.max(now, one.readyMs) })),
    turns,
  )
  if (waiting.every(({ coolMs }) => coolMs === 0)) return line
  // The kick-off of one makes the others of its target cool down.
  const freeMs = new Map<string, number>()
  const spaced = line.map(({ waiting: one, dueMs }): Place => {
    if (one.coolMs === 0) return { waiting: one, dueMs }
    const ownMs = Math.max(dueMs, freeMs.get(one.target) ?? 0)
    freeMs.set(one.target, ownMs + one.coolMs)
    return { waiting: one, dueMs: ownMs }
  })
  return ordered(spaced, turns)
}

const ordered = (places: readonly Place[], { leases, grantedMs }: Turns): Place[] => {
  const had = new Map(leases)
  return places
    .toSorted((one, other) => one.dueMs - other.dueMs || byAge(one.waiting, other.waiting))
    .map((place) => {
      const { client } = place.waiting
      const turn = (had.get(client) ?? 0) + 1
      had.set(client, turn)
      return { place, turn, lastMs: grantedMs.get(client) ?? 0 }
    })
    .toSorted(
      (one, other) =>
        one.place.dueMs - other.place.dueMs ||
        one.turn - other.turn ||
        one.lastMs - other.lastMs ||
        byAge(one.place.waiting, other.place.waiting),
    )
    .map(({ place }) => place)
}

/** Whether the job at an index of the line may have a slot now. */
export const isServed = (place: Place, index: number, leases: number, now: number): boolean =>
  place.dueMs <= now && index < place.waiting.inFlight - leases
