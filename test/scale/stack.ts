import { existsSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BulkClient } from '../../sandbox/bulk-client.ts'
import type { SourceConfig } from '../../sandbox/config.ts'
import { startFacade, type FacadeOptions } from '../../sandbox/facade.ts'
import { startSandbox, type Sandbox, type SandboxOptions, type SandboxVendor } from '../../sandbox/sandbox.ts'
import { sandboxKeys, type SandboxKeys } from '../../sandbox/state.ts'
import { tell } from './figures.ts'
import { ScaleClient } from './http.ts'

/** A file system in memory, where this system has one. */
const MEMORY_DISK = '/dev/shm'

/**
 * Where the rows of many small jobs lie. The runtime has one thread here and waits on it for the disk at every commit, as no deployed
 * Worker does: on a disk this would measure the disk.
 */
export const QUICK_DISK = existsSync(MEMORY_DISK) ? MEMORY_DISK : tmpdir()

const directories = new Set<string>()

/** Removes what is on disk, for when the run is broken off. */
export const removeDirectories = (): void => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
}

/** A directory for rows and objects, so that the runtime's memory is not their place. */
export const withDirectory = async <T>(work: (directory: string) => Promise<T>, parent = tmpdir()): Promise<T> => {
  const directory = await mkdtemp(join(parent, 'bulkhead-scale-'))
  directories.add(directory)
  try {
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
    directories.delete(directory)
  }
}

/** The fake EHR of a sandbox that follows the specification, and our configuration of it. */
export interface Upstream {
  readonly vendor: SandboxVendor
  readonly source: SourceConfig
  readonly sandbox: Sandbox
}

export const startUpstream = async (options: SandboxOptions): Promise<Upstream> => {
  const sandbox = await startSandbox(options)
  const vendor = sandbox.vendors.find(({ id }) => id === 'generic')
  const source = sandbox.sources.generic
  if (vendor === undefined || source === undefined) throw new Error('the sandbox has no conformant server')
  return { vendor, source, sandbox }
}

/** The facade as its clients see it. */
export interface Served {
  readonly keys: SandboxKeys
  readonly base: string
  /** Of the demo client, with many connections. */
  readonly client: ScaleClient
  /** The same client as an app would write it. */
  readonly bulk: BulkClient
}

/** Counts what the Worker complains of, by its first words without what names one job. */
class Complaints {
  readonly #counts = new Map<string, number>()

  take(line: string): void {
    if (line.startsWith('{"level":"info"')) return
    const kind = line.replaceAll(/"jobId":"[^"]*",?/g, '').slice(0, 160)
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1)
  }

  tell(): void {
    for (const [kind, count] of this.#counts) tell(`  logged ${count} times: ${kind}`)
  }
}

const CONNECTIONS = 64
/** Waits that fit fake EHRs whose exports take seconds. */
export const FAST_LIMITS = { vendorPollFloorSeconds: 0.5, retryAfterMinSeconds: 1, openExportsPerClient: 1_000_000 }

/** Runs work with the built Worker, its state on disk. */
export const withFacade = async <T>(
  options: Pick<FacadeOptions, 'sources' | 'secrets' | 'limits'>,
  work: (served: Served) => Promise<T>,
  disk = tmpdir(),
): Promise<T> =>
  withDirectory(async (stateDirectory) => {
    const keys = await sandboxKeys()
    const complaints = new Complaints()
    const facade = await startFacade({ ...options, keys, stateDirectory, onLog: (line) => complaints.take(line) })
    const client = new ScaleClient(facade.base, 'demo', keys.demo, CONNECTIONS)
    try {
      return await work({ keys, base: facade.base, client, bulk: new BulkClient(facade.base, 'demo', keys.demo) })
    } finally {
      client.close()
      complaints.tell()
      await facade.close()
    }
  }, disk)
