import { cell } from './report.ts'
import { REQUIREMENTS } from './requirements.ts'
import { KNOWN_REASONS } from './known-reasons.ts'
import { SOURCES, type SourceId } from './source-ids.ts'
import type { Result } from './verdict.ts'

export const DOCUMENT = 'docs/conformance.md'
export const COMMAND = 'node test/end-to-end/conformance/write-document.ts'

export type Results = ReadonlyMap<SourceId, readonly Result[]>
/** Source → what it says of each parameter at the group level. */
export type Handlings = ReadonlyMap<SourceId, Readonly<Record<string, string>>>

const SHORT = { pass: '✓', warning: 'warning', fail: 'FAIL', 'not applicable': 'n/a' } as const

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

const reasonFor = (id: string, source: SourceId, { verdict, because }: Result): string =>
  verdict === 'fail' || verdict === 'warning' ? (KNOWN_REASONS[id]?.[source] ?? because) : because

/** Why a row is not a plain pass: said once for the sources that share it. */
const reasons = (id: string, results: Results): string => {
  const bySource = new Map<string, SourceId[]>()
  for (const source of SOURCES) {
    const result = results.get(source)?.find((each) => each.id === id)
    const text = result === undefined ? '' : reasonFor(id, source, result)
    if (text !== '') bySource.set(text, [...(bySource.get(text) ?? []), source])
  }
  return [...bySource]
    .map(([text, sources]) => (sources.length === SOURCES.length ? text : `${sources.join(', ')}: ${text}`))
    .map(cell)
    .join('; ')
}

/** The table of verdicts: nothing in it depends on when it was made. */
export const verdictTable = (results: Results): string =>
  [
    row(['id', '', 'requirement', ...SOURCES, '']),
    row(['---', '---', '---', ...SOURCES.map(() => '---'), '---']),
    ...REQUIREMENTS.map(({ id, strength, title }) =>
      row([
        id,
        strength === 'none' ? '' : strength,
        cell(title),
        ...SOURCES.map((source) => SHORT[results.get(source)?.find((each) => each.id === id)?.verdict ?? 'not applicable']),
        reasons(id, results),
      ]),
    ),
  ].join('\n')

export const handlingTable = (handlings: Handlings): string => {
  const parameters = [...new Set([...handlings.values()].flatMap((handling) => Object.keys(handling)))]
  return [
    row(['parameter', ...SOURCES]),
    row(['---', ...SOURCES.map(() => '---')]),
    ...parameters.map((name) => row([`\`${name}\``, ...SOURCES.map((source) => handlings.get(source)?.[name] ?? '')])),
  ].join('\n')
}

export const documentOf = (results: Results, handlings: Handlings): string => `# Conformance

What the suite of \`npm run conformance\` says of each source of the sandbox, asked over HTTP alone, as any client can ask. It runs against
every FHIR server with bulk export:

\`\`\`sh
npm run -s conformance -- --base https://bulk.example.org/fhir/st-mary --token "$TOKEN" --group all-patients --report report.md
\`\`\`

\`--client-id\` and \`--key\` instead of \`--token\` let it ask for tokens itself, which shows the rules about tokens and scopes too;
\`npm run conformance\` alone lists the options. It exits with 0 when no rule that must hold is broken. Of each export that it starts it
looks at the files, and it deletes all of them. This document is made by \`${COMMAND}\`, and a test compares it with what the suite says.

## Parameters

Who does what a parameter asks for, in a group export: the EHR (native), Bulkhead over what the EHR sends (emulated), or nobody (refused,
and with \`Prefer: handling=lenient\` reported in \`error\`).

${handlingTable(handlings)}

## Requirements

✓ holds; n/a does not apply, or cannot be seen from outside. Titles are short for what
[Bulk Data Access 3.0.0](https://hl7.org/fhir/uv/bulkdata/STU3/export.html) and
[SMART Backend Services](https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html) say.

${verdictTable(results)}
`
