let sink = 0

/** Takes processor time that no compiler can leave out: the clock stands still inside the runtime, so it is counted and not timed. */
export const burn = (steps) => {
  for (let step = 0; step < steps; step += 1) sink = (sink * 31 + step) % 1_000_003
  return sink
}
