import { DatabaseSync, type StatementSync } from 'node:sqlite'

type Value = null | number | bigint | string | Uint8Array
type Row = Record<string, Value>

const DEFINES = /^\s*(CREATE|ALTER|DROP)\b/i
const READS = /^\s*(SELECT|WITH|PRAGMA)\b|\bRETURNING\b/i
const CATALOGUE = /^\s*PRAGMA\b|\bsqlite_(master|schema)\b|\bpragma_/i

interface Prepared {
  readonly statement: StatementSync
  /** Absent for what gives no rows. */
  readonly columns: readonly string[] | undefined
}

/** Rows come as arrays: objects with names cost several times as much when they are made on the other side. */
const rowsOf = (columns: readonly string[], rows: unknown): Row[] =>
  (rows as Value[][]).map((values) => {
    const row: Row = {}
    for (const [index, name] of columns.entries()) row[name] = values[index] ?? null
    return row
  })

/** Rows of one query, as the platform gives them. */
class Cursor {
  readonly #rows: Row[]
  readonly rowsWritten: number

  constructor(rows: Row[], rowsWritten: number) {
    this.#rows = rows
    this.rowsWritten = rowsWritten
  }

  toArray(): Row[] {
    return this.#rows
  }

  one(): Row {
    const [row] = this.#rows
    if (!row || this.#rows.length > 1) throw new Error(`expected one row, found ${this.#rows.length}`)
    return row
  }

  [Symbol.iterator](): Iterator<Row> {
    return this.#rows.values()
  }
}

/**
 * An object's database, in memory. One is used by many objects, one after the other: making tables costs more than a whole history, so
 * they stay, empty, and an object that has not made them yet does not see them.
 */
export class Database {
  readonly #database = new DatabaseSync(':memory:')
  readonly #prepared = new Map<string, Prepared>()
  /** What was defined, in order, by whoever used this database before. */
  readonly #definitions: string[] = []
  #names: readonly string[] | undefined
  /** Answers to questions about what is defined. */
  readonly #catalogue = new Map<string, Row[]>()
  /** How much of that the present object has defined for itself. */
  #defined = 0
  #depth = 0
  /** All rows of an object are written in one transaction, which is cheaper by far and leaves nothing behind. */
  #isOpen = false
  #hasRows = false
  /** Rows that were kept when a later definition came. */
  #isKept = false

  exec(query: string, ...bindings: Value[]): Cursor {
    const known = this.#defined > 0 ? this.#prepared.get(query) : undefined
    if (!known && DEFINES.test(query)) return this.#define(query)
    if (this.#defined === 0) {
      if (CATALOGUE.test(query)) return new Cursor([], 0)
      throw new Error(`no such table: ${query}`)
    }
    const { statement, columns } = known ?? this.#prepare(query)
    if (!columns) {
      this.#hasRows = true
      return new Cursor([], Number(statement.run(...bindings).changes))
    }
    if (bindings.length > 0 || !CATALOGUE.test(query)) return new Cursor(rowsOf(columns, statement.all(...bindings)), 0)
    // What is defined changes with definitions alone.
    let rows = this.#catalogue.get(query)
    if (!rows) this.#catalogue.set(query, (rows = rowsOf(columns, statement.all(...bindings))))
    return new Cursor(rows, 0)
  }

  /** Rolls back when `work` throws. */
  transaction<T>(work: () => T): T {
    const name = `level${this.#depth++}`
    this.#database.exec(`SAVEPOINT ${name}`)
    try {
      const result = work()
      this.#database.exec(`RELEASE ${name}`)
      return result
    } catch (error) {
      this.#database.exec(`ROLLBACK TO ${name}; RELEASE ${name}`)
      throw error
    } finally {
      this.#depth -= 1
    }
  }

  /** Nothing is left, tables included. */
  clear(): void {
    if (this.#defined > 0) for (const table of this.#tables()) this.exec(`DELETE FROM "${table}"`)
    this.#defined = 0
  }

  /** Makes it fit for another object. */
  empty(): void {
    this.#close('ROLLBACK')
    // Whoever cleared it did so in what was just rolled back.
    if (this.#isKept) for (const table of this.#tables()) this.#database.exec(`DELETE FROM "${table}"`)
    this.#defined = 0
    this.#hasRows = false
    this.#isKept = false
  }

  /** Rows by table; none when there are no tables. */
  counts(): Map<string, number> {
    if (this.#defined === 0) return new Map()
    return new Map(this.#tables().map((table) => [table, Number(this.exec(`SELECT count(*) AS n FROM "${table}"`).one().n)]))
  }

  has(table: string): boolean {
    return this.#defined > 0 && this.#tables().includes(table)
  }

  #define(query: string): Cursor {
    const known = this.#definitions.indexOf(query)
    if (known !== -1 && known < this.#defined) {
      // Said again by a later life of the object, and so it must be harmless.
      if (!/IF NOT EXISTS/i.test(query)) this.#database.exec(query)
      this.#fill(query)
      return new Cursor([], 0)
    }
    if (known !== this.#defined) {
      this.#close('COMMIT')
      this.#isKept ||= this.#hasRows
      this.#database.exec(query)
      this.#definitions.splice(this.#defined, Infinity, query)
      this.#prepared.clear()
      this.#names = undefined
      this.#catalogue.clear()
    }
    this.#defined += 1
    if (!this.#isOpen) this.#database.exec('BEGIN')
    this.#isOpen = true
    this.#fill(query)
    return new Cursor([], 0)
  }

  /** What comes with a definition may bring a row of its own, and that does not stay. */
  #fill(query: string): void {
    if (!/\bINSERT\b/i.test(query)) return
    this.#database.exec(query)
    this.#hasRows = true
  }

  #close(how: 'COMMIT' | 'ROLLBACK'): void {
    if (this.#isOpen) this.#database.exec(how)
    this.#isOpen = false
  }

  #tables(): readonly string[] {
    this.#names ??= (this.#database.prepare(`SELECT name FROM sqlite_master WHERE type = 'table'`).all() as Row[]).map((row) =>
      String(row.name),
    )
    return this.#names
  }

  #prepare(query: string): Prepared {
    let prepared = this.#prepared.get(query)
    if (!prepared) {
      const statement = this.#database.prepare(query)
      const columns = READS.test(query) ? statement.columns().map(({ name }) => name) : undefined
      if (columns) statement.setReturnArrays(true)
      prepared = { statement, columns }
      this.#prepared.set(query, prepared)
    }
    return prepared
  }
}

const free = new Map<string, Database[]>()

/** A database without rows for an object of a class. */
export const takeDatabase = (kind: string): Database => free.get(kind)?.pop() ?? new Database()

export const returnDatabase = (kind: string, database: Database): void => {
  database.empty()
  const others = free.get(kind)
  if (others) others.push(database)
  else free.set(kind, [database])
}
