import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/* What the Worker left on disk, read while it is dead. The layout is Miniflare's: `do/<worker>-<class>/<object>.sqlite`, `r2/…`. */

/** A job's row as the killed process left it. */
export interface JobRow {
  readonly jobId: string
  readonly sourceId: string
  readonly state: string
  readonly todo: readonly string[]
}

interface Lease {
  readonly job: string
  readonly untilMs: number
}

/** All that speaks of exports. */
export interface Remains {
  readonly rows: readonly JobRow[]
  readonly objectKeys: readonly string[]
  readonly openUploads: readonly string[]
  readonly leases: readonly Lease[]
  readonly waiting: readonly string[]
  readonly live: readonly string[]
  readonly indexed: readonly string[]
}

const ALARMS = 'metadata.sqlite'

const databasesIn = (directory: string): string[] =>
  existsSync(directory)
    ? readdirSync(directory)
        .filter((name) => name.endsWith('.sqlite') && name !== ALARMS)
        .map((name) => join(directory, name))
    : []

/** Rows of a query over every database of a directory; a database without the table has none. */
const select = (directory: string, table: string, query: string): Record<string, unknown>[] =>
  databasesIn(directory).flatMap((path) => {
    const database = new DatabaseSync(path)
    try {
      const exists = database.prepare(`SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?`).get(table)
      return exists === undefined ? [] : database.prepare(query).all()
    } finally {
      database.close()
    }
  })

const texts = (rows: readonly Record<string, unknown>[], column: string): string[] => rows.map((row) => String(row[column]))

const objects = (stateDirectory: string, className: string): string => join(stateDirectory, 'do', `bulkhead-${className}`)

/** The rows of all jobs. */
export const jobRows = (stateDirectory: string): JobRow[] =>
  select(objects(stateDirectory, 'ExportJob'), 'job', 'SELECT body FROM job').map(
    (row) => JSON.parse(String(row['body'])) as JobRow,
  )

export const remainsIn = (stateDirectory: string): Remains => {
  const gate = objects(stateDirectory, 'SourceGate')
  const bucket = join(stateDirectory, 'r2', 'miniflare-R2BucketObject')
  return {
    rows: jobRows(stateDirectory),
    objectKeys: texts(select(bucket, '_mf_objects', 'SELECT key FROM _mf_objects'), 'key'),
    // 0: neither completed nor aborted.
    openUploads: texts(select(bucket, '_mf_multipart_uploads', 'SELECT key FROM _mf_multipart_uploads WHERE state = 0'), 'key'),
    leases: select(gate, 'lease', 'SELECT job, until_ms FROM lease').map((row) => ({
      job: String(row['job']),
      untilMs: Number(row['until_ms']),
    })),
    waiting: texts(select(gate, 'waiting', 'SELECT job FROM waiting'), 'job'),
    live: texts(select(gate, 'live', 'SELECT job FROM live'), 'job'),
    indexed: texts(select(objects(stateDirectory, 'ClientLedger'), 'jobs', 'SELECT jobId FROM jobs'), 'jobId'),
  }
}

/**
 * Brings the alarms of jobs forward, as if the machine had been down for so long: rows stay as they are, alarms ring late. A kill in
 * the middle of an act is noticed by an alarm half a minute later, and a test has less time than that.
 */
export const letAlarmsRingEarlier = (stateDirectory: string, byMs: number): void => {
  const directory = objects(stateDirectory, 'ExportJob')
  const alarms = join(directory, ALARMS)
  if (byMs === 0 || !existsSync(alarms)) return
  // Nanoseconds, which a JavaScript number cannot hold to the last digit.
  const byNs = BigInt(byMs) * 1_000_000n
  update(alarms, `UPDATE _cf_ALARM SET scheduled_time = scheduled_time - ${byNs}`)
  // Each object keeps the time of its alarm once more, and believes that one; 1 is its key.
  for (const path of databasesIn(directory))
    update(path, `UPDATE _cf_METADATA SET value = value - ${byNs} WHERE key = 1 AND value > 0`)
}

const update = (path: string, statement: string): void => {
  const database = new DatabaseSync(path)
  try {
    const [, table = ''] = /^UPDATE (\w+)/.exec(statement) ?? []
    const exists = database.prepare('SELECT 1 FROM sqlite_master WHERE name = ?').get(table)
    if (exists !== undefined) database.exec(statement)
  } finally {
    database.close()
  }
}
