import { describe, expect, it } from 'vitest'
import { dollarsOf, monthlyDollars, NOTHING, plus, SUBSCRIPTION_DOLLARS } from '../../bench/prices.ts'

describe('the cost model', () => {
  it('charges the subscription alone for what it includes', () => {
    expect(monthlyDollars({ ...NOTHING, workerRequests: 10e6, classA: 1e6, storedGigabyteMonths: 10 })).toBe(SUBSCRIPTION_DOLLARS)
  })

  it('charges what is beyond it by the million, and storage by the GB-month', () => {
    const usage = { ...NOTHING, workerRequests: 12e6, classA: 2e6, storedGigabyteMonths: 110 }
    expect(dollarsOf(usage)).toMatchObject({ workerRequests: 0.6, classA: 4.5, classB: 0 })
    expect(dollarsOf(usage).storedGigabyteMonths).toBeCloseTo(1.5)
  })

  it('rounds what R2 does up to the next million, and what it keeps to the next GB-month', () => {
    const usage = { ...NOTHING, classA: 1e6 + 1, classB: 10e6 + 1, storedGigabyteMonths: 10.5 }
    expect(dollarsOf(usage)).toMatchObject({ classA: 4.5, classB: 0.36 })
    expect(dollarsOf(usage).storedGigabyteMonths).toBeCloseTo(0.015)
  })

  it('adds use as often as it is had', () => {
    expect(plus({ ...NOTHING, rowsWritten: 1 }, { ...NOTHING, rowsWritten: 2 }, 10).rowsWritten).toBe(21)
  })
})
