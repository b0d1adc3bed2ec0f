import type { Result, Verdict } from './verdict.ts'

const VERDICTS: readonly Verdict[] = ['pass', 'warning', 'fail', 'not applicable']

/** `97 pass, 2 warning, 0 fail, 29 not applicable` */
export const summaryOf = (results: readonly Result[]): string =>
  VERDICTS.map((verdict) => `${results.filter((result) => result.verdict === verdict).length} ${verdict}`).join(', ')

const indented = (text: string): string =>
  text
    .split('\n')
    .map((line) => `      ${line}`.trimEnd())
    .join('\n')

/** What a terminal shows: a line for each requirement, and below it the exchange that speaks against it. */
export const textReport = (results: readonly Result[]): string =>
  [
    ...results.flatMap(({ id, verdict, title, because, exchange }) => [
      `${verdict.padEnd(14)}  ${id}  ${title}${because === '' ? '' : `: ${because}`}`,
      ...(exchange === undefined || verdict === 'not applicable' ? [] : ['', indented(exchange), '']),
    ]),
    '',
    summaryOf(results),
    '',
  ].join('\n')

export const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

export const markdownReport = (base: string, results: readonly Result[]): string => {
  const shown = results.filter(({ exchange, verdict }) => exchange !== undefined && verdict !== 'not applicable')
  return [
    `# Bulk Data 3.0.0: ${base}`,
    '',
    `${summaryOf(results)}.`,
    '',
    '| id | | requirement | verdict | |',
    '|---|---|---|---|---|',
    ...results.map(
      ({ id, strength, title, verdict, because }) => `| ${id} | ${strength} | ${cell(title)} | ${verdict} | ${cell(because)} |`,
    ),
    ...shown.flatMap(({ id, because, exchange }) => ['', `## ${id}: ${because}`, '', '```http', exchange ?? '', '```']),
    '',
  ].join('\n')
}

export const jsonReport = (base: string, results: readonly Result[]): string =>
  `${JSON.stringify({ base, results }, undefined, 2)}\n`
