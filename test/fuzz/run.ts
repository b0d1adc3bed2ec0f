import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/* Runs the fuzz by itself: `FUZZ_REQUESTS` requests (20,000) from `FUZZ_SEED` (1) on, or the run at `FUZZ_PATH`. */
const vitest = join(import.meta.dirname, '../../node_modules/vitest/vitest.mjs')
const { status } = spawnSync(process.execPath, [vitest, 'run', '--project', 'node', 'test/fuzz/fuzz.test.ts'], {
  stdio: 'inherit',
  env: { ...process.env, FUZZ_TOLD: '1' },
})
process.exitCode = status ?? 1
