import type { ServiceLimits } from '../config.ts'
import { DEFAULT_LIMITS } from '../vendor/adapter.ts'
import type { Source } from '../vendor/source.ts'
import type { Rules } from './model.ts'

/** A source whose adapter does not say when a job stalls: after this share of its deadline. */
const STALL_SHARE = 1 / 3

/** The numbers of a job: the vendor's, else the usual ones, within those of this service. */
export const rulesFor = (source: Source, service: ServiceLimits): Rules => {
  const limits = { ...DEFAULT_LIMITS, ...source.dialect.limits }
  return {
    pollMs: limits.pollSeconds * 1000,
    minPollMs: service.vendorPollFloorSeconds * 1000,
    maxPollMs: limits.maxPollSeconds * 1000,
    retryMs: service.retrySeconds * 1000,
    deadlineMs: limits.deadlineSeconds * 1000,
    stallMs: (limits.stallSeconds ?? limits.deadlineSeconds * STALL_SHARE) * 1000,
    hiddenJobMs: limits.hiddenJobSeconds * 1000,
    retentionMs: service.retentionSeconds * 1000,
    vendorRetentionMs: limits.retentionSeconds * 1000,
    graceMs: service.purgeGraceSeconds * 1000,
  }
}
