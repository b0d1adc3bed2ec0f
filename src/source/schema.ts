/** Columns that came later; a default is what rows of before then mean. */
const ADDED = {
  lease: {
    source: "TEXT NOT NULL DEFAULT ''",
    cool_ms: 'INTEGER NOT NULL DEFAULT 0',
    in_flight: 'INTEGER',
    since_ms: 'INTEGER NOT NULL DEFAULT 0',
    granted_ms: 'INTEGER NOT NULL DEFAULT 0',
    before_ms: 'INTEGER NOT NULL DEFAULT 0',
    held: 'INTEGER NOT NULL DEFAULT 0',
  },
  waiting: {
    source: "TEXT NOT NULL DEFAULT ''",
    target: "TEXT NOT NULL DEFAULT ''",
    cool_ms: 'INTEGER NOT NULL DEFAULT 0',
    in_flight: 'INTEGER',
  },
  kickoff: { job: 'TEXT', cool_ms: 'INTEGER' },
} as const satisfies Record<string, Readonly<Record<string, string>>>

const added = (table: keyof typeof ADDED): string =>
  Object.entries(ADDED[table])
    .map(([name, type]) => `, ${name} ${type}`)
    .join('')

/** Their own index each, so that a row is one row to write and not two. */
const TABLES = {
  lease: `job TEXT PRIMARY KEY, client TEXT NOT NULL, target TEXT NOT NULL, until_ms INTEGER NOT NULL${added('lease')}`,
  waiting: `job TEXT PRIMARY KEY, client TEXT NOT NULL, since_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL, ready_ms INTEGER NOT NULL${added('waiting')}`,
  client: 'id TEXT PRIMARY KEY, granted_ms INTEGER NOT NULL',
  kickoff: `target TEXT PRIMARY KEY, at_ms INTEGER NOT NULL${added('kickoff')}`,
  live: 'job TEXT PRIMARY KEY',
  pause: 'target TEXT PRIMARY KEY, until_ms INTEGER NOT NULL',
  swept: 'id INTEGER PRIMARY KEY CHECK (id = 1), job TEXT NOT NULL',
  token_wait: 'source TEXT PRIMARY KEY, until_ms INTEGER NOT NULL',
} as const

const creating = (table: keyof typeof TABLES): string => `CREATE TABLE IF NOT EXISTS ${table} (${TABLES[table]}) WITHOUT ROWID;`

const isTable = (name: string): name is keyof typeof TABLES => Object.hasOwn(TABLES, name)

const columnsOf = (sql: SqlStorage, table: string): readonly string[] =>
  sql
    .exec<{ name: string }>(`PRAGMA table_info(${table})`)
    .toArray()
    .map(({ name }) => name)

/** Makes the gate's tables, or brings those of an earlier version up to date. */
export const prepare = (sql: SqlStorage): void => {
  sql.exec(`${Object.keys(TABLES).filter(isTable).map(creating).join('\n')}
    DROP INDEX IF EXISTS lease_by_end;`)
  for (const [table, columns] of Object.entries(ADDED)) {
    const present = new Set(columnsOf(sql, table))
    for (const [name, type] of Object.entries(columns))
      if (!present.has(name)) sql.exec(`ALTER TABLE ${table} ADD COLUMN ${name} ${type}`)
  }
  const before = sql.exec<{ name: string }>(
    `SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%WITHOUT ROWID'`,
  )
  for (const { name } of before.toArray()) if (isTable(name)) rebuild(sql, name)
}

/** Makes of a table of before what it would be now. */
const rebuild = (sql: SqlStorage, table: keyof typeof TABLES): void => {
  const columns = columnsOf(sql, table).join()
  sql.exec(`ALTER TABLE ${table} RENAME TO before`)
  sql.exec(creating(table))
  sql.exec(`INSERT INTO ${table} (${columns}) SELECT ${columns} FROM before`)
  sql.exec('DROP TABLE before')
}
