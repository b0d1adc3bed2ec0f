import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { format, resolveConfig } from 'prettier'
import { COMMAND, DOCUMENT, documentOf } from '../conformance/document.ts'
import { KNOWN_REASONS } from '../conformance/known-reasons.ts'
import { SOURCES } from '../conformance/source-ids.ts'
import { runSuite } from '../conformance/suite.ts'
import type { Result } from '../conformance/verdict.ts'
import { handlingsOf } from './conformance/handlings.ts'
import { resultsBySource, startSources, type Sources } from './conformance/sources.ts'
import { vendorSettings } from './conformance/vendors.ts'

const SUITE_MS = 400_000

let sources: Sources
let results: Awaited<ReturnType<typeof resultsBySource>>
beforeAll(async () => {
  sources = await startSources()
  results = await resultsBySource(sources)
}, SUITE_MS)
afterAll(() => sources?.close())

const against = (found: readonly Result[]): readonly Result[] =>
  found.filter(({ verdict }) => verdict === 'fail' || verdict === 'warning')

describe('every rule of Bulk Data 3.0.0', () => {
  it.each(SOURCES)('%s keeps it, or there is a written reason', (id) => {
    const broken = against(results.get(id) ?? []).filter((result) => KNOWN_REASONS[result.id]?.[id] === undefined)
    expect(broken).toEqual([])
  })

  it.each(SOURCES)('%s: no written reason has become untrue', (id) => {
    const broken = new Set(against(results.get(id) ?? []).map((result) => result.id))
    const reasons = Object.entries(KNOWN_REASONS).flatMap(([rule, bySource]) => (bySource[id] === undefined ? [] : [rule]))
    expect(reasons.filter((rule) => !broken.has(rule))).toEqual([])
  })

  it(`${DOCUMENT} says what the suite says`, async () => {
    const file = new URL(`../../${DOCUMENT}`, import.meta.url).pathname
    const text = await format(documentOf(results, handlingsOf(sources)), {
      ...(await resolveConfig(file)),
      parser: 'markdown',
    })
    expect(readFileSync(file, 'utf8') === text, `${DOCUMENT} and the suite differ: run ${COMMAND}`).toBe(true)
  })
})

describe('a vendor without the facade in front of it', () => {
  it.each([
    ['generic', ['AU-17']],
    ['medplum', ['KO-05', 'PA-13', 'ST-03']],
    ['vendor-x', ['PA-02', 'PA-13', 'ST-03', 'CS-08']],
  ] as const)('%s is found to break %j', { timeout: SUITE_MS }, async (id, expected) => {
    const vendor = sources.sandbox.vendors.find((each) => each.id === id)
    if (vendor === undefined) throw new Error(`no vendor ${id}`)
    const broken = against(await runSuite(vendorSettings(vendor))).map((result) => result.id)
    expect(broken).toEqual(expect.arrayContaining([...expected]))
  })
})
