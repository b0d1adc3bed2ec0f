import { rowPruner } from '../../rows/row-pruner.ts'
import { bucketed, BucketError } from '../bucket.ts'
import type { CollectingResult } from '../collect.ts'
import { CutOff } from '../file-errors.ts'
import { BrokenOff, mayReadOn, type KeepOn } from '../keep-on.ts'
import { objectKey } from '../storage.ts'
import { MIN_PART_BYTES } from '../part-size.ts'
import { fillRun } from './fill-run.ts'
import { Merge } from './merge.ts'
import type { OrganizeRows } from './organize-rows.ts'
import type { MergeTarget, Run, Segment, Taken } from './progress.ts'
import { RunBuffer } from './run-buffer.ts'
import { RunReader, type ReadRun } from './run-reader.ts'
import { SIZES, type Sizes } from './sizes.ts'
import { storeMade } from './store-made.ts'

export interface Organizing {
  readonly jobId: string
  readonly rows: OrganizeRows
  readonly bucket: R2Bucket
  /** What is left of each row once it is known whose it is. Absent: all. */
  readonly elements?: readonly string[]
  /** Anything but `go-on`: no new step is begun. `stop` and `end` break off the one under way, which is then begun anew. */
  readonly keepOn: KeepOn
  /** Omitted: as they are for files of any size. */
  readonly sizes?: Sizes
}

/** Objects that R2 deletes at a time. */
const DELETED_AT_A_TIME = 1_000

/**
 * Makes of a job's files, which hold one type each, output files that are organized by patient: blocks of a header, the patient and what is
 * in its compartment, in the order of ids. An external merge sort through R2, so that memory is the same for any size: sorted runs, which
 * are merged into fewer, and those into the output. Every step makes one object.
 *
 * @returns `paused` when steps are left; the next turn goes on with them.
 * @throws BucketError when R2 fails: to be called again.
 * @see Bulk Data Organized Output [PA-17, FI-12, FI-13, MF-09]
 */
export const organize = async (work: Organizing): Promise<CollectingResult> => {
  const turn = new Turn(work)
  try {
    return (await turn.run()) ? { kind: 'settled' } : { kind: 'paused', retryMs: 0 }
  } catch (error) {
    if (error instanceof BrokenOff || error instanceof CutOff) return { kind: 'paused', retryMs: 0 }
    throw error
  }
}

/** One alarm turn of organizing. */
class Turn {
  readonly #work: Organizing
  readonly #sizes: Sizes
  readonly #startedMs = Date.now()
  #operations = 0
  /** Kept for all runs of a turn: its memory is given back too late to ask for it anew each time. */
  #buffer: RunBuffer | undefined
  readonly #prune: ((row: Uint8Array) => Uint8Array) | undefined

  constructor(work: Organizing) {
    this.#work = work
    this.#sizes = work.sizes ?? SIZES
    this.#prune = work.elements && rowPruner(work.elements)
  }

  /** @returns Whether all is done. */
  async run(): Promise<boolean> {
    const { rows, keepOn } = this.#work
    while (rows.state().phase !== 'done') {
      const isOver = this.#operations >= this.#sizes.operations || Date.now() >= this.#startedMs + this.#sizes.turnMs
      if (isOver || keepOn() !== 'go-on') return false
      await this.#step()
    }
    return true
  }

