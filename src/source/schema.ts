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
  kickoff: { job: 'TEXT' },
} as const satisfies Record<string, Readonly<Record<string, string>>>

const added = (table: keyof typeof ADDED): string =>
  Object.entries(ADDED[table])
    .map(([name, type]) => `, ${name} ${type}`)
    .join('')

const TABLES = `
  CREATE TABLE IF NOT EXISTS lease (job TEXT PRIMARY KEY, client TEXT NOT NULL, target TEXT NOT NULL, until_ms INTEGER NOT NULL${added('lease')});
  CREATE INDEX IF NOT EXISTS lease_by_end ON lease (until_ms);
  CREATE TABLE IF NOT EXISTS waiting (job TEXT PRIMARY KEY, client TEXT NOT NULL, since_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL, ready_ms INTEGER NOT NULL${added('waiting')});
  CREATE TABLE IF NOT EXISTS client (id TEXT PRIMARY KEY, granted_ms INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS kickoff (target TEXT PRIMARY KEY, at_ms INTEGER NOT NULL${added('kickoff')});
  CREATE TABLE IF NOT EXISTS live (job TEXT PRIMARY KEY);
  CREATE TABLE IF NOT EXISTS pause (target TEXT PRIMARY KEY, until_ms INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS swept (id INTEGER PRIMARY KEY CHECK (id = 1), job TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS token_wait (source TEXT PRIMARY KEY, until_ms INTEGER NOT NULL);
`

/** Makes the gate's tables, or brings those of an earlier version up to date. */
export const prepare = (sql: SqlStorage): void => {
  sql.exec(TABLES)
  for (const [table, columns] of Object.entries(ADDED)) {
    const present = new Set(
      sql
        .exec<{ name: string }>(`PRAGMA table_info(${table})`)
        .toArray()
        .map(({ name }) => name),
    )
    for (const [name, type] of Object.entries(columns))
      if (!present.has(name)) sql.exec(`ALTER TABLE ${table} ADD COLUMN ${name} ${type}`)
  }
}
