import type { Answer } from './ask.ts'

type Content = Extract<Answer, { rows: unknown }>

/** Enough of a row to find it. */
const labelOf = (row: string): string => {
  const { resourceType, id } = JSON.parse(row) as { resourceType: string; id?: string }
  return `${resourceType}/${id ?? '?'}`
}

const MOST_NAMED = 3

const named = (rows: readonly string[]): string =>
  `${rows.length} (${rows.slice(0, MOST_NAMED).map(labelOf).join(', ')}${rows.length > MOST_NAMED ? ', …' : ''})`

/** What is in one list and not in the other, each row as often as it is there. */
const without = (rows: readonly string[], others: readonly string[]): readonly string[] => {
  const left = [...others]
  return rows.filter((row) => {
    const at = left.indexOf(row)
    if (at !== -1) left.splice(at, 1)
    return at === -1
  })
}

/** Members of one resource that differ between two answers. */
const membersThatDiffer = (one: string, other: string): string => {
  const [first, second] = [one, other].map((row) => JSON.parse(row) as Record<string, unknown>)
  const names = new Set([...Object.keys(first ?? {}), ...Object.keys(second ?? {})])
  return [...names].filter((name) => JSON.stringify(first?.[name]) !== JSON.stringify(second?.[name])).join(', ')
}

const ofRows = (key: string, expected: readonly string[], found: readonly string[]): readonly string[] => {
  const [missing, extra] = [without(expected, found), without(found, expected)]
  const changed = missing.flatMap((row) => {
    const twin = extra.find((other) => labelOf(other) === labelOf(row))
    return twin === undefined ? [] : [{ row, twin }]
  })
  const gone = missing.filter((row) => !changed.some((pair) => pair.row === row))
  const added = extra.filter((row) => !changed.some((pair) => pair.twin === row))
  return [
    ...(gone.length === 0 ? [] : [`${key}: ${named(gone)} missing`]),
    ...(added.length === 0 ? [] : [`${key}: ${named(added)} too many`]),
    ...changed
      .slice(0, 1)
      .map(({ row, twin }) => `${key}: ${changed.length} differ, ${labelOf(row)} in ${membersThatDiffer(row, twin)}`),
  ]
}

const summary = (answer: Answer): string =>
  'refused' in answer ? `${answer.refused} ${answer.codes.join()}` : `rows of ${Object.keys(answer.rows).join(', ') || 'nothing'}`

const ofContent = (expected: Content, found: Content): readonly string[] => [
  ...[...new Set([...Object.keys(expected.rows), ...Object.keys(found.rows)])].flatMap((key) =>
    ofRows(key, expected.rows[key] ?? [], found.rows[key] ?? []),
  ),
  ...(expected.organizedBy === found.organizedBy ? [] : [`organized by ${found.organizedBy}, not by ${expected.organizedBy}`]),
  ...(expected.issues.join() === found.issues.join()
    ? []
    : [`error has [${found.issues.join('; ')}], not [${expected.issues.join('; ')}]`]),
]

/** How an answer differs from the one that is expected, in words; empty when it says the same. */
export const differences = (expected: Answer, found: Answer): readonly string[] => {
  if ('rows' in expected && 'rows' in found) return ofContent(expected, found)
  return summary(expected) === summary(found) ? [] : [`${summary(found)}, not ${summary(expected)}`]
}
