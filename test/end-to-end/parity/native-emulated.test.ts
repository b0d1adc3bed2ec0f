import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KICKOFF_PARAMETERS } from '../../../src/fhir/kickoff-params.ts'
import type { Oddity } from '../../../sandbox/oddities.ts'
import type { Sandbox } from '../../../sandbox/sandbox.ts'
import { useWorld } from '../support.ts'
import { answerOf, nameOf, type Ask } from './ask.ts'
import { differences } from './differences.ts'
import { anyAsk, type Organizes } from './random-asks.ts'
import { anyRows, changeableDataset } from './random-rows.ts'

/** Requests altogether, and how many of them one set of data serves. */
const RUNS = Number(process.env['PARITY_RUNS'] ?? 60)
const ASKS_PER_DATASET = 10
const SEED = Number(process.env['SEED'] ?? 20_261_121)

/** What the generic server does by itself; a list of patients is a matter of POST. */
const EVERY_PARAMETER = KICKOFF_PARAMETERS.filter((name) => name !== '_outputFormat')

/** One server, four sources: it does all itself, or we do it to everything that it has; and both with nothing kept. */
const sourcesOf = ({ sources }: Sandbox) => {
  const generic = sources['generic']
  if (generic === undefined) throw new Error('no generic server')
  const quick = { ...generic, limits: { pollSeconds: 0.1 } }
  const native = { ...quick, supports: { params: EVERY_PARAMETER, levels: { patient: 'POST' as const, group: 'POST' as const } } }
  const emulated = { ...quick, supports: { params: [] } }
  const retention = 'none' as const
  return { native, emulated, 'native-streamed': { ...native, retention }, 'emulated-streamed': { ...emulated, retention } }
}

/** Which answers are compared, and with whose; what streams through cannot be organized by us. */
const COMPARED: readonly { readonly source: string; readonly expected: string; readonly organizes: Organizes }[] = [
  { source: 'emulated', expected: 'native', organizes: 'sometimes' },
  { source: 'emulated-streamed', expected: 'native', organizes: 'never' },
  { source: 'emulated', expected: 'native-streamed', organizes: 'always' },
]

const ODDITIES: readonly Oddity[] = ['absolute-references', 'absolute-attachments', 'escaped-slashes']
const WAYS: readonly { readonly name: string; readonly oddities: readonly Oddity[] }[] = [
  { name: 'written plainly', oddities: [] },
  { name: 'written oddly', oddities: ODDITIES },
]

const NUMBER_OF_TESTS = COMPARED.length * WAYS.length

describe.each(WAYS)('what we do to rows $name is what a server does that does it itself', ({ oddities }) => {
  const held = changeableDataset()
  const options = { dataset: held.dataset, jobSeconds: 0.02, oddities }
  const world = useWorld(options, undefined, (sandbox) => ({ sources: sourcesOf(sandbox) }))

  it.each(COMPARED)(
    '$source as $expected, organized $organizes, over random rows and parameters [PA-02, PA-04, PA-05, PA-08, PA-09, PA-11, PA-13, PA-14, PA-17, PA-20, FI-12, FI-13]',
    async ({ source, expected, organizes }) => {
      const differ = async (ask: Ask): Promise<readonly string[]> => {
        const answerFrom = (id: string) => answerOf(world().demo, id, world().vendor('generic').groupId, ask)
        const [ours, theirs] = await Promise.all([answerFrom(source), answerFrom(expected)])
        return differences(theirs, ours).map((each) => `${nameOf(ask)}: ${each}`)
      }
      const asks = fc.array(anyAsk(organizes), { minLength: ASKS_PER_DATASET, maxLength: ASKS_PER_DATASET })
      await fc.assert(
        fc.asyncProperty(anyRows, asks, async (rows, list) => {
          held.set(rows)
          const found = await Promise.all(list.map(differ))
          expect(found.flat()).toEqual([])
        }),
        { seed: SEED, numRuns: Math.ceil(RUNS / NUMBER_OF_TESTS / ASKS_PER_DATASET), endOnFailure: true },
      )
    },
    RUNS * 5_000,
  )
})
