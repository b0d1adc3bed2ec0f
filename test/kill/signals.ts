/** What a fake EHR is asked for. */
export type VendorRequestKind = 'token' | 'kickoff' | 'status' | 'file' | 'cancel' | 'other'

/** Something that happens while exports run, told in the very moment that it does. */
export type Signal =
  /** A request reached a fake EHR and has not been answered. */
  | { readonly at: 'vendor-asked'; readonly source: string; readonly kind: VendorRequestKind }
  /** Its answer has left the fake EHR whole. */
  | { readonly at: 'vendor-answered'; readonly source: string; readonly kind: VendorRequestKind; readonly status: number }
  /** A client is about to send a kick-off or a DELETE, or has some bytes of an output file. */
  | { readonly at: 'client'; readonly source: string; readonly step: 'kickoff' | 'delete' | 'file-bytes' }

type Listener = (signal: Signal) => void

/** Tells signals to whoever listens, synchronously: a process can be killed before the next thing happens. */
export class Signals {
  readonly #listeners = new Set<Listener>()

  emit(signal: Signal): void {
    for (const listener of this.#listeners) listener(signal)
  }

  /** @returns What ends the listening. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves at the first signal that fits. */
  next(fits: (signal: Signal) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.listen((signal) => {
        if (!fits(signal)) return
        stop()
        resolve()
      })
    })
  }
}
