import { compareTraffic } from '../../sandbox/compare.ts'
import type { SandboxVendor } from '../../sandbox/sandbox.ts'
import type { Remains } from './disk.ts'
import type { Export } from './exports.ts'
import type { PatientClient } from './patient-client.ts'
import type { SeenRequest, VendorWatch } from './vendor-watch.ts'

/** A row is written within this after the answer that it keeps. */
const STORED_WITHIN_MS = 1_000
/** A lease that ends within this is the one of a kick-off whose answer was lost. */
const HELD_MS = 5_000

/** An export that nobody polls ends by itself. */
const ORPHAN_MS = 60_000

const wasCut = ({ askedMs, endedMs = Infinity }: SeenRequest, killsMs: readonly number[]): boolean =>
  killsMs.some((killMs) => killMs >= askedMs && killMs <= endedMs + STORED_WITHIN_MS)

/** What the vendors saw of each export: one kick-off, told apart from those that nobody could have known of. */
export const judgeKickoffs = (exports: readonly Export[], watch: VendorWatch, killsMs: readonly number[]): string[] =>
  exports.flatMap((one) => {
    const kickoffs = watch.kickoffsOf(one.tag)
    const violations: string[] = []
    const name = one.statusUrl ?? `${one.source}, unanswered`
    if (kickoffs.length > 1) violations.push(`${name}: ${kickoffs.length} kick-offs at the vendor`)
    const [first] = kickoffs
    if (one.end === 'ambiguous') {
      // Without a kick-off at the vendor, the kill must at least have come while the export could have sent one.
      const cut = first === undefined ? killsMs.some((killMs) => killMs >= one.kickedOffMs) : wasCut(first, killsMs)
      if (!cut) violations.push(`${name}: failed as ambiguous, and nobody was killed between kick-off and answer`)
    }
    const known = (one.end === 'delivered' || one.end === 'deleted') && first?.location !== undefined
    if (known && !watch.cancelled(first)) violations.push(`${name}: deleted, and its vendor job was never cancelled`)
    return violations
  })

/** The rules that each vendor was promised, for as many exports as there were. */
export const judgeTraffic = (
  vendor: SandboxVendor,
  exports: readonly Export[],
  watch: VendorWatch,
  killsMs: readonly number[],
): string[] => {
  const mine = exports.filter(({ source }) => source === vendor.id)
  const accepted = vendor.traffic().kickoffs.accepted
  const rules = compareTraffic(vendor, accepted)
  // An answer that died with the process asked for a wait that nobody could know of.
  const lost = watch.seen.filter((one) => one.source === vendor.id && one.kind === 'status' && wasCut(one, killsMs)).length
  const early = vendor.traffic().earlyStatusRequests
  const violations = early > 0 && early <= lost ? rules.filter((rule) => !rule.includes('Retry-After')) : rules
  if (accepted > mine.length) violations.push(`${accepted} kick-offs accepted for ${mine.length} exports`)
  return violations.map((violation) => `${vendor.id}: ${violation}`)
}

/** Exports whose kick-off was never answered go on without their client; the server's own list tells what became of them. */
export interface Orphans {
  readonly complete: number
  readonly ambiguous: number
  /** Listed, and 404. */
  readonly phantom: number
  readonly neverBegun: number
}

/** Waits until the orphans have ended, and deletes them. */
export const settleOrphans = async (
  client: PatientClient,
  base: string,
  exports: readonly Export[],
  onViolation: (violation: string) => void,
): Promise<Orphans> => {
  const counts = { complete: 0, ambiguous: 0, phantom: 0, neverBegun: 0 }
  const listed = await client.jobs()
  for (const one of exports.filter(({ end }) => end === 'unanswered')) {
    const statusUrl = listed.get(base + one.path)
    if (statusUrl === undefined) {
      counts.neverBegun += 1
      continue
    }
    one.statusUrl = statusUrl
    const ended = await client.end(statusUrl, ORPHAN_MS)
    if (ended === undefined) onViolation(`${statusUrl} has not ended without its client`)
    else if (ended.kind === 'absent') counts.phantom += 1
    else if (ended.kind === 'complete') counts.complete += 1
    else if (ended.text.includes('answer was lost')) counts.ambiguous += 1
    else onViolation(`${statusUrl} failed without its client: ${ended.status} ${ended.text}`)
    await client.remove(statusUrl, () => undefined)
  }
  return counts
}

/** Every export is deleted by now: its status and its files are 404 for good [DL-02]. */
export const judgeDeleted = async (client: PatientClient, exports: readonly Export[]): Promise<string[]> => {
  const urls = exports.flatMap(({ statusUrl, fileUrl }) => [statusUrl, fileUrl].filter((url) => url !== undefined))
  const violations: string[] = []
  for (const url of urls) {
    const status = await client.statusOf(url)
    if (status !== 404) violations.push(`${url} is ${status} after DELETE`)
  }
  return violations
}

/** Nothing of any export is left: no row, no object, no half upload, no slot, no place in a queue. */
export const judgeRemains = (remains: Remains, phantoms: number): string[] => {
  const leaked = remains.leases.filter(({ untilMs }) => untilMs > Date.now() + HELD_MS)
  const counts: [string, number][] = [
    [`rows of jobs (${remains.rows.map(({ jobId, state }) => `${jobId} ${state}`).join(', ')})`, remains.rows.length],
    ['objects', remains.objectKeys.length],
    ['unfinished uploads', remains.openUploads.length],
    [`slots (${leaked.map(({ job }) => job).join(', ')})`, leaked.length],
    ['places in a queue', remains.waiting.length],
    ['jobs that the sweep looks after', remains.live.length],
    ['entries in the index', Math.max(0, remains.indexed.length - phantoms)],
  ]
  return counts.filter(([, count]) => count > 0).map(([what, count]) => `left on disk after all was deleted: ${count} ${what}`)
}
