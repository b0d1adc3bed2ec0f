import { app } from '../../src/app.ts'
import { ClientLedger } from '../../src/client/client-ledger.ts'
import type { Env } from '../../src/env.ts'
import { ExportJob } from '../../src/job/export-job.ts'
import { createTables } from '../../src/job/schema.ts'
import { SourceGate } from '../../src/source/source-gate.ts'
import { returnDatabase, takeDatabase, type Database } from '../simulation/database.ts'

/* The real app and the real objects in one process: rows in Node's SQLite, R2 in a map, alarms rung by the test. */

type Method = (...given: unknown[]) => unknown
type Instance = Readonly<Record<string, Method | undefined>>
type Kind = 'JOBS' | 'GATES' | 'LEDGERS'
type Row = Record<string, null | number | bigint | string | Uint8Array>
type ObjectClass = new (state: unknown, env: unknown) => object

const CLASSES: Readonly<Record<Kind, ObjectClass>> = {
  JOBS: ExportJob as unknown as ObjectClass,
  GATES: SourceGate as unknown as ObjectClass,
  LEDGERS: ClientLedger as unknown as ObjectClass,
}

interface Life {
  readonly database: Database
  instance: Instance
  alarmMs: number | null
}

interface Kept {
  readonly tables: ReadonlyMap<string, readonly Row[]>
  readonly alarmMs: number | null
}

