import type { BenchRow } from '../bench.ts'
import { USUAL_STATUS_REQUESTS, withFacade } from '../facade.ts'
import { pollRate } from '../load.ts'
import { compare } from '../statistics.ts'
import { runningGroup } from '../vendor.ts'
import { startWorker } from '../worker.ts'

const NEVER_SECONDS = 3_600
const ACCEPTED = 202

/** Status polls of running jobs, token check included. So many jobs that none is polled too often: a refusal would be a cheap answer. */
export default {
  name: 'polls',
  sabotage: [{ name: 'slow-requests', options: { steps: 500_000 } }],
  measure: ({ layers, jobs, runs, pollSeconds: seconds }) =>
    withFacade({ retention: 'none', layers, limits: USUAL_STATUS_REQUESTS }, async ({ kickOffs, headers, vendor }) => {
      const yardstick = await startWorker('yardsticks/object-call', { hasJobs: true })
      try {
        const urls = await kickOffs(runningGroup(NEVER_SECONDS), jobs)
        await vendor.counts()
        const authorization = await headers()
        const result = await compare(
          runs,
          () => pollRate({ urls, headers: authorization, seconds, status: ACCEPTED }),
          () => pollRate({ urls: [`${yardstick.base}/`], seconds, status: ACCEPTED }),
        )
        const { status } = await vendor.counts()
        return [
          { what: 'status poll, running jobs', unit: 'requests/s', ...result, budget: { of: 'ratio', atLeast: 0.85 } },
          {
            what: '  of which reach the vendor',
            unit: 'requests',
            figure: Object.values(status).reduce((sum, count) => sum + count, 0),
            budget: { of: 'figure', atMost: 0, isCounted: true },
          },
        ]
      } finally {
        await yardstick.close()
      }
    }),
} satisfies BenchRow as BenchRow
