import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MAX_SINGLE_PUT_BYTES, MIN_PART_BYTES, PUT_BLOCK_BYTES } from '../../src/job/part-size.ts'
import { takeOver } from './globals.ts'
import { runHistory } from './history.ts'
import { plans } from './plan.ts'
import { SMALL } from './small.ts'

let giveBack: (() => void) | undefined
beforeAll(() => {
  giveBack = takeOver()
})
afterAll(() => giveBack?.())

const outcomeOf = async (run: Promise<{ readonly trail: readonly string[] }>): Promise<readonly string[]> => {
  try {
    return (await run).trail
  } catch (error) {
    return [String(error)]
  }
}

describe('the simulation itself', () => {
  it('tells the same history twice, step by step', { timeout: 60_000 }, async () => {
    for (const plan of fc.sample(plans, { numRuns: 50, seed: 7 })) {
      const trail = await outcomeOf(runHistory(plan, true))
      expect(trail.length).toBeGreaterThan(5)
      expect(await outcomeOf(runHistory(plan, true))).toEqual(trail)
    }
  })

  it('cuts files of some hundred bytes into parts', () => {
    expect({ MIN_PART_BYTES, MAX_SINGLE_PUT_BYTES, PUT_BLOCK_BYTES }).toEqual({
      MIN_PART_BYTES: SMALL.MIN_PART_BYTES,
      MAX_SINGLE_PUT_BYTES: SMALL.MAX_SINGLE_PUT_BYTES,
      PUT_BLOCK_BYTES: SMALL.PUT_BLOCK_BYTES,
    })
  })

  it(
    'comes to parts, ranges, pages, blocks, refusals and crashes in the histories that it draws',
    { timeout: 60_000 },
    async () => {
      const seen = new Set<string>()
      const wanted = [
        'R2 part 2',
        'R2 complete',
        'R2 abort',
        'R2 delete',
        '206 of GET',
        '429 of GET',
        'crash of JOBS',
        'page=2',
        'sweep',
        // Of the manifest's pages, a file that was parted, and organized output.
        'is answered 202 {"transactionTime"',
        '?page=2 of',
        'files/Procedure.',
        '"continuesInFile"',
      ]
      for (const plan of fc.sample(plans, { numRuns: 600, seed: 11 })) {
        for (const line of await outcomeOf(runHistory(plan, true)))
          for (const word of wanted) if (line.includes(word)) seen.add(word)
      }
      expect([...seen].toSorted()).toEqual(wanted.toSorted())
    },
  )
})
