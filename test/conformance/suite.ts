import type { Check } from './checks/check.ts'
import { deleteChecks } from './checks/delete.ts'
import { discoveryChecks } from './checks/discovery.ts'
import { fileChecks } from './checks/files.ts'
import { filterChecks } from './checks/filters.ts'
import { kickoffChecks } from './checks/kickoff.ts'
import { manifestChecks } from './checks/manifest.ts'
import { parameterChecks } from './checks/parameters.ts'
import { securityChecks } from './checks/security.ts'
import { statusChecks } from './checks/status.ts'
import { Exports } from './exports.ts'
import { Server, type Settings } from './server.ts'
import { Findings, NotHad, type Result } from './verdict.ts'

export const CHECKS: readonly Check[] = [
  ...kickoffChecks,
  ...parameterChecks,
  ...filterChecks,
  ...statusChecks,
  ...manifestChecks,
  ...deleteChecks,
  ...fileChecks,
  ...discoveryChecks,
  ...securityChecks,
]

/**
 * Runs every check, or those that say something about the ids of `only`, and deletes every export that it has started.
 *
 * @returns One result for each requirement; for each of `only`, when it is given.
 */
export const runSuite = async (settings: Settings, only: readonly string[] = []): Promise<readonly Result[]> => {
  const server = new Server(settings)
  const exports = new Exports(server)
  const find = new Findings()
  const wanted = only.length === 0 ? CHECKS : CHECKS.filter(({ ids }) => ids.some((id) => only.includes(id)))
  const attempt = async (check: Check): Promise<void> => {
    try {
      await check.run({ server, exports, find })
    } catch (error) {
      for (const id of check.ids.filter((each) => !find.has(each))) {
        if (error instanceof NotHad) find.skip(id, error.message)
        else find.shall(id, false, `the check broke off: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
  }
  try {
    // Before anything else, so that a wrong base or token is told at once.
    await server.metadata()
    await Promise.all(wanted.map(attempt))
  } finally {
    await exports.clear()
  }
  return find.results().filter(({ id }) => only.length === 0 || only.includes(id))
}

/** What the exit code says: 0 when no rule that must hold is broken. */
export const exitCodeOf = (results: readonly Result[]): number => (results.some(({ verdict }) => verdict === 'fail') ? 1 : 0)
