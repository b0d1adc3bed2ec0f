import { monitorEventLoopDelay } from 'node:perf_hooks'
import { bounded, quantile, seconds, tell, type Figure } from './figures.ts'
import { polledJobs, type PolledJobs, type Polling } from './polled-jobs.ts'
import { QUICK_DISK, startUpstream, withFacade, type Upstream } from './stack.ts'
import { StatusWatch } from './status-watch.ts'
import { canMeasureMemory, runtimeProcess } from './worker-memory.ts'
import { privateKeys } from '../../sandbox/vendor-clients.ts'

/** What the vendor is to be asked for its status after: the floor of a deployed Worker, longer than what the fake EHR asks for. */
const INTERVAL_MS = 5_000
/** An alarm this late is a missed one. */
const MISSED_MS = 30_000
/** Clients wait for so long, to twice as long, between two polls. */
const USUAL: Polling = { everyMs: 5_000, silentMs: 0 }
const OFTEN: Polling = { everyMs: 1_250, silentMs: 0 }
/** Status requests to the vendor that a job may have on the average more or less than the jobs of others: lateness of its alarms. */
const JITTER = 0.1

/**
 * The last of `asks` status requests comes half an interval after the vendor is done: neither a small delay of every alarm nor a timer
 * that fires a little early makes it one more or one fewer.
 */
const jobMsFor = (asks: number): number => (asks - 0.5) * INTERVAL_MS

const count = (value: number): string => value.toLocaleString('en')
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
const milliseconds = (value: number): string => `${count(Math.round(value))} ms`

const completeness = (what: string, jobs: number, { complete, unfinished }: PolledJobs): Figure => {
  for (const last of new Set(unfinished)) tell(`  not complete: ${last}`)
  return bounded(what, `${count(complete)} complete`, `all ${count(jobs)}`, complete === jobs)
}

/** How the vendor was asked. */
const asked = (watch: StatusWatch, jobs: number, asks: number): Figure[] => {
  const counts = watch.counts()
  const gaps = watch.gapsMs()
  const most = counts.at(-1) ?? 0
  const latenessMs = (share: number): number => quantile(gaps, share) - INTERVAL_MS
  const missed = gaps.filter((gap) => gap > INTERVAL_MS + MISSED_MS).length + (jobs - counts.length)
  return [
    bounded(
      '  status requests to the vendor, per job',
      `${counts[0]} to ${most}, median ${quantile(counts, 0.5)}`,
      `at most ${asks}`,
      most <= asks && counts.length === jobs,
    ),
    bounded('  alarms missed or over 30 s late', count(missed), '0', missed === 0),
    {
      what: '  lateness of alarms: p50, p99, most',
      figure: [latenessMs(0.5), latenessMs(0.99), latenessMs(1)].map(milliseconds).join(', '),
    },
    { what: '  earliest', figure: milliseconds((gaps[0] ?? NaN) - INTERVAL_MS) },
  ]
}

const sourceOf = ({ source }: Upstream) => ({ ...source, limits: { pollSeconds: INTERVAL_MS / 1000 } })

/** Many jobs at once, each polled by its client. */
export const manyJobs = async (jobs: number, asks: number): Promise<Figure[]> => {
  const jobMs = jobMsFor(asks)
  const upstream = await startUpstream({ patients: 1, jobSeconds: jobMs / 1000 })
  const { vendor, sandbox } = upstream
  const watch = new StatusWatch(vendor)
  const ownDelay = monitorEventLoopDelay()
  ownDelay.enable()
  try {
    return await withFacade(
      { sources: { many: sourceOf(upstream) }, secrets: sandbox.secrets },
      async ({ client }) => {
        const run = () => polledJobs(client, 'many', { jobs, jobMs, polling: USUAL })
        const runtime = canMeasureMemory ? runtimeProcess() : undefined
        const measured = await runtime?.measure(run)
        const found = measured?.result ?? (await run())
        const { maxInFlight, earlyStatusRequests } = vendor.traffic()
        const memory = measured?.memory
        return [
          completeness(`${count(jobs)} jobs, each polled every 5 to 10 s`, jobs, found),
          bounded('  at once', count(maxInFlight), count(jobs), maxInFlight === jobs),
          ...asked(watch, jobs, asks),
          { what: '  of it, at most so much in the fake EHR itself', figure: milliseconds(ownDelay.max / 1e6) },
          bounded('  asked earlier than the vendor wants', count(earlyStatusRequests), '0', earlyStatusRequests === 0),
          {
            what: '  status requests: of clients, to the vendor',
            figure: `${count(found.polls)}, ${count(sum(watch.counts()))}`,
          },
          {
            what: '  started in',
            figure: `${seconds(found.kickedOffMs)}, ${Math.round((1000 * jobs) / found.kickedOffMs)} per s`,
          },
          ...(memory
            ? [{ what: '  memory per job', figure: `${Math.round((memory.peakBytes - memory.idleBytes) / jobs / 1000)} kB` }]
            : []),
        ]
      },
      QUICK_DISK,
    )
  } finally {
    ownDelay.disable()
    watch.close()
    await sandbox.close()
  }
}

/**
 * As many jobs again and again at the same time, unpolled, polled, and polled four times as often, each lot at a fake EHR of its own:
 * what these are asked must not differ.
 */
export const polledAndNot = async (jobs: number, asks: number): Promise<Figure[]> => {
  const jobMs = jobMsFor(asks)
  const lots: Readonly<Record<string, Polling>> = {
    unpolled: { everyMs: USUAL.everyMs, silentMs: jobMs + 2 * INTERVAL_MS },
    polled: USUAL,
    often: OFTEN,
  }
  const keys = await privateKeys()
  const started = await Promise.all(
    Object.entries(lots).map(async ([id, polling]) => {
      const upstream = await startUpstream({ patients: 1, jobSeconds: jobMs / 1000, keys })
      return { id, polling, upstream, watch: new StatusWatch(upstream.vendor) }
    }),
  )
  const sources = Object.fromEntries(started.map(({ id, upstream }) => [id, sourceOf(upstream)]))
  try {
    return await withFacade(
      { sources, secrets: started[0]?.upstream.sandbox.secrets ?? {} },
      async ({ client }) => {
        const found = await Promise.all(
          started.map(async (lot) => ({
            ...lot,
            result: await polledJobs(client, lot.id, { jobs, jobMs, polling: lot.polling }),
          })),
        )
        const totals = found.map(({ watch }) => sum(watch.counts()))
        const most = Math.max(...found.map(({ watch }) => watch.counts().at(-1) ?? 0))
        const spread = (Math.max(...totals) - Math.min(...totals)) / jobs
        return [
          ...found.map(({ id, result }) =>
            completeness(`${count(jobs)} jobs, ${id}: ${count(result.polls)} polls`, jobs, result),
          ),
          bounded(
            '  status requests to the vendor of each lot',
            `${totals.map(count).join(', ')}; per job at most ${most}`,
            `within ${JITTER} per job; at most ${asks}`,
            spread <= JITTER && most <= asks,
          ),
        ]
      },
      QUICK_DISK,
    )
  } finally {
    for (const { watch } of started) watch.close()
    await Promise.all(started.map(({ upstream }) => upstream.sandbox.close()))
  }
}
