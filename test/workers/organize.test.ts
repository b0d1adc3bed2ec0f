import * as fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { organizeIssues } from '../../src/job/organize/organize-issues.ts'
import { SIZES } from '../../src/job/organize/sizes.ts'
import { headerOf, OrganizedJob, rowOf, tiny, type Given } from './organize-support.ts'

vi.setConfig({ testTimeout: 60_000 })

const PATIENTS = ['1', '10', '2', 'a', 'a-b', 'a.b', 'B', 'Z9']
const TYPES = ['Patient', 'Observation', 'Condition', 'Appointment', 'Practitioner'] as const

const given: fc.Arbitrary<Given> = fc
  .record({
    type: fc.constantFrom(...TYPES),
    id: fc.constantFrom(...PATIENTS, 'x1', 'x2'),
    named: fc.uniqueArray(fc.constantFrom(...PATIENTS), { minLength: 1, maxLength: 3 }),
    text: fc.string({ unit: fc.constantFrom('a', '\t', '\n', '"', 'ä', '🦄', ' '), maxLength: 80 }),
  })
  .map(({ type, id, named, text }) => {
    if (type === 'Patient') return { type, id, text, patients: [...new Set([id, ...named.slice(1)])] }
    const patients = type === 'Practitioner' ? [] : type === 'Appointment' ? named : named.slice(0, 1)
    return { type, id, text, patients }
  })

