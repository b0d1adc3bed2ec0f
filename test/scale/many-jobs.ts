import { monitorEventLoopDelay } from 'node:perf_hooks'
import { privateKeys } from '../../sandbox/vendor-clients.ts'
import { DEFAULT_LIMITS } from '../../src/vendor/adapter.ts'
import { bounded, count, quantile, seconds, tell, type Figure } from './figures.ts'
import { polledJobs, type PolledJobs, type Polling } from './polled-jobs.ts'
import { QUICK_DISK, startUpstream, withFacade, type Upstream } from './stack.ts'
import { StatusWatch } from './status-watch.ts'
import { canMeasureMemory, OpenFiles, runtimeProcess } from './worker-memory.ts'

/**
 * After how many seconds the vendor is asked for its status again, unless told otherwise: what is usual where a vendor names no wait,
 * so that between two of its alarms an object may be evicted. Deployed, the objects of a Worker are spread over many machines; here one
 * thread has all of them, and room for some 700 requests a second, of vendors and clients together. Where other programs want the
 * machine too it has less, and what is late then says nothing of our code.
 */
export const USUAL_INTERVAL_SECONDS = DEFAULT_LIMITS.pollSeconds
/** An alarm this late is a missed one. */
const MISSED_MS = 30_000
const USUAL: Polling = { silentMs: 0 }
/** Far more often than `Retry-After` asks for, and not so often as to be refused. */
const OFTEN: Polling = { everyMs: 1_250, silentMs: 0 }
/** Status requests to the vendor that a job may have on the average more or less than the jobs of others: lateness of its alarms. */
const JITTER = 0.1

/** Jobs, and how the vendor is to be asked for them. */
export interface Lot {
  readonly jobs: number
  readonly intervalMs: number
  /** Status requests that one job costs its vendor. */
  readonly asks: number
}

/**
 * How long the vendor works on each. The last status request comes half an interval after the vendor is done: neither a small delay of
 * every alarm nor a timer that fires a little early makes it one more or one fewer.
 */
const jobMsOf = ({ asks, intervalMs }: Lot): number => (asks - 0.5) * intervalMs

/** Waits that fit the interval. All jobs are one client's, which is the worst case for what is kept per client. */
const limitsFor = ({ intervalMs }: Lot) => ({ vendorPollFloorSeconds: intervalMs / 1000, openExportsPerClient: 1_000_000 })

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
const milliseconds = (value: number): string => `${count(Math.round(value))} ms`

const completeness = (what: string, jobs: number, { complete, unfinished }: PolledJobs): Figure => {
  for (const last of new Set(unfinished)) tell(`  not complete: ${last}`)
  return bounded(what, `${count(complete)} complete`, `all ${count(jobs)}`, complete === jobs)
}

/** How the vendor was asked. */
const asked = (watch: StatusWatch, { jobs, asks, intervalMs }: Lot): Figure[] => {
  const counts = watch.counts()
  const gaps = watch.gapsMs()
  const most = counts.at(-1) ?? 0
  const latenessMs = (share: number): number => quantile(gaps, share) - intervalMs
  const missed = gaps.filter((gap) => gap > intervalMs + MISSED_MS).length + (jobs - counts.length)
  return [
    bounded(
      '  status requests to the vendor, per job',
      `${counts[0]} to ${most}, median ${quantile(counts, 0.5)}`,
      `at most ${asks}`,
      most <= asks && counts.length === jobs,
    ),
    bounded('  alarms missed or over 30 s late', count(missed), '0', missed === 0),
    {
      what: '  after the interval, up to a tenth of it on purpose: p50, p99, most',
      figure: [latenessMs(0.5), latenessMs(0.99), latenessMs(1)].map(milliseconds).join(', '),
    },
    { what: '  earliest', figure: milliseconds((gaps[0] ?? NaN) - intervalMs) },
    { what: '  status requests in the busiest second', figure: count(watch.busiestSecond()) },
  ]
}

const sourceOf = ({ source }: Upstream, { intervalMs }: Lot) => ({ ...source, limits: { pollSeconds: intervalMs / 1000 } })

/** Many jobs at once, each polled by its client. */
export const manyJobs = async (lot: Lot): Promise<Figure[]> => {
  const { jobs } = lot
  const jobMs = jobMsOf(lot)
  const upstream = await startUpstream({ patients: 1, jobSeconds: jobMs / 1000 })
  const { vendor, sandbox } = upstream
  const watch = new StatusWatch(vendor)
  const ownDelay = monitorEventLoopDelay()
  ownDelay.enable()
  try {
    return await withFacade(
      { sources: { many: sourceOf(upstream, lot) }, secrets: sandbox.secrets, limits: limitsFor(lot) },
      async ({ client }) => {
        const run = () => polledJobs(client, 'many', { jobs, jobMs, polling: USUAL })
        const runtime = canMeasureMemory ? runtimeProcess() : undefined
        const openFiles = runtime && new OpenFiles(runtime, jobs)
        const measured = await runtime?.measure(run)
        const found = measured?.result ?? (await run())
        openFiles?.close()
        const { maxInFlight, earlyStatusRequests } = vendor.traffic()
        const memory = measured?.memory
        return [
          completeness(`${count(jobs)} jobs, each polled as Retry-After asks`, jobs, found),
          bounded('  at once', count(maxInFlight), count(jobs), maxInFlight === jobs),
          ...asked(watch, lot),
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
          ...(openFiles ? [{ what: '  open files, at most', figure: `${count(openFiles.most)} of ${openFiles.limit}` }] : []),
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
export const polledAndNot = async (lot: Lot): Promise<Figure[]> => {
  const { jobs, asks, intervalMs } = lot
  const jobMs = jobMsOf(lot)
  const lots: Readonly<Record<string, Polling>> = {
    unpolled: { silentMs: jobMs + 2 * intervalMs },
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
  const sources = Object.fromEntries(started.map(({ id, upstream }) => [id, sourceOf(upstream, lot)]))
  try {
    return await withFacade(
      { sources, secrets: started[0]?.upstream.sandbox.secrets ?? {}, limits: limitsFor(lot) },
      async ({ client }) => {
        const found = await Promise.all(
          started.map(async (one) => ({
            ...one,
            result: await polledJobs(client, one.id, { jobs, jobMs, polling: one.polling }),
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
