import type { BenchRow } from '../bench.ts'
import { USUAL_STATUS_REQUESTS, withFacade } from '../facade.ts'
import { pollRate } from '../load.ts'
import { hasNginx, startNginx } from '../nginx.ts'
import { compare } from '../statistics.ts'
import { runningGroup } from '../vendor.ts'

const NEVER_SECONDS = 3_600
const ACCEPTED = 202
const WHAT = 'status poll, against nginx in front of the vendor'

/** Status polls that never reach the vendor, against a proxy of which each one does. */
export default {
  name: 'nginx',
  sabotage: [{ name: 'slow-requests', options: { steps: 500_000 } }],
  async measure({ layers, jobs, runs, pollSeconds: seconds }) {
    if (!hasNginx()) return [{ what: WHAT, unit: 'requests/s', note: 'nginx is not installed' }]
    return withFacade({ retention: 'none', layers, limits: USUAL_STATUS_REQUESTS }, async ({ kickOffs, headers, vendor }) => {
      const group = runningGroup(NEVER_SECONDS)
      const nginx = await startNginx(vendor.origin)
      try {
        const urls = await kickOffs(group, jobs)
        const authorization = await headers()
        const result = await compare(
          runs,
          () => pollRate({ urls, headers: authorization, seconds, status: ACCEPTED }),
          () => pollRate({ urls: [`${nginx.base}/jobs/${group}`], seconds, status: ACCEPTED }),
        )
        return [{ what: WHAT, unit: 'requests/s', ...result, budget: { of: 'ratio', atLeast: 0.6 } }]
      } finally {
        await nginx.close()
      }
    })
  },
} satisfies BenchRow as BenchRow
