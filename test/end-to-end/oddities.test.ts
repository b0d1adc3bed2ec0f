import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { compareExport } from '../../sandbox/compare.ts'
import type { Oddity } from '../../sandbox/oddities.ts'
import { exportGroup, SOURCES, useWorld, type World } from './support.ts'

const differencesOf = async (world: World, id: string): Promise<readonly string[]> => {
  const directory = await mkdtemp(join(tmpdir(), 'bulkhead-'))
  try {
    const { manifest } = await exportGroup(world, id)
    await world.demo.download(manifest, directory)
    const { resources, differences } = await compareExport(world.vendor(id), manifest, directory, (url) => world.demo.read(url))
    expect(resources).toBeGreaterThan(50)
    return differences
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

const worldOf = (oddities: readonly Oddity[], retention: 'r2' | 'none', patients = 4): (() => World) =>
  useWorld({ patients, jobSeconds: 0.02, oddities }, (_, source) => ({ ...source, retention }))

const TOGETHER: readonly Oddity[] = ['absolute-references', 'absolute-attachments', 'escaped-slashes', 'binary-wrapped']

describe.each<{ name: string; oddities: readonly Oddity[]; retention: 'r2' | 'none' }>([
  { name: 'with absolute references', oddities: ['absolute-references'], retention: 'r2' },
  { name: 'with attachments at absolute URLs', oddities: ['absolute-attachments'], retention: 'r2' },
  { name: 'with attachments at relative URLs', oddities: ['relative-attachments'], retention: 'r2' },
  { name: 'with escaped slashes', oddities: ['escaped-slashes'], retention: 'r2' },
  { name: 'of several types in one file', oddities: ['mixed-files'], retention: 'r2' },
  { name: 'in a Binary', oddities: ['binary-wrapped'], retention: 'r2' },
  { name: 'with all of it at once', oddities: [...TOGETHER, 'mixed-files'], retention: 'r2' },
  { name: 'with all that can be streamed', oddities: TOGETHER, retention: 'none' },
])('rows $name (retention $retention)', ({ oddities, retention }) => {
  const world = worldOf(oddities, retention)

  it.concurrent.each(SOURCES)('%s delivers what its server holds [KO-17, FI-14, N-22, N-27]', async (id) => {
    expect(await differencesOf(world(), id)).toEqual([])
  })
})

describe('a file of several types that is not kept', () => {
  // One file of both types; at Oracle Health, three of which one has both.
  const world = worldOf(['mixed-files'], 'none', 3)

  it.concurrent.each(SOURCES)('%s: ends with an error rather than without some of its rows [N-22]', async (id) => {
    const { manifest } = await exportGroup(world(), id, '?_type=Patient,Condition')
    const read = await Promise.allSettled(manifest.output.map(({ url }) => world().demo.read(url)))
    expect(read.filter(({ status }) => status === 'rejected')).toHaveLength(1)
    expect(read).toHaveLength(id === 'oracle-health' ? 3 : 1)
  })
})
