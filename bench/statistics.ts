/** The middle value; NaN of none. */
export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((one, other) => one - other)
  const middle = Math.floor(sorted.length / 2)
  const [low = NaN, high = NaN] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]]
  return (low + high) / 2
}

/**
 * Median distance from the median: at least half of all runs lie no farther, whatever a single one of them did. Of two runs it is half
 * their distance, and of one it is 0, which says nothing.
 */
export const deviation = (values: readonly number[]): number => {
  const middle = median(values)
  return median(values.map((value) => Math.abs(value - middle)))
}

/** What two things came to that were measured in turn. */
export interface Comparison {
  readonly figure: number
  readonly yardstick: number
  /** Of ours to the yardstick, run by run: what disturbed the machine for a while disturbed both. */
  readonly ratio: number
  /** `deviation` of that ratio; a single run has none. */
  readonly noise?: number
}

export const compared = (ours: readonly number[], theirs: readonly number[]): Comparison => {
  const ratios = ours.map((figure, run) => figure / (theirs[run] ?? NaN))
  const noise = ratios.length < 2 ? {} : { noise: deviation(ratios) }
  return { figure: median(ours), yardstick: median(theirs), ratio: median(ratios), ...noise }
}

/**
 * Measures both in turn; which goes first alternates, so that neither always follows the other.
 *
 * @param warmUps Runs before those that count.
 */
export const compare = async (
  runs: number,
  ours: () => Promise<number>,
  theirs: () => Promise<number>,
  warmUps = 0,
): Promise<Comparison> => {
  for (let run = 0; run < warmUps; run += 1) {
    await theirs()
    await ours()
  }
  const figures: [number[], number[]] = [[], []]
  for (let run = 0; run < runs; run += 1) {
    if (run % 2 === 0) figures[1].push(await theirs())
    figures[0].push(await ours())
    if (run % 2 === 1) figures[1].push(await theirs())
  }
  return compared(...figures)
}

/** Where the straight line through two points is at `x`. */
export const onLine = ([x1, y1]: readonly [number, number], [x2, y2]: readonly [number, number], x: number): number =>
  y1 + ((y2 - y1) / (x2 - x1)) * (x - x1)