describe('organizing by patient', () => {
  it('gives every block exactly what belongs to it, whatever the files, runs, merges and outputs are cut into [PA-17, FI-12, FI-13, MF-09]', async () => {
    await OrganizedJob.in(async (newJob) => {
      const reached = { split: 0, files: 0 }
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(given, { maxLength: 12 }), { maxLength: 5 }),
          fc.record({
            runBytes: fc.integer({ min: 600, max: 2_000 }),
            runRecords: fc.integer({ min: 1, max: 9 }),
            fanIn: fc.integer({ min: 2, max: 4 }),
            windowsBytes: fc.integer({ min: 50, max: 900 }),
            windowBytes: fc.integer({ min: 20, max: 300 }),
            batchBytes: fc.integer({ min: 1, max: 300 }),
            objectBytes: fc.integer({ min: 100, max: 2_000 }),
            operations: fc.constantFrom(1, 20, 4_000),
          }),
          async (files, sizes) => {
            const job = newJob()
            await job.put(files)
            await job.finish({ sizes: tiny(sizes) })
            const output = await job.expectBlocksOf(files)
            reached.split += output.filter(({ continues }) => continues !== null).length
            reached.files = Math.max(reached.files, output.length)
            const unrelated = files.flat().filter(({ patients }) => patients.length === 0).length
            expect(job.rows().state()).toMatchObject({ phase: 'done', unrelated, malformed: 0, oversized: 0 })
          },
        ),
        { numRuns: 60 },
      )
      expect(reached.split).toBeGreaterThan(10)
      expect(reached.files).toBeGreaterThan(5)
    })
  })

  it('writes the header, the patient, then the rest by type and as it came [FI-12]', async () => {
    await OrganizedJob.in(async (newJob) => {
      const job = newJob()
      const files: Given[][] = [
        [
          { type: 'Observation', id: 'o1', patients: ['2'] },
          { type: 'Observation', id: 'o2', patients: ['1'] },
          { type: 'Observation', id: 'o0', patients: ['1'] },
        ],
        [{ type: 'Condition', id: 'c1', patients: ['1'] }],
        [{ type: 'Patient', id: '1', patients: ['1'] }],
      ]
      await job.put(files)
      await job.finish({ sizes: SIZES })
      const [o1, o2, o0, c1, p1] = files.flat().map(rowOf)
      expect((await job.output()).map(({ lines }) => lines)).toEqual([[headerOf('1'), p1, c1, o2, o0, headerOf('2'), o1]])
    })
  })

  it('prunes a resource once it is known whose it is, so that what is left need not say so [PA-08, PA-20, FI-13]', async () => {
    await OrganizedJob.in(async (newJob) => {
      const job = newJob()
      await job.put([
        [{ type: 'Observation', id: 'o1', patients: ['1'], text: 'x' }],
        [{ type: 'Patient', id: '1', patients: ['1'] }],
      ])
      await job.finish({ sizes: SIZES, elements: ['Observation.text'] })
      const rows = (await job.output()).flatMap(({ lines }) => lines.map((line) => JSON.parse(line) as Record<string, unknown>))
      expect(rows.slice(1)).toEqual([
        JSON.parse(rowOf({ type: 'Patient', id: '1', patients: ['1'] })),
        { resourceType: 'Observation', id: 'o1', meta: { tag: [expect.objectContaining({ code: 'SUBSETTED' })] }, text: 'x' },
      ])
      expect(job.rows().state()).toMatchObject({ phase: 'done', unrelated: 0 })
    })
  })

  it('repeats a resource in the block of each of its patients, also one who is not in the export [FI-13]', async () => {
    await OrganizedJob.in(async (newJob) => {
      const job = newJob()
      const visit: Given = { type: 'Appointment', id: 'v', patients: ['1', '2', '1'] }
      await job.put([[{ type: 'Patient', id: '1', patients: ['1', '3'] }], [visit]])
      await job.finish({ sizes: SIZES })
      const patient = rowOf({ type: 'Patient', id: '1', patients: ['1', '3'] })
      expect((await job.output())[0]?.lines).toEqual([
        headerOf('1'),
        patient,
        rowOf(visit),
        headerOf('2'),
        rowOf(visit),
        headerOf('3'),
        patient,
      ])
    })
  })

  it('splits a block only when it is larger than a file, and says where it goes on [MF-09]', async () => {
    await OrganizedJob.in(async (newJob) => {
      const job = newJob()
      const files: Given[][] = [
        [
          { type: 'Patient', id: '1', patients: ['1'] },
          ...Array.from({ length: 40 }, (_, index) => ({ type: 'Observation', id: `o${index}`, patients: ['1'] })),
          { type: 'Patient', id: '2', patients: ['2'] },
        ],
      ]
      await job.put(files)
      await job.finish({ sizes: tiny({ objectBytes: 1_000 }) })
      const output = await job.expectBlocksOf(files)
      const [, second] = output
      expect(output.map(({ continues }) => continues)).toEqual([second?.n, null, null])
      const whole = newJob()
      await whole.put(files)
      await whole.finish({ sizes: tiny({ objectBytes: 5_000 }) })
      expect((await whole.expectBlocksOf(files)).map(({ continues }) => continues)).toEqual([null])
    })
  })

  it('counts resources, and no headers [MF-08]', async () => {
    await OrganizedJob.in(async (newJob) => {
      const job = newJob()
      await job.put([['1', '2', '3'].map((id) => ({ type: 'Patient', id, patients: [id] }))])
      await job.finish({ sizes: SIZES })
      expect(job.listed()).toMatchObject([{ lines: 3, state: 'ready', type: 'Patient' }])
    })
  })

  it('leaves out what belongs to nobody, is no resource or is too large, and says how much of each [FI-13]', async () => {
    await OrganizedJob.in(async (newJob) => {
      const job = newJob()
      const patient: Given = { type: 'Patient', id: '1', patients: ['1'] }
      const crowd: Given = { type: 'Appointment', id: 'v', patients: ['1', '2', '3', '4'] }
      await job.put([
        [{ type: 'Practitioner', id: 'p', patients: [] }, patient],
        [crowd],
        [{ ...patient, text: 'x'.repeat(600) }],
      ])
      await job.putText('{"resourceType":\n[]\n\n{"id":"1"}\n{"resourceType":"Observation","subject":{"reference":"Group/1"}}')
      await job.finish({ sizes: tiny({ copiesBytes: 600 }) })
      expect((await job.output()).flatMap(({ lines }) => lines)).toEqual([headerOf('1'), rowOf(patient)])
      const issues = organizeIssues(job.rows())
      expect(issues.map(({ severity, diagnostics }) => `${severity} ${diagnostics.slice(0, 12)}`)).toEqual([
        'information 2 resources ',
        'error 3 lines of t',
        'error 2 resources ',
      ])
    })
  })

  it('makes no file of nothing, and reports nothing', async () => {
    await OrganizedJob.in(async (newJob) => {
      const job = newJob()
      await job.putText('')
      expect(await job.finish()).toBe(1)
      expect(await job.output()).toEqual([])
      expect(organizeIssues(job.rows())).toEqual([])
    })
  })

  it('goes through as many merges as it takes', async () => {
    await OrganizedJob.in(async (newJob) => {
      const job = newJob()
      const files = [
        Array.from({ length: 60 }, (_, index) => ({
          type: 'Observation',
          id: `o${index}`,
          patients: [String((index * 7) % 11)],
        })),
      ]
      await job.put(files)
      let levels = 0
      while ((await job.turn({ sizes: tiny({ operations: 1 }) })).kind !== 'settled')
        levels = Math.max(
          levels,
          job.storage.sql.exec<{ level: number | null }>('SELECT max(level) AS level FROM run').one().level ?? 0,
        )
      await job.expectBlocksOf(files)
      expect(levels).toBeGreaterThan(2)
    })
  })
})
