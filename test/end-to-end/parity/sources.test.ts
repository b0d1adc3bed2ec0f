import { describe, expect, it } from 'vitest'
import { generatedDataset, type Dataset } from '../../../sandbox/dataset.ts'
import { SOURCES, useWorld } from '../support.ts'
import { answerOf, nameOf, type Ask } from './ask.ts'
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
    isAbout: ({ given }) => given.some(([, value]) => value === 'Patient?nonsense=x'),
    reason:
      'A vendor that evaluates filters may know search parameters that we do not, so it is asked, and what it refuses is refused in ' +
      'its place; where we evaluate them we refuse, or leave out, what we do not know.',
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

/** So that a job is done when it is first asked for. */
const JOB_SECONDS = 0.02

/** As many as tests run side by side: that one export waits for another is shown elsewhere. */
const AT_ONCE = 5

/** What is in the compartment of a patient, what is outside of it, and of each no more than it takes to see a difference. */
const dataset: Dataset = {
  ...generatedDataset(4),
  types: ['Patient', 'Encounter', 'Condition', 'Observation', 'Provenance', 'Practitioner', 'Device'],
}

const others = SOURCES.filter((id) => id !== 'generic')

describe('the same request on the same patients gives the same from every source [KO-05, PA-01..PA-18]', () => {
  const world = useWorld({ dataset, jobSeconds: JOB_SECONDS, exportsAtOnce: AT_ONCE }, (id, source) =>
    id === 'oracle-health' ? { ...source, limits: { pollSeconds: 0.1, inFlight: AT_ONCE } } : source,
  )
  const ask = (source: string, request: Ask) => answerOf(world().demo, source, world().vendor(source).groupId, request)

  const cells: [string, Ask][] = [...SINGLES, ...PAIRS, ...REFUSALS].map((request) => [nameOf(request), request])

  it.concurrent.each(cells)('%s', async (_, request) => {
    const asked = others.filter((source) => reasonFor(source, request) === undefined)
    const [expected, found] = await Promise.all([
      ask('generic', request),
      Promise.all(asked.map(async (source) => ({ source, answer: await ask(source, request) }))),
    ])
    const different = found.flatMap(({ source, answer }) => differences(expected, answer).map((each) => `${source}: ${each}`))
    expect(different).toEqual([])
  })
})
