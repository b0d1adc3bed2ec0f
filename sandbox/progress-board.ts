const BAR_WIDTH = 24

/** A progress bar per export: redrawn in place on a terminal, one line per change anywhere else. */
export class ProgressBoard {
  readonly #lines = new Map<string, { text: string; share: number }>()
  readonly #width: number
  readonly #terminal = process.stdout.isTTY

  constructor(names: readonly string[]) {
    this.#width = Math.max(...names.map((name) => name.length))
    for (const name of names) this.#lines.set(name, { text: 'starting', share: 0 })
    if (this.#terminal) process.stdout.write(this.#drawing())
  }

  /** @param share 0..1 */
  update(name: string, text: string, share: number): void {
    const before = this.#lines.get(name)
    if (before?.text === text) return
    this.#lines.set(name, { text, share: Math.max(before?.share ?? 0, Math.min(1, share)) })
    if (this.#terminal) process.stdout.write(`\u001b[${this.#lines.size}A${this.#drawing()}`)
    // A log wants no line per file.
    else if (!/^file (?!1 )/.test(text)) console.log(this.#line(name))
  }

  close(): void {
    if (!this.#terminal) return
    process.stdout.write(`\u001b[${this.#lines.size}A${this.#drawing()}`)
  }

  #line(name: string): string {
    const { text, share } = this.#lines.get(name) ?? { text: '', share: 0 }
    const filled = Math.round(share * BAR_WIDTH)
    return `${name.padEnd(this.#width)}  [${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}]  ${text}`
  }

  #drawing(): string {
    return [...this.#lines.keys()].map((name) => `\u001b[2K${this.#line(name)}\n`).join('')
  }
}
