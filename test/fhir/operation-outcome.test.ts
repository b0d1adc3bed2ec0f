import { expect, it } from 'vitest'
import { ExportError } from '../../src/errors.ts'
import { issueOf, operationOutcome, parseOutcome } from '../../src/fhir/operation-outcome.ts'

it('shows an error of ours with its issue type and the parameter [KO-12]', () => {
  const error = new ExportError('parameter_invalid', '_since is not an instant.', { parameter: '_since' })
  expect(operationOutcome([issueOf(error), issueOf(new ExportError('vendor_unreachable', 'Try again.'))])).toEqual({
    resourceType: 'OperationOutcome',
    issue: [
      { severity: 'error', code: 'value', diagnostics: '_since is not an instant.', expression: ['_since'] },
      { severity: 'error', code: 'transient', diagnostics: 'Try again.' },
    ],
  })
})

it('has an issue even when there is none, as FHIR demands [KO-12]', () => {
  expect(operationOutcome([]).issue).toHaveLength(1)
})

const outcome = (issue?: unknown): object => ({ resourceType: 'OperationOutcome', issue })

it.each<[unknown, ReturnType<typeof parseOutcome>]>([
  [outcome([{ severity: 'error', code: 'throttled' }]), { codes: ['throttled'], transient: true }],
  [outcome([{ code: 'STRUCTURE' }, { code: 'Security' }]), { codes: ['structure', 'security'], transient: false }],
  [outcome([{ code: 429 }]), { codes: ['429'], transient: false }],
  [outcome({ code: 'Timeout' }), { codes: ['timeout'], transient: true }],
  [outcome([{ code: null }, null, 'x', {}]), { codes: [], transient: false }],
  [outcome(), { codes: [], transient: false }],
  [{ message: 'Forbidden' }, undefined],
  [{ __type: 'ThrottlingException' }, undefined],
  [{ error: 'invalid_request' }, undefined],
  ['<html></html>', undefined],
  ['', undefined],
  [[], undefined],
  [null, undefined],
  [undefined, undefined],
])('a vendor answer %j reads as %j [ST-07, ST-08, N-35]', (body, expected) => {
  expect(parseOutcome(body)).toEqual(expected)
})
