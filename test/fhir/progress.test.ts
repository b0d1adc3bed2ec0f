import { expect, it } from 'vitest'
import { formatProgress, mergeProgress, parseProgress, type Progress } from '../../src/fhir/progress.ts'

it.each<[unknown, Progress]>([
  ['50%', { percent: 50, phase: 'running' }],
  ['“50% complete”', { percent: 50, phase: 'running' }],
  ['23.9 % complete', { percent: 23, phase: 'running' }],
  ['100%', { percent: 99, phase: 'finishing' }],
  ['250%', { percent: 99, phase: 'finishing' }],
  [50, { percent: 50, phase: 'running' }],
  ['50', { percent: 50, phase: 'running' }],
  ['Searched 1 of 4 patients', { percent: 25, phase: 'running' }],
  ['Searched 0 of 0 patients', { phase: 'running' }],
  ['in-progress', { phase: 'running' }],
  ['IN_PROGRESS', { phase: 'running' }],
  ['started', { phase: 'running' }],
  ['RUNNING', { phase: 'running' }],
  ['scheduled', { phase: 'queued' }],
  ['QUEUED', { phase: 'queued' }],
  ['Pending', { phase: 'queued' }],
  ['completed', { phase: 'finishing' }],
  ['Build in progress - Status set to BUILDING at 2026-01-31T00:00:00Z', { phase: 'running' }],
  ['Exporting John Smith', {}],
  ['', {}],
  [-5, {}],
  [Number.NaN, {}],
  [null, {}],
  [undefined, {}],
  [{ percent: 5 }, {}],
])('X-Progress %j is %j [ST-02, N-17]', (value, expected) => {
  expect(parseProgress(value)).toEqual(expected)
})

it.each<[Progress | undefined, Progress, Progress]>([
  [undefined, {}, {}],
  [undefined, { percent: 10, phase: 'running' }, { percent: 10, phase: 'running' }],
  [
    { percent: 40, phase: 'running' },
    { percent: 10, phase: 'queued' },
    { percent: 40, phase: 'running' },
  ],
  [{ percent: 40 }, {}, { percent: 40 }],
  [{ phase: 'queued' }, { percent: 5, phase: 'running' }, { percent: 5, phase: 'running' }],
  [{ percent: 40 }, { percent: 400 }, { percent: 99 }],
  [{ percent: 40 }, { percent: Number.NaN }, { percent: 40 }],
])('after %j a look at %j shows %j [N-17]', (previous, next, expected) => {
  expect(mergeProgress(previous, next)).toEqual(expected)
})

it.each([
  [{ percent: 50, phase: 'running' }, '50% complete'],
  [{ percent: 100 }, '99% complete'],
  [{ phase: 'queued' }, 'queued'],
  [{ phase: 'running' }, 'in progress'],
  [{ phase: 'finishing' }, 'finishing'],
  [{}, 'in progress'],
  [{ queuePosition: 3 }, 'queued, position 3'],
  [{ queuePosition: Number.NaN }, 'queued, position 1'],
] as const)('%j reads %j [ST-02]', (progress, text) => {
  expect(formatProgress(progress)).toBe(text)
  expect(text).toMatch(/^[\x20-\x7e]{1,99}$/)
})
