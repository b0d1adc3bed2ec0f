/** One line of the result. Without a bound it is for information. */
export interface Figure {
  readonly what: string
  readonly figure: string
  readonly bound?: { readonly text: string; readonly isMet: boolean }
}

export const bounded = (what: string, figure: string, text: string, isMet: boolean): Figure => ({
  what,
  figure,
  bound: { text, isMet },
})

export const isMissed = ({ bound }: Figure): boolean => bound?.isMet === false

const verdict = (figure: Figure): string => (figure.bound === undefined ? '' : isMissed(figure) ? 'MISSED' : 'ok')

/** All figures as one table. */
export const table = (figures: readonly Figure[]): string => {
  const rows = [
    ['what', 'figure', 'bound', ''],
    ...figures.map((figure) => [figure.what, figure.figure, figure.bound?.text ?? '-', verdict(figure)]),
  ]
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return [...rows.slice(0, 1), widths.map((width) => '-'.repeat(width)), ...rows.slice(1)].map(line).join('\n')
}

/** `1,234 MB` */
export const megabytes = (bytes: number): string => `${Math.round(bytes / 1_000_000).toLocaleString('en')} MB`

/** `1,234` */
export const count = (value: number): string => value.toLocaleString('en')

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

/** The value below which that share of all values lies; NaN of none. @param sorted In ascending order. */
export const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN

/** Progress, for whoever waits. */
export const tell = (text: string): void => {
  process.stderr.write(`${text}\n`)
}
