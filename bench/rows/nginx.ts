import type { BenchRow } from '../bench.ts'
import { USUAL_STATUS_REQUESTS, withFacade } from '../facade.ts'
import { pollRate } from '../load.ts'
import { nginxPath, withNginx } from '../nginx.ts'
import { compare } from '../statistics.ts'
import { runningGroup, statusRequests } from '../vendor.ts'

const NEVER_SECONDS = 3_600
const ACCEPTED = 202
const WARM_UPS = 1
const WHAT = 'status poll, against nginx in front of the vendor'
const GROUP = runningGroup(NEVER_SECONDS)

/** Status polls that never reach the vendor, against a proxy of which each one does. */
export default {
  name: 'nginx',
  sabotage: [
    { name: 'slow-requests', options: { steps: 500_000 } },
    { name: 'chatty', options: { group: GROUP } },
  ],
  async measure({ layers, jobs, rateRuns, rateSeconds: seconds }) {
    const program = nginxPath()
    if (program === undefined) return [{ what: WHAT, unit: 'requests/s', note: 'nginx is not installed' }]
    return withFacade({ retention: 'none', layers, limits: USUAL_STATUS_REQUESTS }, ({ kickOffs, headers, vendor }) =>
      withNginx(program, vendor.origin, async (base) => {
        const urls = await kickOffs(GROUP, jobs)
        const authorization = await headers()
        let reaching = 0
        const result = await compare(
          rateRuns,
          async () => {
            // What nginx asked before is not ours.
            await vendor.counts()
            const rate = await pollRate({ urls, headers: authorization, seconds, status: ACCEPTED })
            reaching += statusRequests(await vendor.counts())
            return rate
          },
          () => pollRate({ urls: [`${base}/jobs/${GROUP}`], seconds, status: ACCEPTED }),
          WARM_UPS,
        )
        return [
          { what: WHAT, unit: 'requests/s', ...result, budget: { of: 'ratio', atLeast: 0.6 } },
          {
            what: '  of ours, which reach the vendor',
            unit: 'requests',
            figure: reaching,
            budget: { of: 'figure', atMost: 0, isCounted: true },
          },
        ]
      }),
    )
  },
} satisfies BenchRow as BenchRow
