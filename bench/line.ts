/** What a line is held to. A counted budget has no noise; one of timings is judged on a quiet machine only. */
export interface Budget {
  /** `difference`: the figure less its yardstick. */
  readonly of: 'ratio' | 'figure' | 'difference'
  readonly atLeast?: number
  readonly atMost?: number
  /** The same whatever else the machine does. */
  readonly isCounted?: boolean
}

/** One line of the result. */
export interface Line {
  readonly what: string
  readonly unit: string
  /** `undefined`: it was not measured, and `note` says why. */
  readonly figure?: number
  readonly yardstick?: number
  readonly ratio?: number
  /** What the judged value may differ by for no reason. */
  readonly noise?: number
  readonly budget?: Budget
  readonly note?: string
}

/** `noise`: beyond its budget by no more than what was measured as noise. */
export type Verdict = 'ok' | 'noise' | 'MISSED' | 'skipped' | ''

/** The value that the budget is about; NaN where it was not measured. */
const judgedValue = ({ figure = NaN, yardstick = NaN, ratio = NaN, budget }: Line): number => {
  if (budget?.of === 'ratio') return ratio
  return budget?.of === 'difference' ? figure - yardstick : figure
}

export const verdictOf = (line: Line): Verdict => {
  const { figure, budget, noise = 0 } = line
  if (figure === undefined) return 'skipped'
  if (budget === undefined) return ''
  const { atLeast = -Infinity, atMost = Infinity } = budget
  const value = judgedValue(line)
  if (value >= atLeast && value <= atMost) return 'ok'
  // Not a number is no reason to be content.
  return value >= atLeast - noise && value <= atMost + noise ? 'noise' : 'MISSED'
}

/** How much worse a value is by at least, when something was done to make it so. */
const SPOILT_TIMES = 1.5

/** Whether a line that was spoilt on purpose misses its budget, and does so for that reason. @param plain The same line as it is. */
export const isSeenSpoilt = (plain: Line, spoilt: Line): boolean => {
  if (verdictOf(spoilt) !== 'MISSED' || spoilt.budget === undefined) return false
  const [before, after] = [judgedValue(plain), judgedValue(spoilt)]
  if (spoilt.budget.atMost === undefined) return after < before / SPOILT_TIMES
  return after > Math.max(before, 0) * SPOILT_TIMES
}

/** Whether the line fails the run. @param mayJudgeTimings False where nothing but counts means anything. */
export const fails = (line: Line, mayJudgeTimings: boolean): boolean =>
  verdictOf(line) === 'MISSED' && (mayJudgeTimings || line.budget?.isCounted === true)

const number = (value: number | undefined): string => {
  if (value === undefined) return ''
  if (!Number.isFinite(value)) return String(value)
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

const budgetText = ({ budget }: Line): string => {
  if (budget === undefined) return '-'
  const { atLeast, atMost, of } = budget
  const sign = of === 'difference' ? '+' : ''
  if (atLeast !== undefined && atLeast === atMost) return `= ${number(atLeast)}`
  return atLeast === undefined ? `≤ ${sign}${number(atMost)}` : `≥ ${sign}${number(atLeast)}`
}

/** What is said of the budget: nothing of a timing that may not be judged. */
const judgement = (line: Line, mayJudgeTimings: boolean): string =>
  mayJudgeTimings || line.budget?.isCounted === true || line.figure === undefined ? verdictOf(line) : ''

const ratioText = ({ ratio }: Line): string => (ratio === undefined ? '' : ratio.toFixed(2))
const noiseText = ({ noise }: Line): string => (noise === undefined ? '' : `±${noise.toFixed(2)}`)

/** One line in words, for whoever waits for the table. */
export const sentenceOf = (line: Line, mayJudgeTimings = true): string => {
  const { what, figure, unit, yardstick, budget, note } = line
  const parts = [
    figure === undefined ? '' : `${number(figure)} ${unit}`.trim(),
    yardstick === undefined ? '' : `yardstick ${number(yardstick)}`,
    line.ratio === undefined ? noiseText(line) : `ratio ${ratioText(line)} ${noiseText(line)}`.trim(),
    budget === undefined ? '' : `budget ${budgetText(line)}`,
    judgement(line, mayJudgeTimings),
    note ?? '',
  ]
  return `${what.trim()}: ${parts.filter((part) => part !== '').join(', ')}`
}

const isNumber = (column: number): boolean => [1, 2, 4, 5].includes(column)

/** All lines as one table. */
export const tableOf = (lines: readonly Line[], mayJudgeTimings = true): string => {
  const head = ['what', 'figure', 'yardstick', 'unit', 'ratio', 'spread', 'budget', '']
  const rows = [
    head,
    ...lines.map((line) => [
      line.what,
      number(line.figure),
      number(line.yardstick),
      line.unit,
      ratioText(line),
      noiseText(line),
      budgetText(line),
      [judgement(line, mayJudgeTimings), line.note ?? ''].filter((text) => text !== '').join(': '),
    ]),
  ]
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const text = (row: readonly string[]): string =>
    row
      .map((cell, column) => (isNumber(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd()
  return [text(head), text(widths.map((width) => '-'.repeat(width))), ...rows.slice(1).map(text)].join('\n')
}
