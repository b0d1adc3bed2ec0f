import { mkdir, rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { fileNameOf, type Manifest } from '../../sandbox/bulk-client.ts'
import { compareExport } from '../../sandbox/compare.ts'
import type { SandboxVendor } from '../../sandbox/sandbox.ts'
import type { Fate } from './moments.ts'
import type { PatientClient } from './patient-client.ts'
import type { Signals } from './signals.ts'

/** How an export ended for its client. */
export type End =
  /** Downloaded, compared, then deleted as a client does that is done. */
  | 'delivered'
  /** Deleted early. */
  | 'deleted'
  /** Failed, saying that the answer to its kick-off was lost. */
  | 'ambiguous'
  /** The client never had the answer to its own kick-off. */
  | 'unanswered'
  /** Not as promised; a violation says why. */
  | 'broken'

/** One export of one client; `tag` names it at the vendor too. */
export interface Export {
  readonly source: string
  readonly tag: string
  readonly path: string
  readonly fate: Fate
  kickedOffMs: number
  statusUrl?: string
  fileUrl?: string
  end?: End
}

/** What `kickoff_ambiguous` says to a client. */
const AMBIGUOUS = /^The kick-off was sent to the source and its answer was lost/
const FILES_AT_A_TIME = 2
/** An export that a client begins anew again and again is not what was promised either. */
const MAX_ATTEMPTS = 10

/** The `index`th order of some values: no two indexes below the factorial of their number share one. */
const orderOf = (values: readonly string[], index: number): string[] => {
  const rest = [...values]
  let code = index
  return values.map((_, position) => {
    const choices = values.length - position
    const [value = ''] = rest.splice(code % choices, 1)
    code = Math.floor(code / choices)
    return value
  })
}

export interface ExportWorld {
  readonly client: PatientClient
  readonly signals: Signals
  readonly vendor: (source: string) => SandboxVendor
  readonly directory: string
  readonly onViolation: (violation: string) => void
}

/** Exports as clients make them, each from kick-off to its end. */
export class Exports {
  readonly all: Export[] = []
  readonly #world: ExportWorld
  readonly #running = new Set<Promise<void>>()

  constructor(world: ExportWorld) {
    this.#world = world
  }

  /** Exports of a source that have not ended. */
  openAt(source: string): Export[] {
    return this.all.filter((one) => one.source === source && one.end === undefined)
  }

  start(source: string, fate: Fate): void {
    const run = this.#untilEnd(source, fate).catch((error: unknown) => {
      this.#world.onViolation(`${source}: ${error instanceof Error ? error.message : String(error)}`)
    })
    this.#running.add(run)
    void run.finally(() => this.#running.delete(run))
  }

  /** Waits until every export under way has been accepted. */
  async accepted(): Promise<void> {
    while (this.all.some(({ end, statusUrl }) => end === undefined && statusUrl === undefined)) await delay(5)
  }

  /** Waits until every export has ended; one that has not by then is lost. */
  async settled(withinMs: number): Promise<void> {
    const { client, onViolation } = this.#world
    const untilMs = Date.now() + withinMs
    while (this.#running.size > 0 && Date.now() < untilMs) await Promise.race([...this.#running, delay(100)])
    for (const { end, source, statusUrl } of this.all)
      if (end === undefined)
        onViolation(`${source}: ${statusUrl ?? 'a kick-off'} had not ended ${withinMs / 1000} s after the last kill`)
    client.close()
  }

  /** A client that lost its export begins another. */
  async #untilEnd(source: string, fate: Fate): Promise<void> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const one = this.#next(source, fate)
      const end = await this.#run(one).catch((error: unknown): End => {
        this.#world.onViolation(`${source}: ${error instanceof Error ? error.message : String(error)}`)
        return 'broken'
      })
      one.end = end
      if (end !== 'ambiguous' && end !== 'unanswered') return
    }
    throw new Error(`${MAX_ATTEMPTS} exports in a row came to nothing`)
  }

  #next(source: string, fate: Fate): Export {
    const { dataset, groupId } = this.#world.vendor(source)
    // All types that a source exports, so that the content is whole; their order is what tells one export from another on every side.
    const types = dataset.types.filter((type) => type !== 'Group')
    const tag = orderOf(types, this.all.length).join(',')
    const one: Export = {
      source,
      tag,
      path: `/fhir/${source}/Group/${groupId}/$export?_type=${tag}`,
      fate,
      kickedOffMs: Date.now(),
    }
    this.all.push(one)
    return one
  }

  async #run(one: Export): Promise<End> {
    const { client, signals } = this.#world
    const { source, fate } = one
    const sent = (): void => {
      one.kickedOffMs = Date.now()
      signals.emit({ at: 'client', source, step: 'kickoff' })
    }
    const collecting = signals.next(
      (signal) => signal.at === 'vendor-asked' && signal.source === source && signal.kind === 'file',
    )
    const statusUrl = await client.kickoff(one.path, sent)
    if (statusUrl === undefined) return 'unanswered'
    one.statusUrl = statusUrl
    if (fate === 'delete-running') {
      await signals.next((signal) => signal.at === 'vendor-answered' && signal.source === source && signal.kind === 'status')
      return this.#delete(one, statusUrl, 'deleted')
    }
    if (fate === 'delete-collecting') {
      await collecting
      return this.#delete(one, statusUrl, 'deleted')
    }
    const ended = await client.end(statusUrl)
    switch (ended?.kind) {
      case undefined:
        throw new Error(`${statusUrl} has not ended`)
      case 'absent':
        throw new Error(`${statusUrl} is 404, and nobody deleted it`)
      case 'failed':
        if (!AMBIGUOUS.test(ended.text)) throw new Error(`${statusUrl} failed: ${ended.status} ${ended.text}`)
        return this.#delete(one, statusUrl, 'ambiguous')
      case 'complete': {
        const [first] = ended.manifest.output
        if (first !== undefined) one.fileUrl = first.url
        if (fate === 'download') await this.#download(one, ended.manifest)
        return this.#delete(one, statusUrl, fate === 'download' ? 'delivered' : 'deleted')
      }
    }
  }

  async #download(one: Export, manifest: Manifest): Promise<void> {
    const { client, signals, vendor, directory, onViolation } = this.#world
    const target = `${directory}/${this.all.indexOf(one)}`
    await mkdir(target, { recursive: true })
    // The longest first: it has the most bytes for a connection to break between.
    const queue = manifest.output.toSorted((a, b) => (b.count ?? 0) - (a.count ?? 0)).values()
    const worker = async (): Promise<void> => {
      for (const { url } of queue) {
        await client.download(url, `${target}/${fileNameOf(url)}`, () =>
          signals.emit({ at: 'client', source: one.source, step: 'file-bytes' }),
        )
      }
    }
    await Promise.all(Array.from({ length: FILES_AT_A_TIME }, worker))
    const { differences } = await compareExport(vendor(one.source), manifest, target)
    for (const difference of differences) onViolation(`${one.statusUrl}: ${difference}`)
    await rm(target, { recursive: true, force: true })
  }

  /** From the answer on, 404 and nothing else [DL-02]. */
  async #delete(one: Export, statusUrl: string, end: End): Promise<End> {
    const { client, signals, onViolation } = this.#world
    const removed = await client.remove(statusUrl, () => signals.emit({ at: 'client', source: one.source, step: 'delete' }))
    if (removed !== 202 && removed !== 404) onViolation(`DELETE ${statusUrl}: ${removed}`)
    const status = await client.statusOf(statusUrl)
    if (status !== 404) onViolation(`${statusUrl} is ${status} after DELETE`)
    return end
  }
}
