import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { BucketError } from '../../src/job/bucket.ts'
import type { FileRow } from '../../src/job/file-rows.ts'
import { CutOff, MalformedFile } from '../../src/job/file-errors.ts'
import { afterMishap, doubted, FileRefused, MAX_ATTEMPTS, NotAsked, type Surroundings } from '../../src/job/mishaps.ts'
import { BrokenOff } from '../../src/job/keep-on.ts'
import { UrlRefresher } from '../../src/job/url-refresher.ts'
import type { FileAnswer } from '../../src/vendor/client.ts'

const START_MS = 1_000_000_000
const FLOOR_MS = 5_000
const HOUR_MS = 3_600_000

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: START_MS })
})
afterEach(() => {
  vi.useRealTimers()
})

const file = (parts: Partial<FileRow> = {}): FileRow => ({
  n: 1,
  kind: 'output',
  type: 'Patient',
  state: 'pending',
  url: 'https://vendor.example/1',
  attempts: 0,
  nextMs: 0,
  bytes: null,
  lines: null,
  sha256: null,
  text: null,
  announced: null,
  doubt: null,
  reason: null,
  page: null,
  continues: null,
  ...parts,
})

/** A vendor whose status says this; `url` is what it then says of the file. */
const around = (
  isComplete: boolean,
  parts: Partial<Surroundings> = {},
  url = file().url,
): Surroundings & { asked: () => number } => {
  let asked = 0
  let known = file().url
  const refresher = new UrlRefresher(() => {
    asked += 1
    if (isComplete) known = url
    return Promise.resolve({ said: isComplete ? ('complete' as const) : ('no-answer' as const) })
  }, FLOOR_MS)
  return {
    retryMs: 1_000,
    refresher,
    urlOf: () => known,
    succeededMs: () => -Infinity,
    failedMs: () => START_MS,
    asked: () => asked,
    ...parts,
  }
}

const refused = (answer: Exclude<FileAnswer, { kind: 'open' }>) => new FileRefused(answer)
const after = (error: unknown, surroundings: Surroundings, row = file(), hasProgressed = false) =>
  afterMishap({ file: row, url: row.url, askedMs: Date.now(), error, hasProgressed }, surroundings)

describe('what is nobody’s failure is not counted', () => {
  it.each<[string, unknown, number]>([
    ['a turn that is over', new BrokenOff(), 0],
    ['R2', new BucketError('R2 failed'), 15_000],
    ['a vendor that was not even asked', new NotAsked('no token'), 60_000],
    ['a vendor that is not there', refused({ kind: 'unavailable' }), 60_000],
    ['a vendor that is not there and wants to be left alone', refused({ kind: 'unavailable', retryAfterMs: 300_000 }), 300_000],
    ['a vendor that wants to be left alone for days', refused({ kind: 'unavailable', retryAfterMs: 48 * HOUR_MS }), 1_200_000],
    ['a URL that ran out while the status cannot be read', refused({ kind: 'gone' }), 60_000],
  ])('%s', async (_, error, waitMs) => {
    // Also on the last attempt.
    expect(await after(error, around(false), file({ attempts: MAX_ATTEMPTS - 1 }))).toEqual({ nextMs: START_MS + waitMs })
  })

  it('a URL that ran out and was had anew is tried at once [N-25]', async () => {
    const row = file({ attempts: MAX_ATTEMPTS - 1 })
    expect(await after(refused({ kind: 'gone' }), around(true, {}, 'https://vendor.example/1?new'), row)).toEqual({
      nextMs: START_MS,
    })
  })

  it('a URL that ran out before the vendor may be asked again waits until then', async () => {
    const vendor = around(true)
    await vendor.refresher.refresh()
    vi.setSystemTime(START_MS + 2_000)
    expect(await after(refused({ kind: 'gone' }), vendor)).toEqual({ nextMs: START_MS + FLOOR_MS })
    expect(vendor.asked()).toBe(1)
  })
})