  async #step(): Promise<void> {
    const { rows } = this.#work
    switch (rows.state().phase) {
      case 'reading':
        return this.#makeRun()
      case 'dropping':
        return this.#dropMaterial()
      case 'merging':
        return this.#merge()
      case 'done':
        return
    }
  }

  async #makeRun(): Promise<void> {
    const { jobId, rows, keepOn } = this.#work
    const run = (this.#buffer ??= new RunBuffer(this.#sizes))
    run.clear()
    const found = await fillRun(run, rows.state(), this.#sizes, {
      next: (from) => rows.material(from, 1)[0],
      open: (n, offset) => this.#open(objectKey(jobId, n), { offset }),
      mayGoOn: () => mayReadOn(keepOn),
      isSpent: () => this.#operations >= this.#sizes.operations,
      ...(this.#prune ? { prune: this.#prune } : {}),
    })
    const n = rows.nextSegment()
    const segment = run.isEmpty ? undefined : { n, bytes: (await this.#store(n, run.sorted())).bytes }
    rows.addRun(segment, found.position, found.leftOut, found.isOver)
  }

  async #dropMaterial(): Promise<void> {
    const { rows } = this.#work
    this.#buffer = undefined
    for (let from = 0; ;) {
      const files = rows.material(from, DELETED_AT_A_TIME)
      const last = files.at(-1)
      if (!last) break
      await this.#delete(files.map(({ n }) => n))
      from = last.n + 1
    }
    rows.enter('merging')
  }

  async #merge(): Promise<void> {
    const { rows } = this.#work
    const old = rows.superseded(DELETED_AT_A_TIME)
    if (old.length > 0) {
      await this.#delete(old)
      rows.forget(old)
      return
    }
    const merge = rows.merge(this.#sizes.fanIn)
    if (!merge) rows.enter('done')
    else await this.#mergeObject(merge.target, merge.runs)
  }

  /** The next object of a merge: one of a longer run, or an output file. */
  async #mergeObject(target: MergeTarget, runs: readonly Run[]): Promise<void> {
    const { rows, keepOn } = this.#work
    const windowBytes = Math.max(1, Math.min(this.#sizes.windowBytes, Math.floor(this.#sizes.windowsBytes / runs.length)))
    const readers = runs.map((run) => {
      const segments = rows.segments(run.n)
      const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
      return new RunReader(this.#readOf(segments), { ...run, bytes }, windowBytes)
    })
    try {
      const merge = await Merge.of(readers, target.kind === 'run' ? 'run' : 'blocks', this.#sizes)
      const n = target.kind === 'run' ? rows.nextSegment() : rows.nextFile()
      const { bytes, sha256 } = await this.#store(n, heeding(merge.object(), keepOn))
      const taken: Taken = runs.map((run, index) => ({ n: run.n, taken: readers[index]?.taken ?? run.taken }))
      if (target.kind === 'run') rows.addMerged({ n, bytes }, target.n, taken, merge.isOver)
      else rows.addOutput({ n, bytes, lines: merge.rows, sha256 }, merge.isSplit, taken, merge.isOver)
    } finally {
      await Promise.all(readers.map((reader) => reader.close()))
    }
  }

  /** Reads a run as if it were one object. */
  #readOf(segments: readonly Segment[]): ReadRun {
    return async (offset, buffer) => {
      let start = 0
      const segment = segments.find(({ bytes }) => {
        start += bytes
        return offset < start
      })
      if (!segment) throw new BucketError('a sorted run is shorter than it was')
      const length = Math.min(buffer.byteLength - 1, start - offset)
      const range = { offset: offset - (start - segment.bytes), length }
      const body = await this.#open(objectKey(this.#work.jobId, segment.n), range)
      const reader = body.getReader({ mode: 'byob' })
      // One more than there is, so that the end of the body is seen: one that is let go before costs its connection.
      const { value } = await bucketed(reader.readAtLeast(length + 1, new Uint8Array(buffer, 0, length + 1)))
      if (value?.byteLength !== length) throw new BucketError('R2 broke off')
      return value
    }
  }

  async #open(key: string, range: R2Range): Promise<ReadableStream<Uint8Array>> {
    this.#operations += 1
    const object = await bucketed(this.#work.bucket.get(key, { range }))
    if (!object) throw new BucketError('R2 lost an object')
    return object.body
  }

  async #store(n: number, chunks: AsyncGenerator<Uint8Array>): Promise<{ bytes: number; sha256: string }> {
    const { jobId, bucket, rows } = this.#work
    const made = await storeMade({ bucket, key: objectKey(jobId, n), record: rows.uploads.of(n) }, chunks)
    this.#operations += operationsFor(made.bytes)
    return made
  }

  async #delete(numbers: readonly number[]): Promise<void> {
    this.#operations += 1
    await bucketed(this.#work.bucket.delete(numbers.map((n) => objectKey(this.#work.jobId, n))))
  }
}

/** What storing an object costs, in operations of R2. */
const operationsFor = (bytes: number): number => (bytes < MIN_PART_BYTES ? 1 : 2 + Math.ceil(bytes / MIN_PART_BYTES))

async function* heeding(chunks: AsyncGenerator<Uint8Array>, keepOn: KeepOn): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    mayReadOn(keepOn)
    yield chunk
  }
}
