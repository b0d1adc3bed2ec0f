import { BucketError } from '../bucket.ts'
import { patientOf, TAB } from './keys.ts'

const LF = 10
const decoder = new TextDecoder()

/** Reads a stretch of a run: at least one byte of it, into a buffer that is given away for it, and one less than that has room for. */
export type ReadRun = (offset: number, buffer: ArrayBuffer) => Promise<Uint8Array<ArrayBuffer>>

/** One run of a merge: how far it is, and where it stands among those with the same key. */
export interface RunAt {
  readonly ordinal: number
  readonly bytes: number
  /** Bytes of the records that were merged before. */
  readonly taken: number
}

/** A run, record by record, through two buffers: one that is being used, and one that the next stretch is read into. */
export class RunReader {
  readonly #read: ReadRun
  readonly #bytes: number
  readonly ordinal: number
  /** Of the record that is next; `undefined` when none is left. */
  key: string | undefined
  /** Bytes of the records before that one. */
  taken: number
  #window: Uint8Array<ArrayBuffer>
  /** Where in the window the next byte is. */
  #at = 0
  /** Where in the run the window ends. */
  #windowEnd: number
  #next: Promise<Uint8Array<ArrayBuffer>> | undefined

  constructor(read: ReadRun, { ordinal, bytes, taken }: RunAt, windowBytes: number) {
    this.#read = read
    this.#bytes = bytes
    this.ordinal = ordinal
    this.taken = taken
    this.#windowEnd = taken
    this.#window = new Uint8Array(new ArrayBuffer(windowBytes + 1), 0, 0)
    this.#ask(taken, new ArrayBuffer(windowBytes + 1))
  }

  get patient(): string | undefined {
    return this.key === undefined ? undefined : patientOf(this.key)
  }

  /** Comes to the next record. To be called first, and whenever a row has been taken whole. */
  async advance(): Promise<void> {
    this.taken = this.#windowEnd - (this.#window.byteLength - this.#at)
    let key: string | undefined
    for (let fields = 0; fields < 2;) {
      if (this.#at === this.#window.byteLength) {
        if (this.#windowEnd === this.#bytes) break
        await this.refill()
      }
      const tab = this.#window.indexOf(TAB, this.#at)
      const end = tab === -1 ? this.#window.byteLength : tab
      key = (key ?? '') + decoder.decode(this.#window.subarray(this.#at, end))
      this.#at = tab === -1 ? end : tab + 1
      if (tab === -1) continue
      fields += 1
      if (fields === 1) key += '\t'
    }
    this.key = key
  }

  /**
   * Takes of the row what the window has; good until `refill`.
   *
   * @returns Its bytes, and whether they end the row, newline included; else `refill` brings more.
   */
  take(): { readonly piece: Uint8Array; readonly isEnd: boolean } {
    const newline = this.#window.indexOf(LF, this.#at)
    const end = newline === -1 ? this.#window.byteLength : newline + 1
    const piece = this.#window.subarray(this.#at, end)
    this.#at = end
    return { piece, isEnd: newline !== -1 }
  }

  /** The next window. @throws BucketError, also when the run ends within a record. */
  async refill(): Promise<void> {
    if (!this.#next) throw new BucketError('a sorted run is shorter than it was')
    const used = this.#window.buffer
    this.#window = await this.#next
    this.#at = 0
    this.#windowEnd += this.#window.byteLength
    this.#next = undefined
    this.#ask(this.#windowEnd, used)
  }

  /** Waits until nothing is under way. */
  async close(): Promise<void> {
    await this.#next?.catch(() => undefined)
  }

  #ask(offset: number, buffer: ArrayBuffer): void {
    if (offset >= this.#bytes) return
    this.#next = this.#read(offset, buffer)
    // Whoever waits for it is told; nobody need wait.
    this.#next.catch(() => undefined)
  }
}
