import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { adapters } from '../adapters/index.ts'
import { EXPECTATIONS, NOW_MS } from './adapters/expectations.ts'
import { clientOf, kickoffOf, play, sourceOf, valuesOf } from './adapters/play.ts'
import { replay } from './adapters/replay.ts'
import { sequence, skipReasons, transcriptsOf } from './adapters/transcript.ts'

const MAX_ADAPTER_LINES = 60

/** Jobs in flight name their adapter: an id may be added here and is never changed [house rule 30]. */
const STABLE_IDS = ['generic', 'oracle-health', 'redox', 'medplum', 'vendor-x']

/** What every vendor's answer becomes, whatever its bytes were. */
const CONTRACT = [
  ['kickoff: refused', { kind: 'rejected' }, 'a refused kick-off is rejected and its status kept [KO-12]'],
  ['kickoff: busy', { kind: 'busy' }, 'too many exports is busy, never a failure [N-05]'],
  ['status: unknown job', { kind: 'lost' }, 'a job that the vendor does not know is lost [N-33]'],
  ['status: token refused', { kind: 'unauthorized' }, 'a refused token is renewed once, then final [N-12]'],
  ['file: presigned', { kind: 'open' }, 'a presigned file is read without the token [N-26]'],
] as const

/** The life of an export; a vendor whose files are all presigned has no `file: open`. */
const LIFE = ['kickoff: accepted', 'status: running', 'status: complete', 'file: open', 'cancel: done']

const baseName = (name: string): string => name.replace(/ \/ \d+$/, '')

beforeEach(() => vi.useFakeTimers({ toFake: ['Date'], now: NOW_MS }))
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

it('every adapter keeps its id and has expectations', () => {
  expect([...adapters.keys()]).toEqual(STABLE_IDS)
  expect(Object.keys(EXPECTATIONS).toSorted((a, b) => a.localeCompare(b))).toEqual(
    STABLE_IDS.toSorted((a, b) => a.localeCompare(b)),
  )
})

describe.each([...adapters.values()])('adapter $id', (adapter) => {
  const text = readFileSync(join(import.meta.dirname, `../adapters/${adapter.id}.ts`), 'utf8')
  const transcripts = transcriptsOf(adapter.id)
  const reasons = skipReasons(adapter.id)
  const expectation = EXPECTATIONS[adapter.id]
  if (!expectation) throw new Error(`adapters/expectations.ts has no entry for ${adapter.id}`)
  const values = valuesOf(expectation)
  const lifeFile = sequence(transcripts, 'file: open').length > 0 ? 'file: open' : 'file: presigned'
  const life = LIFE.map((name) => (name === 'file: open' ? lifeFile : name))
  const known = new Set([...life, ...CONTRACT.map(([name]) => name), ...Object.keys(expectation.others)])

  it(`is one file of less than ${MAX_ADAPTER_LINES} lines that imports the contract alone`, () => {
    expect(text.split('\n').length).toBeLessThanOrEqual(MAX_ADAPTER_LINES)
    expect([...text.matchAll(/\bfrom '([^']+)'/g)].map(([, from]) => from)).toEqual(['../src/vendor/adapter.ts'])
    expect(text).not.toMatch(/\bimport\(|\bfetch\b|\bawait\b/)
  })

  it('names its documentation, or its folder says why not', () => {
    expect(adapter.docs.length > 0).toBe(!reasons.has('docs'))
    for (const url of adapter.docs) expect(new URL(url).protocol).toBe('https:')
  })

  it('gives a reason only for what it has no transcript of', () => {
    const cases = [...reasons.keys()].filter((name) => name !== 'docs')
    expect(cases.filter((name) => !CONTRACT.some(([contract]) => contract === name))).toEqual([])
    expect(cases.filter((name) => sequence(transcripts, name).length > 0)).toEqual([])
  })

  it('has every exchange of its transcripts once, and each is played', () => {
    const names = transcripts.flatMap(({ exchanges }) => exchanges.map(({ name }) => name))
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
    expect(names.map(baseName).filter((name) => !known.has(name))).toEqual([])
    expect(Object.keys(expectation.others).filter((name) => sequence(transcripts, name).length === 0)).toEqual([])
  })

  it('lives from kick-off to cancel as a conformant server does [KO-11, ST-02, FI-01, DL-01]', async () => {
    const exchanges = life.flatMap((name) => sequence(transcripts, name))
    expect(new Set(exchanges.map(({ name }) => baseName(name)))).toEqual(new Set(life))
    const [first] = exchanges
    if (!first) throw new Error('there is no kick-off')
    const source = await sourceOf(adapter.id, expectation.source)
    const network = replay(exchanges, values)
    const client = clientOf(source)

    const accepted = await client.kickoff(kickoffOf(first.request, values))
    expect(accepted).toMatchObject({ kind: 'accepted', ...expectation.accepted })
    if (accepted.kind !== 'accepted') throw new Error(accepted.kind)
    expect(await client.status(accepted.statusUrl)).toEqual({ kind: 'running', ...expectation.running })
    const complete = await client.status(accepted.statusUrl)
    expect(complete).toMatchObject({ kind: 'complete', ...expectation.complete })
    if (complete.kind !== 'complete') throw new Error(complete.kind)
    const { output, deleted, error } = complete.manifest
    expect([output.length, deleted.length, error.length]).toEqual(expectation.files)
    for (const { url, type } of [...output, ...deleted, ...error]) {
      expect(url).toMatch(/^https:/)
      expect(type).toBeDefined()
    }
    const file = await client.file(output[0]?.url ?? '')
    expect(file.kind).toBe('open')
    expect(await client.cancel(accepted.statusUrl)).toBe(true)
    network.finish()
  })

  it('says what its transactionTime means [N-20]', () => {
    expect(adapter.read?.transactionTime === 'finish').toBe(expectation.finishTime)
  })

  describe.each(CONTRACT)('contract case %s', (name, outcome, promise) => {
    const reason = reasons.get(name)
    const title = reason === undefined ? promise : `skipped: ${reason}`
    const exchanges = sequence(transcripts, name)
    it.skipIf(reason !== undefined)(`${name}: ${title}`, async () => {
      expect(exchanges, `no transcript of ${name}, and no reason in test/fixtures/${adapter.id}/README.md`).not.toEqual([])
      const played = await play(await sourceOf(adapter.id, expectation.source), exchanges, values)
      expect(played.outcome).toMatchObject(outcome)
    })
  })

  it.each(Object.entries(expectation.others))('reads "%s" as the specification would have it', async (name, expected) => {
    const source = await sourceOf(adapter.id, { ...expectation.source, ...expected.source })
    const { outcome } = await play(source, sequence(transcripts, name), values, expected.unsent)
    expect({ outcome }).toMatchObject({ outcome: expected.outcome })
  })

  it.each(['file: open', 'file: presigned'])('sends the token to no origin but its own for "%s" [N-26]', async (name) => {
    const exchanges = sequence(transcripts, name)
    if (exchanges.length === 0) return
    const source = await sourceOf(adapter.id, expectation.source)
    const { sent } = await play(source, exchanges, values)
    const own = new URL(source.fhirBase).origin
    for (const { url, headers } of sent) {
      const mayHaveIt = new URL(url).origin === own && !/[?&](X-Amz-Signature|Signature|sig)=/.test(url)
      expect([url, headers.has('Authorization')]).toEqual([url, mayHaveIt])
    }
  })
})
