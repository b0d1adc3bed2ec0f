import { describe, expect, it } from 'vitest'
import { fails, isSeenSpoilt, sentenceOf, tableOf, verdictOf, type Line } from '../../bench/line.ts'

const ratio = (value: number, noise = 0): Line => ({
  what: 'polls',
  unit: 'requests/s',
  figure: value * 100,
  yardstick: 100,
  ratio: value,
  noise,
  budget: { of: 'ratio', atLeast: 0.85 },
})
const difference = (figure: number): Line => ({
  what: 'memory',
  unit: 'MB',
  figure,
  yardstick: 100,
  budget: { of: 'difference', atMost: 32 },
})
const count = (figure: number): Line => ({
  what: 'requests',
  unit: 'requests',
  figure,
  budget: { of: 'figure', atLeast: 4, atMost: 4, isCounted: true },
})

describe('verdicts of the benchmark', () => {
  it.each([
    ['meets its budget', ratio(0.9), 'ok'],
    ['misses it by less than was measured as noise', ratio(0.83, 0.03), 'noise'],
    ['misses it by more than that', ratio(0.8, 0.03), 'MISSED'],
    ['is no number', ratio(NaN), 'MISSED'],
    ['takes no more than its yardstick and the budget', difference(132), 'ok'],
    ['takes more', difference(133), 'MISSED'],
    ['is exactly what is due', count(4), 'ok'],
    ['is less than what is due', count(3), 'MISSED'],
    ['was not measured', { what: 'nginx', unit: '', note: 'not installed' } satisfies Line, 'skipped'],
    ['has no budget', { what: 'jobs', unit: 'kB', figure: 400 } satisfies Line, ''],
  ] as const)('a line that %s', (_, line, verdict) => {
    expect(verdictOf(line)).toBe(verdict)
  })

  it('a quick run fails by what is counted and not by timings', () => {
    expect(fails(ratio(0.1), false)).toBe(false)
    expect(fails(ratio(0.1), true)).toBe(true)
    expect(fails(count(5), false)).toBe(true)
    expect(fails(ratio(0.84, 0.02), true)).toBe(false)
  })

  it('a path that was slowed down on purpose is seen by its own line and not by a machine that is slow anyway', () => {
    expect(isSeenSpoilt(ratio(0.9), ratio(0.1))).toBe(true)
    expect(isSeenSpoilt(ratio(0.4), ratio(0.38))).toBe(false)
    expect(isSeenSpoilt(ratio(2), ratio(0.9))).toBe(false)
    expect(isSeenSpoilt(count(4), count(40))).toBe(true)
    expect(isSeenSpoilt(difference(90), difference(500))).toBe(true)
  })

  it('the table tells figure, yardstick, ratio, spread, budget and verdict of each line', () => {
    const [head, , line] = tableOf([ratio(0.8, 0.03)]).split('\n')
    expect(head?.trim().split(/ {2,}/)).toEqual(['what', 'figure', 'yardstick', 'unit', 'ratio', 'spread', 'budget'])
    expect(line?.trim().split(/ {2,}/)).toEqual(['polls', '80', '100', 'requests/s', '0.80', '±0.03', '≥ 0.85', 'MISSED'])
  })

  it('the line that is told while others are measured says the same, in words', () => {
    expect(sentenceOf(ratio(0.8, 0.03))).toBe('polls: 80 requests/s, yardstick 100, ratio 0.80 ±0.03, budget ≥ 0.85, MISSED')
    expect(sentenceOf(ratio(0.8, 0.03), false)).not.toContain('MISSED')
    expect(sentenceOf({ what: 'nginx', unit: 'requests/s', note: 'not installed' })).toBe('nginx: skipped, not installed')
    expect(sentenceOf({ what: '  jobs', unit: 'kB', figure: 400 })).toBe('jobs: 400 kB')
  })

  it('the table of a quick run judges no timing', () => {
    expect(tableOf([ratio(0.1), count(5)], false).match(/MISSED/g)).toHaveLength(1)
  })
})
