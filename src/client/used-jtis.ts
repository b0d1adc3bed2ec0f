/** How long a `jti` is kept beyond its assertion: the Worker that checks the expiry may have a slower clock than this object. */
export const CLOCK_MARGIN_MS = 60_000

/** When the first and the last of them expire; null while there is none. */
interface Span {
  readonly firstMs: number | null
  readonly lastMs: number | null
}

/** The client assertions of one client that were used, for as long as each could be accepted [AU-07]. */
export class UsedJtis {
  readonly #sql: SqlStorage
  /** Kept along, which saves an index by expiry: half of what a token has to write. */
  #span: Span | undefined

  constructor(sql: SqlStorage) {
    this.#sql = sql
    sql.exec(`
      CREATE TABLE IF NOT EXISTS jtis (jti TEXT PRIMARY KEY, expiresMs INTEGER NOT NULL) WITHOUT ROWID;
      DROP INDEX IF EXISTS jtis_by_expiry;
    `)
  }

  /** True for the first use. Nothing is waited for between sweep and insert: that is what makes two calls one after the other. */
  use(jti: string, expiresMs: number, nowMs: number): boolean {
    this.sweep(nowMs)
    const { firstMs, lastMs } = this.#all()
    const insert = 'INSERT INTO jtis (jti, expiresMs) VALUES (?, ?) ON CONFLICT DO NOTHING'
    if (this.#sql.exec(insert, jti, expiresMs).rowsWritten === 0) return false
    this.#span = { firstMs: Math.min(firstMs ?? expiresMs, expiresMs), lastMs: Math.max(lastMs ?? expiresMs, expiresMs) }
    return true
  }

  /** Forgets what can no longer be replayed. */
  sweep(nowMs: number): void {
    const untilMs = nowMs - CLOCK_MARGIN_MS
    if ((this.#all().firstMs ?? Infinity) > untilMs) return
    this.#sql.exec('DELETE FROM jtis WHERE expiresMs <= ?', untilMs)
    this.#span = undefined
  }

  /** When all of them can be forgotten, epoch ms; `Infinity` where there is none. */
  get goneMs(): number {
    const { lastMs } = this.#all()
    return lastMs === null ? Infinity : lastMs + CLOCK_MARGIN_MS
  }

  #all(): Span {
    return (this.#span ??= this.#sql
      .exec<{ firstMs: number | null; lastMs: number | null }>(
        'SELECT min(expiresMs) AS firstMs, max(expiresMs) AS lastMs FROM jtis',
      )
      .one())
  }
}
