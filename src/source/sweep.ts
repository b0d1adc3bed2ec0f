import { log, nameOf } from '../log.ts'

/** Jobs looked after by one sweep; one invocation may make 10,000 calls, and the sweep is not alone. */
export const SWEPT_JOBS = 2_000
/** Jobs called at the same time. */
export const SWEPT_AT_ONCE = 25
/** A job that does not answer within this is left to the next sweep. */
const ANSWER_MS = 10_000

/** A job's object: sets its alarm again if it was lost. False when the job is over and gone. */
export type Rearm = (jobId: string) => Promise<boolean>

/** The jobs that the sweep looks after: those that have asked for a slot, and whatever else holds one or waits. */
export class Sweep {
  readonly #sql: SqlStorage
  readonly #rearm: Rearm
  readonly #drop: (jobId: string) => void
  #running: Promise<number> | undefined

  /** @param drop Takes everything that a job has which is gone. */
  constructor(sql: SqlStorage, rearm: Rearm, drop: (jobId: string) => void) {
    this.#sql = sql
    this.#rearm = rearm
    this.#drop = drop
  }

  track(jobId: string): void {
    this.#sql.exec('INSERT OR IGNORE INTO live (job) VALUES (?)', jobId)
  }

  forget(jobId: string): void {
    this.#sql.exec('DELETE FROM live WHERE job = ?', jobId)
  }

  /** Calls the jobs whose turn it is, a bounded number each time, all in turn. @returns How many jobs live. */
  run(): Promise<number> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(): Promise<number> {
    const { n } = this.#sql.exec<{ n: number }>('SELECT count(*) AS n FROM live').one()
    const jobs = this.#next()
    for (let first = 0; first < jobs.length; first += SWEPT_AT_ONCE) {
      const batch = jobs.slice(first, first + SWEPT_AT_ONCE)
      await Promise.all(batch.map((job) => this.#call(job)))
      // Where the next sweep goes on, should this one not come to its end.
      this.#sql.exec('INSERT OR REPLACE INTO swept (id, job) VALUES (1, ?)', batch.at(-1) ?? '')
    }
    return n
  }

  /** From where the last sweep ended, round to where it began. */
  #next(): string[] {
    const [last] = this.#sql.exec<{ job: string }>('SELECT job FROM swept').toArray()
    const jobs = (condition: string, limit: number): string[] =>
      this.#sql
        .exec<{ job: string }>(
          `SELECT job FROM (SELECT job FROM live UNION SELECT job FROM waiting UNION SELECT job FROM lease WHERE held = 0)
             WHERE job ${condition} ? ORDER BY job LIMIT ?`,
          last?.job ?? '',
          limit,
        )
        .toArray()
        .map(({ job }) => job)
    const after = jobs('>', SWEPT_JOBS)
    return [...after, ...jobs('<=', SWEPT_JOBS - after.length)]
  }

  async #call(job: string): Promise<void> {
    try {
      if (await inTime(this.#rearm(job))) return
      this.forget(job)
      this.#drop(job)
    } catch (error) {
      // One job that cannot be reached must not keep the others from their alarms.
      log('warn', { event: 'sweep.job_failed', jobId: job, error: nameOf(error) })
    }
  }
}

const inTime = async <T>(answer: Promise<T>): Promise<T> => {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new DOMException('No answer in time.', 'TimeoutError')), ANSWER_MS)
  try {
    return await Promise.race([answer, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
