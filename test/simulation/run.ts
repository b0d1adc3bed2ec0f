import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/*
 * Runs the simulation by itself: `SIMULATION_HISTORIES` histories (20,000) from `SIMULATION_SEED` (1) on, or the one at
 * `SIMULATION_PATH`.
 */
const vitest = join(import.meta.dirname, '../../node_modules/vitest/vitest.mjs')
const { status } = spawnSync(process.execPath, [vitest, 'run', '--project', 'simulation', '--maxWorkers', '2'], {
  stdio: 'inherit',
  env: { ...process.env, SIMULATION_TOLD: '1' },
})
process.exitCode = status ?? 1
