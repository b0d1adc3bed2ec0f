import { createWriteStream } from 'node:fs'
import { build } from './build.ts'
import { startFacade, type Facade } from './facade.ts'
import type { CommandOptions } from './options.ts'
import { startSandbox, type Sandbox } from './sandbox.ts'
import { LOG_FILE, sandboxKeys, type SandboxKeys } from './state.ts'

export interface Stack {
  readonly sandbox: Sandbox
  readonly facade: Facade
  readonly keys: SandboxKeys
  close(): Promise<void>
}

/** Waits that fit fake EHRs whose exports take seconds. With `--pace real` the facade runs as it is deployed. */
const FAST_LIMITS = { vendorPollFloorSeconds: 0.5, retryAfterMinSeconds: 1 }

/** Builds the Worker and starts it with the fake EHRs behind it. Its log goes to a file. */
export const startStack = async ({ sandbox: options, retention }: CommandOptions, port: number): Promise<Stack> => {
  const [keys] = await Promise.all([sandboxKeys(), build()])
  const sandbox = await startSandbox(options)
  const log = createWriteStream(LOG_FILE)
  try {
    const facade = await startFacade({
      port,
      keys,
      sources: Object.fromEntries(Object.entries(sandbox.sources).map(([id, source]) => [id, { ...source, retention }])),
      secrets: sandbox.secrets,
      limits: options.pace === 'real' ? {} : FAST_LIMITS,
      onLog: (line) => log.write(`${line}\n`),
    })
    const close = async (): Promise<void> => {
      await facade.close()
      await sandbox.close()
      await new Promise<void>((written) => log.end(written))
    }
    return { sandbox, facade, keys, close }
  } catch (error) {
    await sandbox.close()
    log.end()
    throw error
  }
}
