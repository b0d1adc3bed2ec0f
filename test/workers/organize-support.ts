import { runInDurableObject } from 'cloudflare:test'
import { expect } from 'vitest'
import type { CollectingResult } from '../../src/job/collect.ts'
import type { ExportJob } from '../../src/job/export-job.ts'
import type { FileRow } from '../../src/job/file-rows.ts'
import type { KeepOn } from '../../src/job/keep-on.ts'
import { organize } from '../../src/job/organize/organize.ts'
import { OrganizeRows } from '../../src/job/organize/organize-rows.ts'
import { SIZES, type Sizes } from '../../src/job/organize/sizes.ts'
import { createTables } from '../../src/job/schema.ts'
import { JobStorage, objectKey, objectPrefix } from '../../src/job/storage.ts'
import { stubOf } from './job-support.ts'
import { bindings, sha256Of } from './support.ts'

/* Files that are to be organized by patient, and what must come of them. */

/** A resource as a file has it, and the patients in whose compartment it is. */
export interface Given {
  readonly type: string
  readonly id: string
  readonly patients: readonly string[]
  readonly text?: string
}

export const rowOf = ({ type, id, patients, text = '' }: Given): string => {
  const [first, ...others] = patients.map((patient) => ({ reference: `Patient/${patient}` }))
  const shape: Record<string, unknown> =
    type === 'Patient'
      ? { link: patients.filter((patient) => patient !== id).map((patient) => ({ other: { reference: `Patient/${patient}` } })) }
      : type === 'Appointment'
        ? { participant: [first, ...others].map((actor) => ({ actor })) }
        : type === 'Practitioner'
          ? { name: [{ family: 'Ærø 🦄' }] }
          : { subject: first }
  return JSON.stringify({ resourceType: type, id, ...shape, text })
}

export const headerOf = (patient: string): string =>
  `{"resourceType":"Parameters","parameter":[{"name":"header","valueReference":{"reference":"Patient/${patient}"}}]}`

/** What comes of the files, by plain code: each block's rows, in order of the patients. */
export const blocksOfAll = (files: readonly (readonly Given[])[]): { patient: string; rows: string[] }[] => {
  const all = files.flat()
  const patients = [...new Set(all.flatMap(({ type, id, patients: named }) => (type === 'Patient' ? [id, ...named] : named)))]
  return patients.toSorted().map((patient) => {
    const self = all.filter(({ type, id }) => type === 'Patient' && id === patient)
    const others = all.filter((one) => !self.includes(one) && one.patients.includes(patient))
    const byType = [...new Set(others.map(({ type }) => type))].toSorted()
    return { patient, rows: [...self, ...byType.flatMap((type) => others.filter((one) => one.type === type))].map(rowOf) }
  })
}

/** Sizes at which a few rows make many runs, merges and files. */
export const tiny = (sizes: Partial<Sizes> = {}): Sizes => ({
  ...SIZES,
  runBytes: 600,
  rowBytes: 500,
  fanIn: 2,
  windowsBytes: 64,
  windowBytes: 32,
  batchBytes: 48,
  objectBytes: 700,
  ...sizes,
})

export interface OutputFile {
  readonly n: number
  readonly lines: readonly string[]
  readonly continues: number | null
}

let jobs = 0

/** A job whose files have come, in an object of its own. */
export class OrganizedJob {
  readonly jobId = `organized-${(jobs += 1)}`
  readonly storage: DurableObjectStorage

  private constructor(storage: DurableObjectStorage) {
    this.storage = storage
  }

  /** Runs a test where a job's rows are. */
  static in<T>(test: (newJob: () => OrganizedJob) => Promise<T>): Promise<T> {
    return runInDurableObject<ExportJob, T>(stubOf(`organizing-${(jobs += 1)}`), (_, { storage }) =>
      test(() => {
        for (const table of ['job', 'file', 'upload', 'part', 'organizing', 'run', 'segment'])
          storage.sql.exec(`DROP TABLE IF EXISTS ${table}`)
        createTables(storage.sql)
        return new OrganizedJob(storage)
      }),
    )
  }

