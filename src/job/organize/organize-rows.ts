import type { FileRows } from '../file-rows.ts'
import type { UploadRows } from '../upload-rows.ts'
import type { LeftOut, MergeTarget, Phase, Position, Run, Segment, Taken } from './progress.ts'

const TABLES = `
  CREATE TABLE IF NOT EXISTS organizing (
    one INTEGER PRIMARY KEY CHECK (one = 1), phase TEXT NOT NULL DEFAULT 'reading', file INTEGER NOT NULL DEFAULT 0,
    offset INTEGER NOT NULL DEFAULT 0, unrelated INTEGER NOT NULL DEFAULT 0, malformed INTEGER NOT NULL DEFAULT 0,
    oversized INTEGER NOT NULL DEFAULT 0
  );
  INSERT OR IGNORE INTO organizing (one) VALUES (1);
  CREATE TABLE IF NOT EXISTS run (
    n INTEGER PRIMARY KEY, ordinal INTEGER NOT NULL, level INTEGER NOT NULL, target INTEGER, taken INTEGER NOT NULL DEFAULT 0
  );
  CREATE TABLE IF NOT EXISTS segment (n INTEGER PRIMARY KEY, run INTEGER NOT NULL, bytes INTEGER NOT NULL);
`
/** As a run that others are merged into: the output. No run has this number. */
const OUTPUT = 0
/** Segments are numbered from here on. */
const FIRST_SEGMENT = 2 ** 40

/**
 * How far the organizing of a job's files is. Each object made is recorded together with what it was made of, in one transaction: whatever
 * happens, a step is done or has yet to be.
 */
export class OrganizeRows {
  readonly #storage: DurableObjectStorage
  readonly #files: FileRows
  readonly uploads: UploadRows
  #isOpen = false

  constructor(storage: DurableObjectStorage, files: FileRows, uploads: UploadRows) {
    this.#storage = storage
    this.#files = files
    this.uploads = uploads
  }

