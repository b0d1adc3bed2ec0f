import { describe, expect, it } from 'vitest'
import { MalformedRow } from '../../src/rows/row-program.ts'
import { BASE, run } from './support.ts'

const bundle = (...urls: string[]): object => ({
  resourceType: 'Bundle',
  type: 'transaction',
  entry: urls.map((url) => ({ request: { method: 'DELETE', url } })),
})

describe('deletions', () => {
  it('are Bundles that say no more than what was deleted [MF-12]', async () => {
    const row = {
      resourceType: 'Bundle',
      id: 'x',
      type: 'collection',
      entry: [
        {
          fullUrl: 'y',
          request: { method: 'DELETE', url: `${BASE}/Patient/1`, ifMatch: 'z' },
          resource: { resourceType: 'Patient' },
        },
        { request: { method: 'PUT', url: 'Patient/2' } },
        { request: { method: 'DELETE', url: 'Patient?name=x' } },
        { request: { method: 'DELETE', url: 'https://other.example.org/Patient/3' } },
        {},
      ],
    }
    const { rows, program } = await run([row], { file: { kind: 'deleted', type: 'Bundle' } })
    expect(rows).toEqual([JSON.stringify(bundle('Patient/1'))])
    expect(program.isChanged).toBe(true)
  })

  it('are those of types that may be delivered; a Bundle of no other is left out [MF-12]', async () => {
    const rows = [bundle('Patient/1', 'Condition/1'), bundle('Condition/2'), bundle('Patient/2')]
    const { rows: out, program } = await run(rows, { file: { kind: 'deleted', type: 'Bundle', types: ['Patient'] }, sizes: [11] })
    expect(out).toEqual([bundle('Patient/1'), bundle('Patient/2')].map((one) => JSON.stringify(one)))
    expect([program.readLines, program.lines]).toEqual([3, 2])
  })

  it('stay byte for byte when nothing is to be done [MF-12]', async () => {
    const { program } = await run([bundle('Patient/1')], { file: { kind: 'deleted', type: 'Bundle' } })
    expect(program.isChanged).toBe(false)
  })

  it.each([{ patients: ['1'] }, { patients: [] }, { typeFilter: ['Patient?active=true'] }])(
    'are left out where it cannot be told whether they belong to the export: %j [PA-09]',
    async (work) => {
      const { rows, program } = await run([bundle('Patient/1')], { work, file: { kind: 'deleted', type: 'Bundle' } })
      expect([rows, program.readLines, program.lines]).toEqual([[], 1, 0])
    },
  )

  it('are refused when they cannot be read, and other resources among them left out', async () => {
    await expect(run(['{"resourceType":'], { file: { kind: 'deleted', type: 'Bundle' } })).rejects.toThrow(MalformedRow)
    const { rows, program } = await run([{ resourceType: 'Patient', id: '1' }], { file: { kind: 'deleted', type: 'Bundle' } })
    expect([rows, [...program.otherTypes]]).toEqual([[], ['Patient']])
  })
})

const outcomes = async (...rows: (object | string)[]): Promise<unknown[]> =>
  (await run(rows, { file: { kind: 'error', type: 'OperationOutcome' } })).rows.map((row) => JSON.parse(row) as unknown)
const issueOf = async (issue: unknown): Promise<unknown> => {
  const [outcome] = await outcomes({ resourceType: 'OperationOutcome', issue })
  return (outcome as { issue: unknown[] }).issue[0]
}

describe('outcomes', () => {
  it('are plain: severity, code and text [MF-14] [N-35]', async () => {
    const issue = { severity: 'Error', code: 'Not-Found', diagnostics: ' no\u0000such\u2028thing ', expression: ['Patient.name'] }
    expect(await issueOf([issue])).toEqual({ severity: 'error', code: 'not-found', diagnostics: 'no such thing' })
    expect(await issueOf({ severity: 5, code: 'x', details: { text: 'y' } })).toEqual({
      severity: 'warning',
      code: 'processing',
      diagnostics: 'y',
    })
  })

  it.each([
    ['see https://other.example.org/a?b=c for more', 'see (address) for more'],
    ['see db7.ehr.example.org:8443/x now', 'see (address) now'],
    ['EHR.EXAMPLE.ORG failed', '(address) failed'],
    ['amqp://queue/1 is full', '(address) is full'],
  ])('say nothing of what is upstream [N-35]: %s', async (diagnostics, shown) => {
    expect(await issueOf([{ diagnostics }])).toMatchObject({ diagnostics: shown })
  })

  it('are cut, and quick to read however hostile', async () => {
    const { diagnostics } = (await issueOf([{ diagnostics: 'a'.repeat(500_000) }])) as { diagnostics: string }
    expect(diagnostics).toHaveLength(1_000)
    await issueOf([{ diagnostics: 'a.'.repeat(500_000) }])
    await issueOf([{ diagnostics: '-'.repeat(500_000) }])
  })

  it('say that there is something where it cannot be read, one for each row [N-35]', async () => {
    const found = await outcomes('oops', { resourceType: 'Patient' }, { resourceType: 'OperationOutcome' }, '[]')
    expect(found).toHaveLength(4)
    for (const outcome of found)
      expect(outcome).toMatchObject({ resourceType: 'OperationOutcome', issue: [{ severity: 'warning', code: 'processing' }] })
  })
})
