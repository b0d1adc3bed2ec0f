import { setTimeout as delay } from 'node:timers/promises'
import type { Manifest } from '../../sandbox/bulk-client.ts'
import { tell } from './figures.ts'
import type { ScaleClient } from './http.ts'

const KICKOFFS_AT_A_TIME = 24
/** A job that is not over so long after its vendor job was is taken for lost. */
const LOST_AFTER_MS = 180_000
const TELL_EVERY = 1_000

/** How the clients of some jobs behave. */
export interface Polling {
  /** Each job is polled after waits of this to twice this, evenly spread. */
  readonly everyMs: number
  /** The first poll comes no sooner after the kick-off. */
  readonly silentMs: number
}

export interface PolledJobs {
  /** Jobs whose manifest lists one Patient file and no error. */
  complete: number
  /** Others, by what their client was told last. */
  readonly unfinished: string[]
  /** Status requests of the clients. */
  polls: number
  kickedOffMs: number
}

const isWhole = ({ output, error }: Manifest): boolean =>
  output.length === 1 && output[0]?.type === 'Patient' && output[0].count === 1 && error.length === 0

const poll = async (client: ScaleClient, url: string, { everyMs, silentMs }: Polling, lostMs: number, jobs: PolledJobs) => {
  await delay(silentMs)
  for (let last = 'never polled'; ;) {
    if (performance.now() > lostMs) {
      jobs.unfinished.push(last)
      return
    }
    await delay(everyMs * (1 + Math.random()))
    const { status, body } = await client.request(url)
    jobs.polls += 1
    last = `${status} ${body.slice(0, 200)}`
    if (status === 202) continue
    if (status === 200 && isWhole(JSON.parse(body) as Manifest)) jobs.complete += 1
    else jobs.unfinished.push(last)
    return
  }
}

/**
 * Starts exports of a source as fast as they are taken and polls each until it is over.
 *
 * @param jobMs How long the vendor works on each.
 */
export const polledJobs = async (
  client: ScaleClient,
  source: string,
  work: { readonly jobs: number; readonly jobMs: number; readonly polling: Polling },
): Promise<PolledJobs> => {
  const found: PolledJobs = { complete: 0, unfinished: [], polls: 0, kickedOffMs: 0 }
  const startedMs = performance.now()
  const queue = Array.from({ length: work.jobs }, (_, index) => index).values()
  const polling: Promise<void>[] = []
  const starter = async (): Promise<void> => {
    for (const index of queue) {
      const { status, headers, body } = await client.request(`/fhir/${source}/Patient/$export?_type=Patient`)
      const url = headers['content-location']
      if (status !== 202 || typeof url !== 'string') {
        found.unfinished.push(`kick-off ${status} ${body.slice(0, 200)}`)
        continue
      }
      polling.push(poll(client, url, work.polling, performance.now() + work.jobMs + LOST_AFTER_MS, found))
      if ((index + 1) % TELL_EVERY === 0) tell(`  ${index + 1} jobs started`)
    }
  }
  await Promise.all(Array.from({ length: KICKOFFS_AT_A_TIME }, starter))
  found.kickedOffMs = performance.now() - startedMs
  await Promise.all(polling)
  return found
}
