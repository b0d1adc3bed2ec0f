/* Streams that settle in microtasks alone, so that a history is the same each time, and that cost next to nothing. */

type Bytes = Uint8Array<ArrayBuffer>

interface Controller {
  enqueue(chunk: Bytes): void
  close(): void
  error(reason: unknown): void
}

interface Underlying {
  readonly type?: string
  start?(controller: Controller): unknown
  pull?(controller: Controller): unknown
  cancel?(reason: unknown): unknown
}

interface Writing {
  write(chunk: Bytes): Promise<void>
  close(): Promise<void>
  abort(reason?: unknown): Promise<void>
}

interface Transform {
  readonly writable: { getWriter(): Writing }
  readonly readable: SimulatedStream
}

export class SimulatedStream {
  readonly #source: Underlying
  readonly #queue: Bytes[] = []
  #end: 'closed' | { readonly reason: unknown } | undefined
  #pulling: Promise<void> | undefined
  #stop: (() => void) | undefined
  readonly #controller: Controller = {
    enqueue: (chunk) => void this.#queue.push(chunk),
    close: () => void (this.#end ??= 'closed'),
    error: (reason) => void (this.#end ??= { reason }),
  }

  constructor(source: Underlying) {
    this.#source = source
    source.start?.(this.#controller)
  }

  getReader(): Reader {
    return new Reader(this)
  }

  async cancel(reason?: unknown): Promise<void> {
    if (this.#end) return
    this.#end = 'closed'
    this.#queue.length = 0
    this.#stop?.()
    await this.#source.cancel?.(reason)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes> {
    try {
      for (let chunk = await this.take(); chunk; chunk = await this.take()) yield chunk
    } finally {
      await this.cancel()
    }
  }

  pipeThrough(transform: Transform): SimulatedStream {
    const writer = transform.writable.getWriter()
    const pump = async (): Promise<void> => {
      try {
        for await (const chunk of this) await writer.write(chunk)
        await writer.close()
      } catch (error) {
        await writer.abort(error)
      }
    }
    void pump()
    return transform.readable
  }

  /** The next chunk, or nothing at the end. */
  async take(): Promise<Bytes | undefined> {
    for (;;) {
      const chunk = this.#queue.shift()
      if (chunk) return chunk
      if (this.#end === 'closed') return undefined
      if (this.#end) throw this.#end.reason
      this.#pulling ??= this.#pull()
      await Promise.race([this.#pulling, new Promise<void>((resolve) => (this.#stop = resolve))])
    }
  }

  giveBack(rest: Bytes): void {
    this.#queue.unshift(rest)
  }

  async #pull(): Promise<void> {
    try {
      await this.#source.pull?.(this.#controller)
    } catch (reason) {
      this.#end ??= { reason }
    }
    this.#pulling = undefined
  }
}

/** A stream of what is there already. */
export const streamOfChunks = (chunks: readonly Bytes[]): SimulatedStream =>
  new SimulatedStream({
    start: (controller) => {
      for (const chunk of chunks) if (chunk.byteLength > 0) controller.enqueue(chunk)
      controller.close()
    },
  })

class Reader {
  readonly #stream: SimulatedStream

  constructor(stream: SimulatedStream) {
    this.#stream = stream
  }

  async read(): Promise<{ value: Bytes | undefined; done: boolean }> {
    const value = await this.#stream.take()
    return { value, done: value === undefined }
  }

  /** Fills a view up to its length, or with what there is before the end. */
  async readAtLeast(minBytes: number, view: Bytes): Promise<{ value: Bytes; done: boolean }> {
    let filled = 0
    while (filled < minBytes) {
      const chunk = await this.#stream.take()
      if (!chunk) break
      const taken = chunk.subarray(0, view.byteLength - filled)
      view.set(taken, filled)
      filled += taken.byteLength
      if (taken.byteLength < chunk.byteLength) this.#stream.giveBack(chunk.subarray(taken.byteLength))
    }
    return { value: view.subarray(0, filled), done: filled === 0 }
  }

  async cancel(reason?: unknown): Promise<void> {
    await this.#stream.cancel(reason)
  }

  releaseLock(): void {
    // One reader at a time is all that is ever asked for.
  }
}

/** What is written at one end comes out at the other. */
export class Pipe implements Transform {
  readonly #chunks: Bytes[] = []
  readonly #waiting: (() => void)[] = []
  #state: 'open' | 'closed' | { readonly reason: unknown } = 'open'
  readonly readable: SimulatedStream
  readonly writable: { getWriter(): Writing }

  constructor() {
    const wake = (): void => {
      for (const resolve of this.#waiting.splice(0)) resolve()
    }
    const settle = async (state: 'closed' | { readonly reason: unknown }): Promise<void> => {
      if (this.#state === 'open') this.#state = state
      wake()
    }
    const writer: Writing = {
      write: async (chunk) => {
        if (typeof this.#state === 'object') throw this.#state.reason
        for (const made of this.through(chunk)) this.#chunks.push(made.slice())
        wake()
      },
      close: async () => {
        try {
          for (const made of this.last()) this.#chunks.push(made)
        } catch (reason) {
          await settle({ reason })
          throw reason
        }
        await settle('closed')
      },
      abort: async (reason) => settle({ reason: reason ?? new Error('aborted') }),
    }
    this.writable = { getWriter: () => writer }
    this.readable = new SimulatedStream({
      pull: async (controller) => {
        while (this.#chunks.length === 0 && this.#state === 'open')
          await new Promise<void>((resolve) => this.#waiting.push(resolve))
        const chunk = this.#chunks.shift()
        if (chunk) controller.enqueue(chunk)
        else if (typeof this.#state === 'object') controller.error(this.#state.reason)
        else controller.close()
      },
      cancel: () => settle({ reason: new Error('nobody reads this') }),
    })
  }

  /** What comes of a chunk. */
  protected through(chunk: Bytes): Bytes[] {
    return [chunk]
  }

  /** What comes at the end. */
  protected last(): Bytes[] {
    return []
  }
}