  async put(files: readonly (readonly Given[])[]): Promise<void> {
    for (const file of files) await this.putText(file.map((given) => `${rowOf(given)}\n`).join(''))
  }

  async putText(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text)
    const n = this.storage.sql
      .exec<{ n: number }>(
        `INSERT INTO file (kind, type, state, bytes) VALUES ('output', 'Any', ?, ?) RETURNING n`,
        bytes.byteLength > 0 ? 'material' : 'empty',
        bytes.byteLength,
      )
      .one().n
    if (bytes.byteLength > 0) await bindings.FILES.put(objectKey(this.jobId, n), bytes)
  }

  /** The rows as a new life of the object finds them. */
  rows(storage = this.storage): OrganizeRows {
    const { files, uploads } = new JobStorage(storage)
    return new OrganizeRows(storage, files, uploads)
  }

  turn({
    sizes = tiny(),
    bucket = bindings.FILES,
    storage = this.storage,
    keepOn = (): ReturnType<KeepOn> => 'go-on',
    elements = [] as readonly string[],
  } = {}): Promise<CollectingResult> {
    const pruned = elements.length === 0 ? {} : { elements }
    return organize({ jobId: this.jobId, rows: this.rows(storage), bucket, keepOn, sizes, ...pruned })
  }

  /** Turns until all is done. */
  async finish(options: Parameters<OrganizedJob['turn']>[0] = {}): Promise<number> {
    for (let turns = 1; ; turns++) if ((await this.turn(options)).kind === 'settled') return turns
  }

  /** Rows of the output files that are there. */
  listed(): FileRow[] {
    const numbers = this.storage.sql
      .exec<{ n: number }>(`SELECT n FROM file WHERE kind = 'output' AND state = 'ready' ORDER BY n`)
      .toArray()
    const { files } = new JobStorage(this.storage)
    return numbers.flatMap(({ n }) => files.get(n) ?? [])
  }

  /** The output, each row compared with its object. */
  async output(): Promise<OutputFile[]> {
    const files: OutputFile[] = []
    for (const file of this.listed()) {
      const object = await bindings.FILES.get(objectKey(this.jobId, file.n))
      const bytes = new Uint8Array((await object?.arrayBuffer()) ?? new ArrayBuffer(0))
      const lines = new TextDecoder().decode(bytes).split('\n')
      expect(lines.pop()).toBe('')
      const rows = lines.filter((line) => !line.startsWith('{"resourceType":"Parameters"'))
      expect(file).toMatchObject({
        type: 'Patient',
        bytes: bytes.byteLength,
        lines: rows.length,
        sha256: await sha256Of(bytes),
      })
      files.push({ n: file.n, lines, continues: file.continues })
    }
    return files
  }

  /** Names of all objects that R2 has of the job. */
  async keys(): Promise<string[]> {
    const { objects } = await bindings.FILES.list({ prefix: objectPrefix(this.jobId) })
    return objects.map(({ key }) => key)
  }

  /** Throws unless the output is exactly the blocks of these files, and nothing else is left in R2. */
  async expectBlocksOf(files: readonly (readonly Given[])[]): Promise<OutputFile[]> {
    const output = await this.output()
    const lines: string[] = []
    for (const [index, file] of output.entries()) {
      expect(file.lines[0]).toMatch(/^\{"resourceType":"Parameters"/)
      const before = output[index - 1]
      // A block that goes on repeats its header, and only such a one does.
      const goesOn = before !== undefined && before.continues !== null
      if (goesOn) {
        expect(before.continues).toBe(file.n)
        expect(file.lines[0]).toBe(before.lines.findLast((line) => line.startsWith('{"resourceType":"Parameters"')))
      }
      lines.push(...(goesOn ? file.lines.slice(1) : file.lines))
    }
    expect(output.at(-1)?.continues ?? null).toBeNull()
    expect(lines).toEqual(blocksOfAll(files).flatMap(({ patient, rows }) => [headerOf(patient), ...rows]))
    expect((await this.keys()).toSorted()).toEqual(output.map(({ n }) => objectKey(this.jobId, n)).toSorted())
    expect(new JobStorage(this.storage).uploads.all()).toEqual([])
    return output
  }
}
