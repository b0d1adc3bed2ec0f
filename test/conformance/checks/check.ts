import type { Exports } from '../exports.ts'
import type { Server } from '../server.ts'
import type { Findings } from '../verdict.ts'

export interface Context {
  readonly server: Server
  readonly exports: Exports
  readonly find: Findings
}

/** A few requests, and what they say about some requirements. */
export interface Check {
  readonly ids: readonly string[]
  readonly run: (context: Context) => Promise<void>
}
