import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Sandbox } from '../../../sandbox/sandbox.ts'
import { useWorld } from '../support.ts'
import { answerOf, nameOf, type Ask } from './ask.ts'
import { differences } from './differences.ts'
import { anyAsk } from './random-asks.ts'
import { anyRows, changeableDataset } from './random-rows.ts'

/** Requests altogether, and how many of them one set of data serves. */
const RUNS = Number(process.env['PARITY_RUNS'] ?? 60)
const ASKS_PER_DATASET = 10
const SEED = Number(process.env['SEED'] ?? 20_261_121)

/** What the generic server does by itself; a list of patients is a matter of POST. */
const EVERY_PARAMETER = [
  '_since',
  '_until',
  '_type',
  '_elements',
  'patient',
  'includeAssociatedData',
  '_typeFilter',
  'organizeOutputBy',
  'allowPartialManifests',
]

/** One server, three sources: it does all itself; it is asked for everything and we do the rest; the same with nothing kept. */
const sourcesOf = ({ sources }: Sandbox) => {
  const generic = sources['generic']
  if (generic === undefined) throw new Error('no generic server')
  const quick = { ...generic, limits: { pollSeconds: 0.1 } }
  const native = { ...quick, supports: { params: EVERY_PARAMETER, levels: { patient: 'POST' as const, group: 'POST' as const } } }
  const emulated = { ...quick, supports: { params: [] } }
  return { native, emulated, streamed: { ...emulated, retention: 'none' as const } }
}

describe('what we do to rows is what a server does that does it itself', () => {
  const held = changeableDataset()
  const world = useWorld({ dataset: held.dataset, jobSeconds: 0.02 }, undefined, (sandbox) => ({ sources: sourcesOf(sandbox) }))

  const differ = async (ask: Ask, source: string): Promise<readonly string[]> => {
    const groupId = world().vendor('generic').groupId
    const [expected, found] = await Promise.all(['native', source].map((id) => answerOf(world().demo, id, groupId, ask)))
    if (expected === undefined || found === undefined) throw new Error('two answers')
    return differences(expected, found).map((each) => `${nameOf(ask)}: ${each}`)
  }

  it.each([
    ['emulated', 'files rest with us', true],
    ['streamed', 'files pass through', false],
  ] as const)(
    '%s: over random rows and parameters, while %s [PA-02, PA-04, PA-05, PA-08, PA-09, PA-11, PA-13, PA-14, PA-17, PA-20]',
    async (source, _, canOrganize) => {
      const asks = fc.array(anyAsk(canOrganize), { minLength: ASKS_PER_DATASET, maxLength: ASKS_PER_DATASET })
      await fc.assert(
        fc.asyncProperty(anyRows, asks, async (rows, list) => {
          held.set(rows)
          const found = await Promise.all(list.map((ask) => differ(ask, source)))
          expect(found.flat()).toEqual([])
        }),
        { seed: SEED, numRuns: Math.ceil(RUNS / 2 / ASKS_PER_DATASET), endOnFailure: true },
      )
    },
    RUNS * 5_000,
  )
})
