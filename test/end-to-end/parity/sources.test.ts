import { describe, expect, it } from 'vitest'
import { BulkClient } from '../../../sandbox/bulk-client.ts'
import { generatedDataset, type Dataset } from '../../../sandbox/dataset.ts'
import { SOURCES, useWorld } from '../support.ts'
import { answerOf, nameOf, type Answer, type Ask } from './ask.ts'
import { differences } from './differences.ts'
import { PAIRS, REFUSALS, SINGLES } from './requests.ts'

/** Why an answer of one source cannot be that of the others: the source, the requests that it is about, the reason. */
const CANNOT: readonly {
  readonly sources: readonly string[]
  readonly isAbout: (ask: Ask) => boolean
  readonly reason: string
}[] = [
  {
    sources: ['medplum', 'vendor-x'],
    isAbout: ({ given, lenient }) => lenient !== true && given.some(([, value]) => value === 'Patient?nonsense=x'),
    reason:
      'A vendor that evaluates filters may know search parameters that we do not, so a strict request is for it to ' +
      'refuse; where we evaluate them we refuse what we do not know.',
  },
  {
    sources: ['medplum', 'vendor-x'],
    isAbout: ({ given }) => given.some(([, value]) => value === '_custom'),
    reason:
      'A code of a vendor’s own means what that vendor says: who takes such codes is asked, and elsewhere they are not known.',
  },
]

const reasonFor = (source: string, ask: Ask): string | undefined =>
  CANNOT.find(({ sources, isAbout }) => sources.includes(source) && isAbout(ask))?.reason

/** What is left to compare where an answer cannot be the same: that what is refused by the others is refused with the same status. */
const asOthers = (answer: Answer, expected: Answer, { lenient }: Ask): Answer => {
  if (lenient === true) return expected
  return 'refused' in answer && 'refused' in expected ? { ...answer, codes: expected.codes } : answer
}

/** So that a job is done when it is first asked for. */
const JOB_SECONDS = 0.02

/** What a second of `Retry-After` lasts: of so many exports, each that is asked for too often holds up the others. */
const SECOND_MS = 400

/** As many as tests run side by side: that one export waits for another is shown elsewhere. */
const AT_ONCE = 5

/** What is in the compartment of a patient, what is outside of it, and of each no more than it takes to see a difference. */
const dataset: Dataset = {
  ...generatedDataset(4),
  types: ['Patient', 'Condition', 'Observation', 'DocumentReference', 'Provenance', 'Practitioner', 'Device'],
}

/** @param isServed Whether the answer must have rows. */
const cellsOf = (asks: readonly Ask[], isServed: boolean): [string, Ask, boolean][] =>
  asks.map((request) => [nameOf(request), request, isServed])

const others = SOURCES.filter((id) => id !== 'generic')

describe('the same request on the same patients gives the same from every source [KO-05, PA-01..PA-18]', () => {
  const world = useWorld({ dataset, jobSeconds: JOB_SECONDS, exportsAtOnce: AT_ONCE }, (id, source) =>
    id === 'oracle-health' ? { ...source, limits: { pollSeconds: 0.1, inFlight: AT_ONCE } } : source,
  )
  let client: BulkClient | undefined
  const slowClient = (): BulkClient => (client ??= new BulkClient(world().facade.base, 'demo', world().keys.demo, SECOND_MS))
  const ask = (source: string, request: Ask) => answerOf(slowClient(), source, world().vendor(source).groupId, request)

  const cells = [...cellsOf([...SINGLES, ...PAIRS], true), ...cellsOf(REFUSALS, false)]

  it.concurrent.each(cells)('%s', async (_, request, isServed) => {
    const [expected, found] = await Promise.all([
      ask('generic', request),
      Promise.all(others.map(async (source) => ({ source, answer: await ask(source, request) }))),
    ])
    // That all give nothing would say little.
    if (isServed) expect('rows' in expected && Object.values(expected.rows).flat().length).toBeGreaterThan(0)
    const different = found.flatMap(({ source, answer }) => {
      const isAlike = reasonFor(source, request) === undefined
      return differences(expected, isAlike ? answer : asOthers(answer, expected, request)).map((each) => `${source}: ${each}`)
    })
    expect(different).toEqual([])
  })
})
