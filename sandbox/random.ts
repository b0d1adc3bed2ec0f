/** A deterministic source of numbers: the same seed parts give the same sequence on every machine. */
export interface Random {
  /** A whole number from 0 up to, not including, `bound`. */
  below(bound: number): number
  /** One of `choices`. */
  pick<T>(choices: readonly T[]): T
}

const mix = (value: number): number => {
  let mixed = (value + 0x9e3779b9) | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
  return (mixed ^ (mixed >>> 15)) >>> 0
}

/** @param parts Small whole numbers, such as a type's number, a patient's index and a resource's number. */
export const random = (...parts: readonly number[]): Random => {
  let state = parts.reduce((seed, part) => mix(seed ^ mix(part)), 0)
  const below = (bound: number): number => {
    state = mix(state)
    return state % bound
  }
  const pick = <T>(choices: readonly T[]): T => {
    const choice = choices[below(choices.length)]
    if (choice === undefined) throw new Error('Nothing to pick from')
    return choice
  }
  return { below, pick }
}
