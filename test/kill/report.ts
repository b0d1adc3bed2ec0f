import type { Kill, KillReport } from './kill-run.ts'

const countsOf = (values: readonly string[]): string => {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts].map(([value, count]) => (count === 1 ? value : `${count} ${value}`)).join(', ') || '-'
}

/** One line: when, where, and what the kill left on disk. */
export const killLine = ({ number, moment, source, hit, downMs, rows }: Kill): string => {
  const exact = moment.delayMs > 0 ? ` +${moment.delayMs} ms` : ''
  const name = `${moment.name}${moment.nth > 1 ? ` (${moment.nth})` : ''}${exact}${hit ? '' : ' [missed]'}`
  const left = `${countsOf(rows.map(({ state }) => state))}; to do: ${countsOf(rows.flatMap(({ todo }) => todo.slice(0, 1)))}`
  return [
    String(number).padStart(4),
    moment.phase.padEnd(10),
    source.padEnd(13),
    name.padEnd(38),
    `${downMs} ms`.padStart(7),
    left,
  ].join('  ')
}

export const killHead = `${'kill'.padStart(4)}  ${'phase'.padEnd(10)}  ${'source'.padEnd(13)}  ${'moment'.padEnd(38)}  ${'down'.padStart(7)}  exports alive on disk`

/** What became of everything, and what was lost. */
export const summary = ({ kills, ends, orphans, resumedDownloads, violations }: KillReport): string => {
  const total = Object.values(ends).reduce((sum, count) => sum + count, 0)
  const ambiguous = ends.ambiguous + orphans.ambiguous
  const lines = [
    `${kills.length} kills, ${kills.filter(({ hit }) => hit).length} at their moment; ${total} kick-offs by clients:`,
    `  ${ends.delivered} delivered, identical to what the fake EHR holds, then deleted`,
    `  ${ends.deleted} deleted early: 404 ever after`,
    `  ${ends.ambiguous} failed as ambiguous, and begun anew as another export`,
    `  ${ends.unanswered} whose answer the client never had, and begun anew: ${orphans.complete} completed unseen, ${orphans.ambiguous} failed as ambiguous, ${orphans.neverBegun} never began, ${orphans.phantom} listed but not there`,
    `${ambiguous} ambiguous kick-offs, each at its vendor at most once; ${resumedDownloads} downloads went on where they broke off`,
  ]
  return violations.length === 0
    ? [...lines, 'Nothing was lost, nothing was left behind, and no vendor rule was broken.'].join('\n')
    : [...lines, `${violations.length} violations:`, ...violations.map((violation) => `  ${violation}`)].join('\n')
}