/** What of an answer a client can see. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const rowsOf = (database: Database): Map<string, readonly Row[]> =>
  new Map(
    [...database.counts().keys()]
      .filter((table) => !table.startsWith('sqlite_'))
      .map((table) => [table, database.exec(`SELECT * FROM "${table}"`).toArray()]),
  )

const bytesOf = async (given: Uint8Array | string | ReadableStream): Promise<Uint8Array> =>
  given instanceof Uint8Array ? given.slice() : new Uint8Array(await new Response(given).arrayBuffer())

export class Platform {
  environment: Env
  /** Calls to objects and to R2, and requests of ours to others, since this was last set: what a request cost. */
  steps = 0
  readonly #lives = new Map<string, Life>()
  #kept: ReadonlyMap<string, Kept> = new Map()
  #files = new Map<string, Uint8Array>()
  #keptFiles: ReadonlyMap<string, Uint8Array> = new Map()
  #background: Promise<unknown>[] = []

  constructor(variables: Readonly<Record<string, unknown>>) {
    this.environment = this.environmentWith(variables)
  }

  /** The same objects and files under another configuration, as after a deployment; objects come to life anew. */
  environmentWith(variables: Readonly<Record<string, unknown>>): Env {
    return {
      ...variables,
      JOBS: this.#namespace('JOBS'),
      GATES: this.#namespace('GATES'),
      LEDGERS: this.#namespace('LEDGERS'),
      FILES: this.#bucket(),
    } as unknown as Env
  }

  /** One request from its first byte to the end of all that it set going. */
  async ask(request: Request): Promise<Answer> {
    this.steps = 0
    const context = {
      waitUntil: (work: Promise<unknown>) => this.#later(work),
      passThroughOnException: () => undefined,
      props: {},
    }
    const response = await app.fetch(request, this.environment, context)
    const body = Buffer.from(await response.arrayBuffer()).toString('latin1')
    await this.settled()
    return { status: response.status, headers: Object.fromEntries(response.headers), body }
  }

  /** Until nothing that was begun is under way. */
  async settled(): Promise<void> {
    while (this.#background.length > 0) {
      const waiting = this.#background
      this.#background = []
      await Promise.allSettled(waiting)
    }
  }

  /** Rings the alarm that is next, of a job; its time is told before. @returns False when there is none. */
  async ringNext(jobId: string, setTime: (ms: number) => void): Promise<boolean> {
    const life = this.#lives.get(`JOBS ${jobId}`)
    if (!life || life.alarmMs === null) return false
    setTime(Math.max(Date.now(), life.alarmMs))
    life.alarmMs = null
    await life.instance.alarm?.()
    await this.settled()
    return true
  }

  /** From now on `reset` comes back to what is there now. */
  keep(): void {
    this.#kept = new Map(
      [...this.#lives].map(([name, { database, alarmMs }]) => [name, { tables: rowsOf(database), alarmMs }] as const),
    )
    this.#keptFiles = new Map(this.#files)
    this.reset()
  }

  reset(): void {
    for (const [name, { database }] of this.#lives) returnDatabase(name.split(' ', 1)[0] ?? '', database)
    this.#lives.clear()
    this.#files = new Map(this.#keptFiles)
  }

  #later(work: Promise<unknown>): void {
    this.#background.push(work.catch(() => undefined))
  }

  #namespace(kind: Kind) {
    return {
      idFromName: (name: string) => name,
      get: (name: string) =>
        new Proxy(
          {},
          {
            get: (_, method) =>
              typeof method === 'string' && method !== 'then'
                ? async (...given: unknown[]): Promise<unknown> => {
                    this.steps += 1
                    const { instance } = this.#alive(kind, name)
                    return instance[method]?.apply(instance, given)
                  }
                : undefined,
          },
        ),
    }
  }

  #alive(kind: Kind, name: string): Life {
    const key = `${kind} ${name}`
    const known = this.#lives.get(key)
    if (known) return known
    const database = takeDatabase(kind)
    const kept = this.#kept.get(key)
    const life: Life = { database, instance: {}, alarmMs: kept?.alarmMs ?? null }
    const make = (): void => {
      life.instance = new CLASSES[kind](this.#state(life, name), this.environment) as unknown as Instance
    }
    if (kept) {
      this.#fill(kind, database, kept, make)
    }
    make()
    this.#lives.set(key, life)
    return life
  }

  /** Rows first and the object then, which reads them when it comes to life. */
  #fill(kind: Kind, database: Database, { tables }: Kept, make: () => void): void {
    if (kind === 'JOBS' && tables.size > 0) createTables(database as unknown as SqlStorage)
    if (kind !== 'JOBS') make()
    for (const [table, rows] of tables) {
      for (const row of rows) {
        const names = Object.keys(row)
        const sql = `INSERT INTO "${table}" (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`
        database.exec(sql, ...names.map((column) => row[column] ?? null))
      }
    }
  }

  #state(life: Life, name: string): unknown {
    return {
      id: { name, toString: () => name },
      waitUntil: (work: Promise<unknown>) => this.#later(work),
      blockConcurrencyWhile: <T>(work: () => Promise<T>): Promise<T> => work(),
      storage: {
        sql: life.database,
        transactionSync: <T>(work: () => T): T => life.database.transaction(work),
        getAlarm: async () => life.alarmMs,
        setAlarm: async (ms: number | Date) => void (life.alarmMs = Number(ms)),
        deleteAlarm: async () => void (life.alarmMs = null),
        deleteAll: async () => life.database.clear(),
        sync: async () => undefined,
      },
    }
  }

  #bucket() {
    return {
      put: async (key: string, given: Uint8Array | string | ReadableStream) => {
        this.#files.set(key, await bytesOf(given))
        return { key }
      },
      get: async (key: string, { range }: { readonly range?: { readonly offset: number; readonly length: number } } = {}) => {
        this.steps += 1
        const all = this.#files.get(key)
        const bytes = range ? all?.slice(range.offset, range.offset + range.length) : all
        return bytes ? { key, size: bytes.byteLength, body: new Response(bytes.slice()).body } : null
      },
      head: async (key: string) => (this.#files.has(key) ? { key } : null),
      delete: async (keys: string | readonly string[]) => {
        for (const key of typeof keys === 'string' ? [keys] : keys) this.#files.delete(key)
      },
      list: async ({ prefix = '' }: { readonly prefix?: string }) => ({
        objects: [...this.#files.keys()].filter((key) => key.startsWith(prefix)).map((key) => ({ key })),
        truncated: false,
      }),
    }
  }
}
