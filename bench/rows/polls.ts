import type { BenchRow } from '../bench.ts'
import { USUAL_STATUS_REQUESTS, withFacade } from '../facade.ts'
import { pollRate } from '../load.ts'
import { compare } from '../statistics.ts'
import { runningGroup, statusRequests } from '../vendor.ts'
import { startWorker } from '../worker.ts'

const NEVER_SECONDS = 3_600
const ACCEPTED = 202
const WARM_UPS = 1
const GROUP = runningGroup(NEVER_SECONDS)

/** Status polls of running jobs, token check included. So many jobs that none is polled too often: a refusal would be a cheap answer. */
export default {
  name: 'polls',
  sabotage: [
    { name: 'slow-requests', options: { steps: 500_000 } },
    { name: 'chatty', options: { group: GROUP } },
  ],
  measure: ({ layers, jobs, rateRuns, rateSeconds: seconds }) =>
    withFacade({ retention: 'none', layers, limits: USUAL_STATUS_REQUESTS }, async ({ kickOffs, headers, vendor }) => {
      const yardstick = await startWorker('yardsticks/object-call', { hasJobs: true })
      try {
        const urls = await kickOffs(GROUP, jobs)
        await vendor.counts()
        const authorization = await headers()
        const result = await compare(
          rateRuns,
          () => pollRate({ urls, headers: authorization, seconds, status: ACCEPTED }),
          () => pollRate({ urls: [`${yardstick.base}/`], seconds, status: ACCEPTED }),
          WARM_UPS,
        )
        const reaching = statusRequests(await vendor.counts())
        return [
          { what: 'status poll, running jobs', unit: 'requests/s', ...result, budget: { of: 'ratio', atLeast: 0.85 } },
          {
            what: '  of which reach the vendor',
            unit: 'requests',
            figure: reaching,
            budget: { of: 'figure', atMost: 0, isCounted: true },
          },
        ]
      } finally {
        await yardstick.close()
      }
    }),
} satisfies BenchRow as BenchRow
