import type { Fault, Phase } from '../../../sandbox/faults.ts'
import { outcomeAt, type BySource, type Row, type SourceId } from './row.ts'
import { TABLE } from './table.ts'
import { promiseOf } from './words.ts'

/** Where the section stands. */
export const DOCUMENT = 'docs/reliability.md'
const BEGIN = '<!-- faults -->'
const END = '<!-- /faults -->'
/** How it is made anew. */
export const COMMAND = 'node test/end-to-end/faults/write-document.ts'

const TITLES: Readonly<Record<Phase, string>> = {
  token: 'When a token is asked for',
  kickoff: 'When an export is kicked off',
  status: 'When its status is asked for',
  file: 'When its files are read',
  cancel: 'When it is deleted while it runs',
}

const INTRODUCTION = `Every way in which a fake EHR can be told to misbehave, where it makes a difference, and what a client is promised then. The table is the test:
\`test/end-to-end/faults/\` plays each row at each of the five sources (\`generic\`, \`oracle-health\`, \`redox\`, \`medplum\`, \`vendor-x\`; those that a
row does not apply to are named in its last column). Until the end that is promised, a client sees nothing but 202, or a 5XX with the code \`transient\`,
and never a 4XX. The end does not change any more, the vendor sees no more kick-offs than the table says and no status request before its
\`Retry-After\` has passed, and the next export of the same source gets a slot and is whole. \`F\` is the number of files of the export; many and
large files are of the size that a table can afford here, \`npm run test:scale\` has the others.

By hand, while \`npm start\` runs (it prints where each fake EHR listens): the switches of a row, in a list, or one alone; the next ones replace them.

\`\`\`sh
curl -s -X POST http://127.0.0.1:PORT/_faults -d '[{"on":"status","kind":"answer","status":503,"times":2}]'
curl -s http://127.0.0.1:PORT/_faults             # how often each was met
curl -s -X DELETE http://127.0.0.1:PORT/_faults   # well again
\`\`\`
`

/** Stands for the number of files, to be found again in the JSON. */
const FILES = 424_243

const switches = (row: Row): string =>
  row
    .faults(FILES)
    .map(({ on, kind, ...rest }: Fault) => JSON.stringify({ on, kind, ...rest }).replace(String(FILES - 1), 'F-1'))
    .map((text) => `\`${text}\``)
    .join('<br>')

const entries = <T>(values: BySource<T> = {}): [SourceId, T][] => Object.entries(values) as [SourceId, T][]

/** Sources with the same words, together: `a, b: words`. */
const grouped = (values: readonly (readonly [SourceId, string])[]): readonly string[] =>
  [...new Set(values.map(([, words]) => words))].map((words) => {
    const ids = values.filter(([, other]) => other === words).map(([id]) => `\`${id}\``)
    return `${ids.join(', ')}: ${words}`
  })

const remarks = (row: Row): string =>
  [
    ...grouped(entries(row.elsewhere).map(([id]) => [id, promiseOf(outcomeAt(row, id))])),
    ...grouped(entries(row.skipped).map(([id, reason]) => [id, `does not apply, ${reason}`])),
  ].join('<br>')

const extras = (row: Row): string =>
  [
    ...(row.lastsMs === undefined ? [] : ['the wait is kept']),
    ...(row.cancels === true ? ['the vendor job is cancelled'] : []),
    ...(row.hides === true ? ['the slot is held for as long as a hidden vendor job may run'] : []),
  ]
    .map((words) => `; ${words}`)
    .join('')

const line = (row: Row): string =>
  `| ${row.vendor} | ${switches(row)} | ${promiseOf(row.outcome)}${extras(row)} | ${row.kickoffs} | ${remarks(row)} |`

const tableOf = (phase: Phase): string =>
  [
    `#### ${TITLES[phase]}`,
    '',
    '| the vendor | switches | what is promised | kick-offs, at most | where not |',
    '|---|---|---|---|---|',
    ...TABLE[phase].map(line),
    '',
  ].join('\n')

/** The section of the document, markers included. */
export const section = (): string => [BEGIN, INTRODUCTION, ...(Object.keys(TABLE) as Phase[]).map(tableOf), END].join('\n')

/** The section as it stands in a document; `undefined` when it has none. */
export const sectionIn = (document: string): string | undefined => {
  const [from, to] = [document.indexOf(BEGIN), document.indexOf(END)]
  return from === -1 || to < from ? undefined : document.slice(from, to + END.length)
}
