import * as fc from 'fast-check'
import { runHistory } from './history.ts'
import { plans, type Plan } from './plan.ts'

/** Histories between two looks at the clock; each lot has a seed of its own. */
const LOT = 2_500

export interface Simulated {
  readonly histories: number
  readonly steps: number
  readonly ends: ReadonlyMap<string, number>
}

/** What to run: a number of histories from a seed on, or the one history at a path. */
export interface Simulation {
  readonly seed: number
  readonly histories: number
  readonly path?: string
  /** Told now and then how many are done. */
  progress?(done: number): void
}

/** @throws when a promise is broken: with seed and path to run it again, and the shortest history that was found. */
export const simulate = async (wanted: Simulation): Promise<Simulated> => {
  const { seed, histories, path } = wanted
  const ends = new Map<string, number>()
  let steps = 0
  const property = fc.asyncProperty(plans, async (plan) => {
    const ended = await runHistory(plan)
    steps += ended.steps
    for (const end of ended.ends) ends.set(end, (ends.get(end) ?? 0) + 1)
  })
  for (let done = 0; done < histories; done += LOT) {
    const numRuns = Math.min(LOT, histories - done)
    const details = await fc.check(property, { seed: seed + done, numRuns, ...(path === undefined ? {} : { path }) })
    if (details.failed) throw await told(details, done)
    wanted.progress?.(done + numRuns)
  }
  return { histories, steps, ends }
}

const told = async (details: fc.RunDetails<[Plan]>, before: number): Promise<Error> => {
  const [plan] = details.counterexample ?? []
  const { seed, counterexamplePath, numRuns, numShrinks } = details
  let trail: readonly string[] = []
  let promise = String(details.errorInstance)
  if (plan) {
    try {
      await runHistory(plan, true)
      promise = `${promise}, but not when it was run again: the simulation itself is not deterministic`
    } catch (error) {
      trail = (error as { trail?: string[] }).trail ?? []
    }
  }
  return new Error(
    [
      promise,
      `after ${before + numRuns} histories and ${numShrinks} shrinks`,
      `SIMULATION_SEED=${seed} SIMULATION_PATH=${counterexamplePath} npm run test:simulation`,
      JSON.stringify(plan),
      ...trail,
    ].join('\n'),
    { cause: details.errorInstance },
  )
}
