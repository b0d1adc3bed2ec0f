import { describe, expect, it } from 'vitest'
import { QUICK, type Bench, type BenchRow } from '../../bench/bench.ts'
import type { Line } from '../../bench/line.ts'
import { linesOf, spoiltOf } from '../../bench/measure.ts'

const rate = (what: string, ratio: number): Line => ({
  what,
  unit: 'MB/s',
  figure: 100 * ratio,
  yardstick: 100,
  ratio,
  budget: { of: 'ratio', atLeast: 0.9 },
})

const rowOf = (measure: (bench: Bench) => Promise<readonly Line[]>): BenchRow => ({
  name: 'copies',
  sabotage: [{ name: 'slow-bodies' }],
  measure,
})

/** A row whose first line is slowed down by its layers, and whose second is not. */
const half = rowOf(async ({ layers }) => [rate('first', layers.length > 0 ? 0.1 : 1), rate('second', 1)])

describe('measuring a row of the benchmark', () => {
  it('slows nothing down unless told to', async () => {
    expect(await linesOf(half, QUICK, false)).toEqual([rate('first', 1), rate('second', 1)])
    expect(await linesOf(half, QUICK, true)).toEqual([rate('first', 0.1), rate('second', 1)])
  })

  it('a row that breaks is a line that fails, and says why', async () => {
    const broken = rowOf(async () => {
      throw new Error('a download was answered 500')
    })
    const [line] = await linesOf(broken, QUICK, false)
    expect(line).toMatchObject({ what: 'copies', figure: NaN, note: 'a download was answered 500', budget: { isCounted: true } })
  })

  it('each line with a budget must be seen to be slowed down, not one of them', async () => {
    const found = await spoiltOf(half, QUICK)
    expect(found.map(({ isSeen }) => isSeen)).toEqual([true, false])
  })

  it('a row that breaks when it is slowed down is not seen', async () => {
    const breaking = rowOf(async ({ layers }) => {
      if (layers.length > 0) throw new Error('no answer')
      return [rate('first', 1)]
    })
    expect(await spoiltOf(breaking, QUICK)).toEqual([{ isSeen: false, text: expect.stringContaining('no answer') }])
  })

  it('what is not measured on this machine, or has no budget, has nothing to miss', async () => {
    const idle = rowOf(async () => [
      { what: 'nginx', unit: 'requests/s', note: 'not installed', budget: { of: 'ratio', atLeast: 0.6 } },
      { what: 'jobs', unit: 'kB', figure: 400 },
    ])
    expect(await spoiltOf(idle, QUICK)).toEqual([])
  })
})