  state(): { readonly phase: Phase } & Position & LeftOut {
    const [row] = this.#all<{ phase: Phase } & Position & LeftOut>(
      'SELECT phase, file, offset, unrelated, malformed, oversized FROM organizing',
    )
    if (!row) throw new Error('the state of organizing is missing')
    return row
  }

  enter(phase: Phase): void {
    this.#all('UPDATE organizing SET phase = ?', phase)
  }

  /** The first files to be organized from this number on. */
  material(from: number, limit: number): { readonly n: number; readonly bytes: number }[] {
    return this.#all(
      `SELECT n, coalesce(bytes, 0) AS bytes FROM file WHERE kind = 'output' AND state = 'material' AND n >= ? ORDER BY n LIMIT ?`,
      from,
      limit,
    )
  }

  /** Number that the next segment gets. */
  nextSegment(): number {
    return this.#one('SELECT max(n) + 1 AS n FROM segment') ?? FIRST_SEGMENT
  }

  /** Number that the next output file gets. */
  nextFile(): number {
    return this.#one('SELECT max(n) + 1 AS n FROM file') ?? 1
  }

  /** Records what was read, and the run that was made of it, if anything was in it. */
  addRun(
    segment: Segment | undefined,
    { file, offset }: Position,
    { unrelated, malformed, oversized }: LeftOut,
    isOver: boolean,
  ): void {
    this.#storage.transactionSync(() => {
      if (segment) {
        const [run] = this.#all<{ n: number }>(
          'INSERT INTO run (ordinal, level) SELECT coalesce(max(ordinal), 0) + 1, 0 FROM run RETURNING n',
        )
        this.#addSegment(segment, run?.n ?? OUTPUT)
      }
      this.#all(
        `UPDATE organizing SET phase = ?, file = ?, offset = ?, unrelated = unrelated + ?, malformed = malformed + ?,
           oversized = oversized + ?`,
        isOver ? 'dropping' : 'reading',
        file,
        offset,
        unrelated,
        malformed,
        oversized,
      )
    })
  }

  /**
   * The merge that is under way, or the next: as many of the youngest generation, side by side, as leave few enough for the last merge;
   * when there are few enough, all into the output. `undefined` when no run is left.
   *
   * @param fanIn Runs that are merged at a time.
   */
  merge(fanIn: number): { readonly target: MergeTarget; readonly runs: readonly Run[] } | undefined {
    return this.#storage.transactionSync(() => {
      if (this.#one('SELECT 1 AS n FROM run WHERE target IS NOT NULL') === undefined) this.#plan(fanIn)
      const runs = this.#all<Run & { target: number }>(
        'SELECT n, ordinal, taken, target FROM run WHERE target IS NOT NULL ORDER BY ordinal',
      )
      const [first] = runs
      return first && { target: first.target === OUTPUT ? { kind: 'output' } : { kind: 'run', n: first.target }, runs }
    })
  }

  segments(run: number): Segment[] {
    return this.#all('SELECT n, bytes FROM segment WHERE run = ? ORDER BY n', run)
  }

  /** Records one more object of the run that others are merged into. */
  addMerged(segment: Segment, target: number, taken: Taken, isOver: boolean): void {
    this.#storage.transactionSync(() => {
      this.#addSegment(segment, target)
      this.#take(taken, isOver)
    })
  }

  /** Records one more output file; `isSplit` when its last block goes on in the next [MF-09]. */
  addOutput(
    file: { readonly n: number; readonly bytes: number; readonly lines: number; readonly sha256: string },
    isSplit: boolean,
    taken: Taken,
    isOver: boolean,
  ): void {
    const { n, ...made } = file
    this.#storage.transactionSync(() => {
      this.uploads.drop(n)
      // Should another row have come in between, the file before goes on here all the same.
      this.#all(
        `UPDATE file SET continues = ?1 WHERE continues IS NOT NULL AND kind = 'output'
           AND n = (SELECT max(n) FROM file WHERE kind = 'output' AND state = 'ready')`,
        n,
      )
      this.#all(`INSERT INTO file (n, kind, type, state) VALUES (?, 'output', 'Patient', 'pending')`, n)
      this.#files.forget()
      this.#files.update(n, { ...made, state: 'ready', continues: isSplit ? n + 1 : null })
      this.#take(taken, isOver)
    })
  }

  /** Objects of runs that are merged, to be deleted. */
  superseded(limit: number): number[] {
    return this.#all<{ n: number }>('SELECT n FROM segment WHERE run NOT IN (SELECT n FROM run) ORDER BY n LIMIT ?', limit).map(
      ({ n }) => n,
    )
  }

  /** Those are deleted. */
  forget(segments: readonly number[]): void {
    this.#storage.transactionSync(() => {
      for (const n of segments) this.#all('DELETE FROM segment WHERE n = ?', n)
    })
  }

  /** Ends it where it is. Without any output file the files count as failed, since nothing of them was delivered. */
  giveUp(): void {
    if (this.state().phase === 'done') return
    const made = this.#one(`SELECT 1 AS n FROM file WHERE kind = 'output' AND state = 'ready'`)
    if (made !== undefined) return
    for (const { n } of this.material(0, -1)) this.#files.update(n, { state: 'failed', reason: 'too-late' })
  }

  #plan(fanIn: number): void {
    const total = this.#one('SELECT count(*) AS n FROM run') ?? 0
    if (total <= fanIn) {
      this.#all('UPDATE run SET target = ?', OUTPUT)
      return
    }
    for (;;) {
      const young = this.#all<{ n: number; ordinal: number; level: number }>(
        'SELECT n, ordinal, level FROM run WHERE level = (SELECT min(level) FROM run) ORDER BY ordinal LIMIT ?',
        Math.max(2, Math.min(fanIn, total - fanIn + 1)),
      )
      const [first] = young
      if (!first) return
      // A single one waits for the generation before it.
      if (young.length === 1) {
        this.#all('UPDATE run SET level = level + 1 WHERE n = ?', first.n)
        continue
      }
      const target = (this.#one('SELECT max(n) + 1 AS n FROM run') ?? 1) || 1
      for (const { n } of young) this.#all('UPDATE run SET target = ? WHERE n = ?', target, n)
      this.#all('INSERT INTO run (n, ordinal, level) VALUES (?, ?, ?)', target, first.ordinal, first.level + 1)
      return
    }
  }

  #addSegment({ n, bytes }: Segment, run: number): void {
    this.uploads.drop(n)
    this.#all('INSERT INTO segment (n, run, bytes) VALUES (?, ?, ?)', n, run, bytes)
  }

  #take(taken: Taken, isOver: boolean): void {
    if (isOver) this.#all('DELETE FROM run WHERE target IS NOT NULL')
    else for (const run of taken) this.#all('UPDATE run SET taken = ? WHERE n = ?', run.taken, run.n)
  }

  #one(query: string): number | undefined {
    return this.#all<{ n: number | null }>(query)[0]?.n ?? undefined
  }

  #all<T extends object>(query: string, ...bindings: SqlStorageValue[]): T[] {
    if (!this.#isOpen) this.#storage.sql.exec(TABLES)
    this.#isOpen = true
    return this.#storage.sql.exec(query, ...bindings).toArray() as unknown as T[]
  }
}
