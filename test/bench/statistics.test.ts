import { describe, expect, it } from 'vitest'
import { compare, compared, deviation, median, onLine } from '../../bench/statistics.ts'

/** Each of some values in turn. */
const next = (values: Iterator<number>) => async () => Number(values.next().value)

describe('statistics of the benchmark', () => {
  it.each([
    [[3], 3],
    [[4, 1, 2], 2],
    [[4, 1, 2, 3], 2.5],
    [[], NaN],
  ])('the median of %j is %d', (values, expected) => {
    expect(median(values)).toBe(expected)
  })

  it('the spread is not moved by a single run that went wrong', () => {
    expect(deviation([10, 11, 9, 10, 500])).toBe(1)
  })

  it.each([
    [[0.8, 0.9], 0.05],
    [[0.8, 0.9, 0.2], 0.1],
    [[0.8, 0.9, 0.85, 0.2], 0.05],
  ])('at least half of the runs %j lie within the spread, %d', (values, expected) => {
    expect(deviation(values)).toBeCloseTo(expected)
    const within = values.filter((value) => Math.abs(value - median(values)) <= deviation(values) + Number.EPSILON)
    expect(within.length).toBeGreaterThanOrEqual(values.length / 2)
  })

  it('a single run has no spread, rather than one of nothing', () => {
    expect(compared([80], [100])).toEqual({ figure: 80, yardstick: 100, ratio: 0.8 })
  })

  it('a machine that slows down while it is measured slows both down, and the ratio stays', () => {
    const { ratio, noise } = compared([80, 40, 8], [100, 50, 10])
    expect(ratio).toBeCloseTo(0.8)
    expect(noise).toBeCloseTo(0)
  })

  it('measures ours and the yardstick in turn, and neither always first', async () => {
    const order: string[] = []
    const one = (name: string, value: number) => async () => {
      order.push(name)
      return value
    }
    expect(await compare(3, one('ours', 90), one('yardstick', 100))).toEqual({ figure: 90, yardstick: 100, ratio: 0.9, noise: 0 })
    expect(order).toEqual(['yardstick', 'ours', 'ours', 'yardstick', 'yardstick', 'ours'])
  })

  it('counts no run that warms up', async () => {
    const [ours, theirs] = [[1, 90, 90].values(), [1_000, 100, 100].values()]
    expect(await compare(2, next(ours), next(theirs), 1)).toEqual({ figure: 90, yardstick: 100, ratio: 0.9, noise: 0 })
  })

  it('tells where a straight line goes', () => {
    expect(onLine([1, 10], [10, 100], 1_000)).toBe(10_000)
    expect(onLine([1, 12], [10, 30], 100)).toBe(210)
  })
})
