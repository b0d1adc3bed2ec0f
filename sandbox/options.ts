import { parseArgs } from 'node:util'
import type { SandboxOptions } from './sandbox.ts'

export interface CommandOptions {
  readonly sandbox: SandboxOptions
  readonly retention: 'r2' | 'none'
}

const USAGE = `Options:
  --patients N          how many synthetic patients every fake EHR holds (default 50)
  --data DIR            serve the *.ndjson files of a directory instead
  --pace real           wait as long as the real vendors do
  --retention none      stream files through instead of keeping them`

/** Reads the options that \`npm start\` and \`npm run demo\` share. Prints the usage and ends the process when they are wrong. */
export const readOptions = (args: readonly string[]): CommandOptions => {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        patients: { type: 'string' },
        data: { type: 'string' },
        pace: { type: 'string' },
        retention: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help) {
      console.log(USAGE)
      process.exit(0)
    }
    const { patients, data, pace = 'fast', retention = 'r2' } = values
    if (patients !== undefined && !/^[1-9]\d{0,6}$/.test(patients)) throw new Error('--patients: a whole number from 1')
    if (pace !== 'fast' && pace !== 'real') throw new Error('--pace: fast or real')
    if (retention !== 'r2' && retention !== 'none') throw new Error('--retention: r2 or none')
    return {
      sandbox: {
        pace,
        ...(patients === undefined ? {} : { patients: Number(patients) }),
        ...(data === undefined ? {} : { dataDir: data }),
      },
      retention,
    }
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`)
    process.exit(2)
  }
}
