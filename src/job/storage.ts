import { FileRows, type FileChange } from './file-rows.ts'
import { SCHEMA_VERSION, type Job } from './model.ts'
import { OrganizeRows } from './organize/organize-rows.ts'
import { createTables, upgradeJob, upgradeTables } from './schema.ts'
import { UploadRows } from './upload-rows.ts'

/** Where an object of a job rests; the prefix of a job holds all of them. */
export const objectPrefix = (jobId: string): string => `jobs/${jobId}/`
export const objectKey = (jobId: string, n: number): string => `${objectPrefix(jobId)}${n}`

/** The rows of one job. Every call is synchronous: what it wrote is there before the next await, or not at all. */
export class JobStorage {
  readonly #storage: DurableObjectStorage
  readonly files: FileRows
  readonly uploads: UploadRows
  readonly organizing: OrganizeRows

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage
    this.files = new FileRows(storage)
    this.uploads = new UploadRows(storage.sql)
    this.organizing = new OrganizeRows(storage, this.files, this.uploads)
  }

  /** The job; `undefined` when there is none. @throws when a later version of this software wrote it. */
  load(): Job | undefined {
    // An object that was only asked for, and never used, keeps no tables.
    const [exists] = this.#storage.sql.exec(`SELECT 1 FROM sqlite_master WHERE name = 'job'`).toArray()
    if (!exists) return undefined
    const [row] = this.#storage.sql.exec<{ version: number; body: string }>('SELECT version, body FROM job').toArray()
    if (!row) return undefined
    if (row.version > SCHEMA_VERSION) throw new Error(`a job row of version ${row.version}, written by later software`)
    upgradeTables(this.#storage.sql, row.version)
    const job = upgradeJob(JSON.parse(row.body) as Job, row.version)
    // The tables are of this version now, and so must the row be that tells it.
    if (row.version < SCHEMA_VERSION) this.save(job)
    return job
  }

  create(job: Job): void {
    createTables(this.#storage.sql)
    this.save(job)
  }

  save(job: Job): void {
    this.#storage.sql.exec(
      'INSERT INTO job (one, version, body) VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET version = excluded.version, body = excluded.body',
      SCHEMA_VERSION,
      JSON.stringify(job),
    )
  }

  /**
   * A file came whole: its upload is no more, in the same moment as it is what it is, and as what else it holds is to be read.
   *
   * @param others Types of it that are to be files of their own. @param readLines Its rows of all types.
   */
  settle(n: number, change: FileChange, others: readonly string[] = [], readLines = 0): void {
    this.#storage.transactionSync(() => {
      this.uploads.drop(n)
      this.files.split(n, others, readLines)
      this.files.update(n, change)
    })
  }
}
