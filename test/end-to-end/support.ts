import { afterAll, beforeAll } from 'vitest'
import { BulkClient, requestToken, type Manifest } from '../../sandbox/bulk-client.ts'
import { CanaryWatch } from '../../sandbox/canary-watch.ts'
import { startFacade, type Facade, type FacadeOptions } from '../../sandbox/facade.ts'
import { startSandbox, type Sandbox, type SandboxOptions, type SandboxVendor } from '../../sandbox/sandbox.ts'
import { sandboxKeys, type SandboxKeys } from '../../sandbox/state.ts'

/** Waits that fit exports of a fraction of a second; every rule holds at any pace. */
export const FAST = { vendorPollFloorSeconds: 0.1, retryAfterMinSeconds: 1, statusRequestsPerMinute: 1000 }
const SECOND_MS = 100

export interface World {
  readonly sandbox: Sandbox
  readonly facade: Facade
  readonly keys: SandboxKeys
  readonly demo: BulkClient
  readonly other: BulkClient
  readonly log: string[]
  readonly watch: CanaryWatch
  readonly vendor: (id: string) => SandboxVendor
  readonly token: (scope?: string, clientId?: 'demo' | 'other') => Promise<string>
}

type SourceChange = (id: string, source: FacadeOptions['sources'][string]) => FacadeOptions['sources'][string]

/** Fake EHRs and the built Worker for the tests of one file. Closing it fails when a canary has left by a door not meant for it. */
export const startWorld = async (
  sandboxOptions: SandboxOptions = {},
  change: SourceChange = (_, source) => source,
  optionsFor: (sandbox: Sandbox, keys: SandboxKeys) => Partial<FacadeOptions> = () => ({}),
): Promise<World & { close(): Promise<void> }> => {
  const keys = await sandboxKeys()
  const sandbox = await startSandbox({ patients: 6, jobSeconds: 0.3, ...sandboxOptions })
  const watch = await CanaryWatch.start(sandbox, keys)
  const log: string[] = []
  const options = optionsFor(sandbox, keys)
  const operatorToken = options.variables?.['OPERATOR_TOKEN']
  if (typeof operatorToken === 'string') watch.canaries.plant('operator token', operatorToken)
  const facade = await startFacade({
    keys,
    sources: Object.fromEntries(
      Object.entries(sandbox.sources).map(([id, source]) => [id, change(id, { ...source, limits: { pollSeconds: 0.1 } })]),
    ),
    secrets: sandbox.secrets,
    limits: FAST,
    onLog: (line) => {
      log.push(line)
      watch.log(line)
    },
    ...options,
  })
  watch.facadeAt(facade.base)
  return {
    sandbox,
    facade,
    keys,
    log,
    watch,
    demo: new BulkClient(facade.base, 'demo', keys.demo, SECOND_MS),
    other: new BulkClient(facade.base, 'other', keys.other, SECOND_MS),
    vendor: (id) => {
      const vendor = sandbox.vendors.find((candidate) => candidate.id === id)
      if (!vendor) throw new Error(`no vendor ${id}`)
      return vendor
    },
    token: async (scope, clientId = 'demo') => (await requestToken(facade.base, clientId, keys[clientId], scope)).token,
    close: async () => {
      await facade.close()
      await sandbox.close()
      watch.close()
      const leaks = watch.leaks()
      if (leaks.length > 0) throw new Error(`left by a door that is not meant for it:\n${leaks.join('\n')}`)
    },
  }
}

/** `startWorld` as hooks: started before the tests of a file, stopped after them. */
export const useWorld = (...parameters: Parameters<typeof startWorld>): (() => World) => {
  let world: Awaited<ReturnType<typeof startWorld>> | undefined
  beforeAll(async () => {
    world = await startWorld(...parameters)
  })
  afterAll(() => world?.close())
  return () => {
    if (!world) throw new Error('the world has not started')
    return world
  }
}

export const SOURCES = ['generic', 'oracle-health', 'redox', 'medplum', 'vendor-x'] as const

/** A group export of one source, from kick-off to manifest. */
export const exportGroup = async (
  world: World,
  id: string,
  query = '',
  client = world.demo,
): Promise<{ statusUrl: string; manifest: Manifest }> => {
  const statusUrl = await client.kickoff(`/fhir/${id}/Group/${world.vendor(id).groupId}/$export${query}`)
  return { statusUrl, manifest: await client.manifest(statusUrl) }
}

export interface Outcome {
  readonly resourceType: string
  readonly issue: readonly {
    readonly severity: string
    readonly code: string
    readonly diagnostics: string
    readonly expression?: readonly string[]
  }[]
}

/** The OperationOutcome of an answer. */
export const outcomeOf = async (response: Response): Promise<Outcome> => (await response.json()) as Outcome