describe('what is counted', () => {
  it.each<[string, unknown, boolean, string]>([
    ['a body that was cut off', new CutOff('short'), true, 'cut-off'],
    ['a connection that broke', new TypeError('Network connection lost.'), false, 'cut-off'],
    ['404', refused({ kind: 'missing' }), false, 'missing'],
    ['503 while the status says complete', refused({ kind: 'unavailable' }), true, 'unavailable'],
    ['a URL that is refused and stays the same', refused({ kind: 'gone' }), true, 'unavailable'],
  ])('%s: six times within the hour, then given up', async (_, error, isComplete, reason) => {
    let row = file()
    const waits: number[] = []
    for (let time = 0; row.state === 'pending'; time++) {
      expect(time).toBeLessThan(10)
      const change = await after(error, around(isComplete), row)
      if (change.nextMs !== undefined) waits.push(change.nextMs - Date.now())
      vi.setSystemTime(change.nextMs ?? Date.now())
      row = { ...row, ...change }
    }
    expect(row).toMatchObject({ state: 'failed', attempts: MAX_ATTEMPTS, reason })
    expect(waits).toEqual([2_000, 10_000, 50_000, 250_000, 1_200_000])
    expect(Date.now() - START_MS).toBeLessThan(HOUR_MS)
  })

  it('503 of one file while the vendor answers anything else for its status', async () => {
    for (const kind of ['unavailable', 'gone'] as const) {
      const refresher = new UrlRefresher(() => Promise.resolve({ said: 'answered' as const }), FLOOR_MS)
      const row = file({ attempts: MAX_ATTEMPTS - 1 })
      expect(await after(refused({ kind }), { ...around(true), refresher }, row)).toMatchObject({ state: 'failed' })
    }
  })

  it('a web page, which a server shows in a bad hour: as often as any other failure [N-09]', async () => {
    const page = new MalformedFile('a page', false)
    expect(await after(page, around(true), file({ attempts: 2 }))).toMatchObject({ attempts: 3 })
    expect(await after(page, around(true), file({ attempts: MAX_ATTEMPTS - 1 }))).toMatchObject({ state: 'failed' })
  })

  it('a file that is not what it should be: three times', async () => {
    expect(await after(new MalformedFile('a page'), around(true), file({ attempts: 1 }))).toMatchObject({ attempts: 2 })
    expect(await after(new MalformedFile('a page'), around(true), file({ attempts: 2 }))).toMatchObject({
      state: 'failed',
      reason: 'malformed',
    })
  })

  it('503 while other files come, and the status is not even asked for', async () => {
    const vendor = around(false, { succeededMs: () => START_MS + 1 })
    expect(await after(refused({ kind: 'unavailable' }), vendor)).toMatchObject({ attempts: 1, reason: 'unavailable' })
    expect(vendor.asked()).toBe(0)
  })

  it('503 after another file came, but not since this one last failed: the status is asked for', async () => {
    const vendor = around(false, { succeededMs: () => START_MS - 1 })
    expect(await after(refused({ kind: 'unavailable' }), vendor)).toEqual({ nextMs: START_MS + 60_000 })
    expect(vendor.asked()).toBe(1)
  })

  it('a wait that the vendor asks for lengthens ours, up to a bound', async () => {
    for (const [retryAfterMs, waitMs] of [
      [1, 2_000],
      [90_000, 90_000],
      [48 * HOUR_MS, 1_200_000],
    ] as const) {
      const error = refused({ kind: 'unavailable', retryAfterMs })
      expect(await after(error, around(true))).toMatchObject({ attempts: 1, nextMs: START_MS + waitMs })
    }
  })

  it('a URL that is refused although it is fresh [N-25]', async () => {
    const vendor = around(true, {}, 'https://vendor.example/1?new')
    await vendor.refresher.refresh()
    const row = file({ url: 'https://vendor.example/1?new' })
    expect(await after(refused({ kind: 'gone' }), vendor, row)).toMatchObject({ attempts: 1, reason: 'unavailable' })
    vi.setSystemTime(START_MS + 1_500)
    expect(await after(refused({ kind: 'gone' }), vendor, row)).toEqual({ nextMs: START_MS + FLOOR_MS })
  })

  it('URLs that reading the status again does not change: all of them, and not one with each reading', async () => {
    const vendor = around(true)
    expect(await after(refused({ kind: 'gone' }), vendor)).toMatchObject({ attempts: 1 })
    vi.setSystemTime(START_MS + 2_000)
    expect(await after(refused({ kind: 'gone' }), vendor)).toMatchObject({ attempts: 1 })
    expect(vendor.asked()).toBe(1)
  })

  it('begins anew with a reading that went further', async () => {
    const row = file({ attempts: MAX_ATTEMPTS - 1 })
    expect(await after(new CutOff('short'), around(true), row, true)).toMatchObject({ attempts: 1, nextMs: START_MS + 2_000 })
  })

  it('a file at a place that is not trusted is given up at once', async () => {
    expect(await after(refused({ kind: 'untrusted' }), around(true))).toEqual({ state: 'failed', reason: 'untrusted' })
  })
})

it('a file that is not as announced is read again later, and what it was is remembered', () => {
  expect(doubted(file({ attempts: 1 }), '10/2', 1_000)).toEqual({
    attempts: 2,
    reason: 'cut-off',
    nextMs: START_MS + 10_000,
    doubt: '10/2',
  })
  expect(doubted(file({ attempts: MAX_ATTEMPTS - 1 }), '10/2', 1_000)).toMatchObject({ state: 'failed' })
})

it('all waits are multiples of the first one', async () => {
  const vendor = around(false, { retryMs: 10 })
  expect(await after(refused({ kind: 'unavailable' }), vendor)).toEqual({ nextMs: START_MS + 600 })
  expect(await after(new BucketError('R2 failed'), vendor)).toEqual({ nextMs: START_MS + 150 })
  expect(await after(new CutOff('short'), vendor)).toMatchObject({ nextMs: START_MS + 20 })
})

it('a URL that was fresh when it was asked for is fresh however long the answer takes: no endless refreshing [N-25]', async () => {
  const vendor = around(true, {}, 'https://vendor.example/1?new')
  await vendor.refresher.refresh()
  vi.setSystemTime(Date.now() + 60_000)
  const mishap = { file: file(), url: file().url, error: refused({ kind: 'gone' }), hasProgressed: false }
  expect(await afterMishap({ ...mishap, askedMs: START_MS }, vendor)).toMatchObject({ attempts: 1 })
})
