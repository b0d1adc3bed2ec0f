import type { ParsedManifest } from '../fhir/manifest.ts'
import { addressOf } from './file-address.ts'

/** A file goes on in one of the same page, or of the next. */
const MOST_OPEN = 10_000

const NUMBER = `(SELECT n FROM file WHERE address = ?2 AND kind = 'output')`

/** Which files of a vendor's manifest go on in which others, by its own word [MF-09]. */
export class Continuations {
  readonly #sql: SqlStorage
  /** Address of a file → that of the one it goes on in, as long as no page has listed both. */
  readonly #open = new Map<string, string>()

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** Takes what a page says, once its files are rows. */
  add({ output }: ParsedManifest): void {
    for (const { url, continuesInFile } of output)
      if (continuesInFile !== undefined && this.#open.size < MOST_OPEN) this.#open.set(addressOf(url), addressOf(continuesInFile))
    for (const [from, to] of this.#open) {
      const joined = this.#sql.exec(
        `UPDATE file SET continues = ${NUMBER} WHERE address = ?1 AND kind = 'output' AND ${NUMBER} IS NOT NULL RETURNING n`,
        from,
        to,
      )
      if (joined.toArray().length > 0) this.#open.delete(from)
    }
  }

  /** The manifest is read again from its first page. */
  clear(): void {
    this.#open.clear()
  }
}
