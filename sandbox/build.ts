import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Where the built Worker lies, relative to the project. */
export const BUILD_DIRECTORY = fileURLToPath(new URL('../dist', import.meta.url))
const PROJECT = fileURLToPath(new URL('..', import.meta.url))
const WRANGLER = fileURLToPath(new URL('../node_modules/wrangler/bin/wrangler.js', import.meta.url))

/** Builds the Worker as a deployment would, and deploys nothing. @returns What wrangler printed. */
export const build = (): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [WRANGLER, 'deploy', '--dry-run', '--outdir', BUILD_DIRECTORY], {
      cwd: PROJECT,
      env: { ...process.env, CI: 'true', WRANGLER_SEND_METRICS: 'false' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (data: Buffer) => (output += data.toString()))
    child.stderr.on('data', (data: Buffer) => (output += data.toString()))
    child.once('error', reject)
    child.once('exit', (code) => (code === 0 ? resolve(output) : reject(new Error(`the build failed\n${output}`))))
  })
