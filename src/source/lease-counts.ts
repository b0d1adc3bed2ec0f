/** How many slots each client has: counted once and then kept along, since whoever asks for one must not have all of them read. */
export class LeaseCounts {
  readonly #sql: SqlStorage
  #counted: Map<string, number> | undefined
  #total = 0

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  get total(): number {
    this.#all()
    return this.#total
  }

  /** Slots by client; one who has none need not be in it. */
  get byClient(): ReadonlyMap<string, number> {
    return this.#all()
  }

  /** Told after rows of a client have come or gone. @param by How many; negative for those that are gone. */
  changed(client: string, by: number): void {
    // Whatever has not been counted yet will be counted as it is by then.
    if (!this.#counted) return
    const count = (this.#counted.get(client) ?? 0) + by
    if (count > 0) this.#counted.set(client, count)
    else this.#counted.delete(client)
    this.#total += by
  }

  #all(): Map<string, number> {
    if (this.#counted) return this.#counted
    const rows = this.#sql
      .exec<{ client: string; n: number }>('SELECT client, count(*) AS n FROM lease GROUP BY client')
      .toArray()
    this.#total = rows.reduce((total, { n }) => total + n, 0)
    return (this.#counted = new Map(rows.map(({ client, n }) => [client, n])))
  }
}
