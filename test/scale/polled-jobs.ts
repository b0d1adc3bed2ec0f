import type { IncomingHttpHeaders } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Manifest } from '../../sandbox/bulk-client.ts'
import { tell } from './figures.ts'
import type { ScaleClient } from './http.ts'

const KICKOFFS_AT_A_TIME = 24
/** A job that is not over so long after its vendor job was is taken for lost. */
const LOST_AFTER_MS = 180_000
const TELL_EVERY = 1_000
/** Of a client that was told nothing. */
const FIRST_POLL_MS = 5_000
const COMPLETE = 'complete'

/** How the clients of some jobs behave. */
export interface Polling {
  /** Instead of what `Retry-After` says. Each wait is of this to twice this, evenly spread. */
  readonly everyMs?: number
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

const retryAfterMsIn = ({ 'retry-after': value }: IncomingHttpHeaders): number | undefined =>
  value === undefined ? undefined : Number(value) * 1000

interface Polled {
  readonly client: ScaleClient
  readonly url: string
  readonly polling: Polling
  /** When it is taken for lost. */
  readonly lostMs: number
}

/** Polls a job until it is over. @returns `complete`, or what its client was told last. */
const ending = async ({ client, url, polling: { everyMs, silentMs }, lostMs }: Polled, jobs: PolledJobs): Promise<string> => {
  await delay(silentMs)
  let waitMs = everyMs ?? FIRST_POLL_MS
  for (let last = 'never polled'; ;) {
    if (performance.now() > lostMs) return last
    await delay(waitMs * (1 + Math.random()))
    const { status, headers, body } = await client.request(url)
    jobs.polls += 1
    last = `${status} ${body.slice(0, 200)}`
    if (status === 200 && isWhole(JSON.parse(body) as Manifest)) return COMPLETE
    if (status !== 202) return last
    waitMs = everyMs ?? retryAfterMsIn(headers) ?? FIRST_POLL_MS
  }
}

const poll = async (polled: Polled, jobs: PolledJobs): Promise<void> => {
  // Nobody waits for it yet while others are being started: it must not reject.
  const end = await ending(polled, jobs).catch((error: unknown) => String(error))
  if (end === COMPLETE) jobs.complete += 1
  else jobs.unfinished.push(end)
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
      const lostMs = performance.now() + work.jobMs + LOST_AFTER_MS
      polling.push(poll({ client, url, polling: work.polling, lostMs }, found))
      if ((index + 1) % TELL_EVERY === 0) tell(`  ${index + 1} jobs started`)
    }
  }
  await Promise.all(Array.from({ length: KICKOFFS_AT_A_TIME }, starter))
  found.kickedOffMs = performance.now() - startedMs
  await Promise.all(polling)
  return found
}
