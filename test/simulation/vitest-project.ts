import { join } from 'node:path'
import type { Plugin } from 'vitest/config'
import { shrunk } from './small.ts'

const here = (name: string): string => join(import.meta.dirname, name)

/** Gives the engine small parts and blocks. */
const smallParts: Plugin = {
  name: 'small-parts',
  enforce: 'pre',
  transform: (code, id) => (id.includes('/src/job/') ? shrunk(code) : undefined),
}

/** The real classes on a simulated platform. */
export const simulation = {
  plugins: [smallParts],
  resolve: {
    alias: [
      { find: 'cloudflare:workers', replacement: here('workers.ts') },
      { find: /^.*\/auth\/authenticate\.ts$/, replacement: here('authenticate.ts') },
      { find: './sizes.ts', replacement: here('sizes.ts') },
    ],
  },
  test: { name: 'simulation', environment: 'node' as const, include: ['test/simulation/**/*.test.ts'] },
}
