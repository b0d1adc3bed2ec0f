import type { ExportJob } from './job/export-job.ts'
import type { SourceGate } from './source/source-gate.ts'
import type { ClientLedger } from './client/client-ledger.ts'

/** The Worker's bindings. `SOURCE_*`, `CLIENT_*` and the secrets they name are read by `config.ts` alone. */
export interface Env {
  readonly JOBS: DurableObjectNamespace<ExportJob>
  readonly GATES: DurableObjectNamespace<SourceGate>
  readonly LEDGERS: DurableObjectNamespace<ClientLedger>
  readonly FILES: R2Bucket
  readonly [variable: string]: unknown
}
