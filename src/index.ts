import { app } from './app.ts'
import { configOf } from './config.ts'
import type { Env } from './env.ts'
import { log, nameOf } from './log.ts'
import { gateOf } from './source/gate.ts'

export { ClientLedger } from './client/client-ledger.ts'
export { ExportJob } from './job/export-job.ts'
export { SourceGate } from './source/source-gate.ts'

/** The watchdog: whatever became of an alarm, each live job has one again after this. */
const sweep = async (env: Env): Promise<void> => {
  const config = configOf(env)
  const swept = new Set<string>()
  for (const id of config.sourceIds) {
    try {
      const source = await config.source(id)
      if (!source || swept.has(source.gate)) continue
      swept.add(source.gate)
      log('info', { event: 'sweep', sourceId: id, count: await gateOf(env, source).sweep() })
    } catch (error) {
      log('error', { event: 'sweep.failed', sourceId: id, error: nameOf(error) })
    }
  }
}

export default {
  fetch: app.fetch,
  async scheduled(_controller, env) {
    await sweep(env)
  },
} satisfies ExportedHandler<Env>
