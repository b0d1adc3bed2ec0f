import { SCHEMA_VERSION, type Job } from './model.ts'

/* The tables of a job's object, and how those of past versions become them. */

const TABLES = `
  CREATE TABLE IF NOT EXISTS job (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, body TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS file (
    n INTEGER PRIMARY KEY, kind TEXT NOT NULL, type TEXT, state TEXT NOT NULL, url TEXT, attempts INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL DEFAULT 0, bytes INTEGER, lines INTEGER, sha256 TEXT, text TEXT,
    announced INTEGER, doubt TEXT, reason TEXT, address TEXT, page INTEGER, continues INTEGER
  );
  CREATE INDEX IF NOT EXISTS file_address ON file (address);
  CREATE TABLE IF NOT EXISTS upload (
    file INTEGER PRIMARY KEY, id TEXT NOT NULL, part_bytes INTEGER NOT NULL, length INTEGER, validator TEXT, type TEXT,
    is_whole INTEGER NOT NULL DEFAULT 0, bytes INTEGER, lines INTEGER, sha256 TEXT, left_out INTEGER, other_types TEXT
  );
  CREATE TABLE IF NOT EXISTS part (
    file INTEGER NOT NULL, n INTEGER NOT NULL, etag TEXT NOT NULL, sha256 TEXT NOT NULL, ends_line INTEGER NOT NULL, tail_bytes INTEGER,
    PRIMARY KEY (file, n)
  ) WITHOUT ROWID;
`

/** Columns of `file` that each version added. */
const ADDED: Readonly<Record<number, readonly string[]>> = {
  2: ['announced INTEGER', 'doubt TEXT', 'reason TEXT', 'address TEXT'],
  3: ['page INTEGER', 'continues INTEGER'],
}
/** What version 3 added to the tables that there were not before version 2. */
const ADDED_TO_UPLOADS = [
  'upload ADD COLUMN left_out INTEGER',
  'upload ADD COLUMN other_types TEXT',
  'part ADD COLUMN tail_bytes INTEGER',
]

/** Makes what is missing. */
export const createTables = (sql: SqlStorage): void => {
  sql.exec(TABLES)
}

/** Brings the tables of an older version up to this one. */
export const upgradeTables = (sql: SqlStorage, version: number): void => {
  if (version >= SCHEMA_VERSION) return
  for (let next = version + 1; next <= SCHEMA_VERSION; next++)
    for (const column of ADDED[next] ?? []) sql.exec(`ALTER TABLE file ADD COLUMN ${column}`)
  // Where it was signed makes no other file of it: it is compared with itself alone.
  if (version < 2) sql.exec('UPDATE file SET address = url')
  if (version === 2) for (const column of ADDED_TO_UPLOADS) sql.exec(`ALTER TABLE ${column}`)
  createTables(sql)
}

/** A third of the deadline, as rules made before stalls were looked for would have said. */
const STALL_SHARE = 3

/** A job as this version has it, from one that an older version wrote. */
export const upgradeJob = (job: Job, version: number): Job =>
  version >= 2
    ? { ...job, schemaVersion: SCHEMA_VERSION }
    : {
        ...job,
        schemaVersion: SCHEMA_VERSION,
        rules: { ...job.rules, stallMs: job.rules.deadlineMs / STALL_SHARE, retryMs: 1_000 },
        waitMs: job.rules.pollMs,
        progressMs: job.submittedMs ?? job.createdMs,
        unreadable: job.unclear,
      }
