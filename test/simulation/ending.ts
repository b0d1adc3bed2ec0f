import type { Database } from './database.ts'
import type { OurJobs } from './jobs.ts'
import { HIDDEN_MS } from './numbers.ts'
import type { Platform } from './platform.ts'
import type { Vendor } from './vendor.ts'
import type { World } from './world.ts'

/** All rows of a table; none when it was not made. */
export const rowsOf = (database: Database, table: string): Record<string, unknown>[] =>
  database.has(table) ? database.exec(`SELECT * FROM ${table}`).toArray() : []

/** What must hold when everything is over: nothing is left of anything, anywhere. */
export const checkEnding = (world: World, platform: Platform, ours: OurJobs, vendor: Vendor): void => {
  for (const job of ours.all) {
    const object = platform.object('JOBS', job.id)
    const left = [...object.database.counts()].filter(([table, count]) => count > 0 && !table.startsWith('sqlite_'))
    world.held(left.length === 0, `nothing is left of a job that is ${job.state}, and not rows in ${left.join(', ')}`)
    world.held(object.alarmMs === null, 'a job that is gone has no alarm')
    const isEnded = job.state === 'cancelled' || job.state === 'expired'
    if (job.answered === 'accepted') world.held(isEnded, `an accepted job comes to an end, and not to ${job.state}`)
  }
  for (const { database } of platform.objects().filter(({ kind }) => kind === 'LEDGERS')) {
    world.held(rowsOf(database, 'jobs').length === 0, 'no ledger lists a job that is gone')
  }
  for (const { job, until_ms: untilMs } of rowsOf(platform.gate.database, 'lease')) {
    const our = ours.byId(String(job))
    const isOver = Number(untilMs) <= world.now
    const isHidden = our?.ambiguousMs !== undefined || our?.state === 'cancelled'
    const isBounded = Number(untilMs) <= (our?.heldMs ?? 0) + HIDDEN_MS
    world.held(
      isOver || (isHidden && isBounded),
      `the slot of job ${our?.number} is given back, and not held until ${String(untilMs)}`,
    )
  }
  for (const table of ['waiting', 'live'])
    world.held(rowsOf(platform.gate.database, table).length === 0, `no job that is gone is ${table}`)
  world.held(platform.bucket.objects.size === 0, `no object is left in R2: ${[...platform.bucket.objects.keys()].join(', ')}`)
  const uploads = [...platform.bucket.uploads.values()].filter(({ isUnknown, isAbandoned }) => !isUnknown && !isAbandoned)
  world.held(uploads.length === 0, `no upload is left unfinished in R2: ${uploads.map(({ key }) => key).join(', ')}`)
  for (const job of vendor.jobs) {
    const isForgotten =
      job.isRunning && job.isKnown && !job.isLost && !job.wentBack && job.deletes === 0 && !vendor.tokens.hadTrouble
    world.held(!isForgotten, `export ${job.number} of the vendor is cancelled when ours ends early`)
  }
}
