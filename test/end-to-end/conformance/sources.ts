import { setTimeout as delay } from 'node:timers/promises'
import { startFacade, type Facade } from '../../../sandbox/facade.ts'
import { startSandbox, type Sandbox } from '../../../sandbox/sandbox.ts'
import { sandboxKeys, type SandboxKeys } from '../../../sandbox/state.ts'
import type { Settings } from '../../conformance/server.ts'
import { SOURCES, type SourceId } from '../../conformance/source-ids.ts'
import { runSuite } from '../../conformance/suite.ts'
import { DEFAULT_SCOPE, signedTokens } from '../../conformance/tokens.ts'
import type { Result } from '../../conformance/verdict.ts'

const PATIENTS = 6
const JOB_SECONDS = 0.3
/** Waits that fit exports of a fraction of a second. The suite asks so often that one client is soon above what a minute allows. */
const LIMITS = { vendorPollFloorSeconds: 0.1, retryAfterMinSeconds: 1,
  retryAfterMaxSeconds: 2, statusRequestsPerMinute: 60, tokenRequestsPerMinute: 10_000, tokenRefusalsPerMinute: 10_000 } // prettier-ignore
/** What a second of `Retry-After` lasts here. */
const SECOND_MS = 100
const OVER_POLL = 80
const TIMEOUT_SECONDS = 300

export interface Sources {
  readonly sandbox: Sandbox
  readonly facade: Facade
  readonly settingsOf: (id: SourceId) => Settings
  close(): Promise<void>
}

const settingsFor = (facade: Facade, keys: SandboxKeys, id: SourceId, groupId: string): Settings => ({
  base: `${facade.base}/fhir/${id}`,
  tokens: signedTokens({ clientId: 'demo', tokenUrl: `${facade.base}/auth/token`, key: keys.demo, scope: DEFAULT_SCOPE }),
  groupId,
  timeoutSeconds: TIMEOUT_SECONDS,
  parallel: 2,
  overPoll: OVER_POLL,
  trustedOrigins: [],
  sleep: (ms) => delay((ms / 1000) * SECOND_MS),
})

/** The fake EHRs and the built Worker in front of them, for the suite to run against. */
export const startSources = async (): Promise<Sources> => {
  const keys = await sandboxKeys()
  const sandbox = await startSandbox({ patients: PATIENTS, jobSeconds: JOB_SECONDS })
  const facade = await startFacade({
    keys,
    sources: Object.fromEntries(
      Object.entries(sandbox.sources).map(([id, source]) => [id, { ...source, limits: { pollSeconds: 0.1 } }]),
    ),
    secrets: sandbox.secrets,
    limits: LIMITS,
  })
  const groupOf = (id: SourceId): string => sandbox.vendors.find((vendor) => vendor.id === id)?.groupId ?? ''
  return {
    sandbox,
    facade,
    settingsOf: (id) => settingsFor(facade, keys, id, groupOf(id)),
    close: async () => {
      await facade.close()
      await sandbox.close()
    },
  }
}

/** The suite on one source after the other. */
export const resultsBySource = async (sources: Sources): Promise<ReadonlyMap<SourceId, readonly Result[]>> => {
  const results = new Map<SourceId, readonly Result[]>()
  for (const id of SOURCES) results.set(id, await runSuite(sources.settingsOf(id)))
  return results
}
