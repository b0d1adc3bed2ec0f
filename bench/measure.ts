import type { BenchRow, Scale } from './bench.ts'
import { isSeenSpoilt, sentenceOf, verdictOf, type Line } from './line.ts'

/** What a row gave, or one line that says why it gave nothing. */
export const linesOf = async (row: BenchRow, scale: Scale, isSabotaged: boolean): Promise<readonly Line[]> => {
  try {
    return await row.measure({ ...scale, layers: isSabotaged ? row.sabotage : [] })
  } catch (error) {
    const note = error instanceof Error ? error.message : String(error)
    return [{ what: row.name, unit: '', figure: NaN, budget: { of: 'figure', atMost: 0, isCounted: true }, note }]
  }
}

/** One line of a row that was slowed down. */
export interface Spoilt {
  readonly isSeen: boolean
  /** The line as it is, and as it was spoilt. */
  readonly text: string
}

/**
 * Measures a row as it is, and then with its path slowed down.
 *
 * @returns Of each line with a budget whether it missed it, and did so for that reason. What is not measured here has nothing to miss.
 */
export const spoiltOf = async (row: BenchRow, scale: Scale): Promise<readonly Spoilt[]> => {
  const plain = await linesOf(row, scale, false)
  const spoilt = await linesOf(row, scale, true)
  return plain.flatMap((before, index) => {
    if (before.budget === undefined || verdictOf(before) === 'skipped') return []
    const after = spoilt[index]
    const isSeen = after?.what === before.what && isSeenSpoilt(before, after)
    return [{ isSeen, text: `${sentenceOf(before)}; spoilt: ${after === undefined ? 'nothing' : sentenceOf(after)}` }]
  })
}
