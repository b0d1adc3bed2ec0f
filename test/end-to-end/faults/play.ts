import { setTimeout as delay } from 'node:timers/promises'
import type { Manifest } from '../../../sandbox/bulk-client.ts'
import type { Fault } from '../../../sandbox/faults.ts'
import type { SandboxVendor } from '../../../sandbox/sandbox.ts'
import type { Outcome as OperationOutcome, World } from '../support.ts'
import { TYPES, wrongContent } from './content.ts'
import { HIDDEN_JOB_SECONDS } from './faulty-world.ts'
import { outcomeAt, WHOLE, type Outcome, type Refusal, type Row, type SourceId } from './row.ts'

const POLL_MS = 100
/** For what happens after an answer was given, such as telling the vendor of a DELETE. */
const PATIENCE_MS = 5_000
/** No row lasts longer, unless its export never ends. */
const LONGEST_MS = 30_000

interface Answer {
  readonly status: number
  readonly text: string
}

const answerOf = async (response: Response): Promise<Answer> => ({ status: response.status, text: await response.text() })

const issueOf = ({ text }: Answer): OperationOutcome['issue'][number] | undefined => {
  try {
    return (JSON.parse(text) as Partial<OperationOutcome>).issue?.[0]
  } catch {
    return undefined
  }
}

const differsFrom = (answer: Answer, { status, issue, says }: Refusal): string[] => {
  const found = issueOf(answer)
  const isSo = answer.status === status && found?.code === issue && found.diagnostics.includes(says)
  return isSo ? [] : [`answered ${answer.status} ${answer.text}, not ${status} ${issue} "${says}"`]
}

/** One export, as its client sees it. */
class Export {
  readonly #world: World
  readonly #path: string
  #statusUrl = ''
  readonly broken: string[] = []

  constructor(world: World, sourceId: string, vendor: SandboxVendor) {
    this.#world = world
    this.#path = `/fhir/${sourceId}/Group/${vendor.groupId}/$export?_type=${TYPES.join()}`
  }

  async kickoff(): Promise<Answer> {
    const headers = { Accept: 'application/fhir+json', Prefer: 'respond-async' }
    const response = await this.#world.demo.fetch(this.#path, { headers })
    this.#statusUrl = response.headers.get('Content-Location') ?? ''
    return answerOf(response)
  }

  async status(): Promise<Answer> {
    return answerOf(await this.#world.demo.fetch(this.#statusUrl))
  }

  /** Polls until the end. A 5XX with a transient code is none, and nothing else but 202 may come before it. */
  async end(): Promise<Answer> {
    for (const givesUpMs = Date.now() + LONGEST_MS; ;) {
      const answer = await this.status()
      const isTransient = answer.status >= 500 && issueOf(answer)?.code === 'transient'
      if ((answer.status !== 202 && !isTransient) || Date.now() > givesUpMs) return answer
      await delay(POLL_MS)
    }
  }

  /** DELETE, and what every request after it must be told [DL-02]. */
  async delete(): Promise<void> {
    const deleted = await answerOf(await this.#world.demo.fetch(this.#statusUrl, { method: 'DELETE' }))
    if (deleted.status !== 202) this.broken.push(`DELETE was answered ${deleted.status}`)
    const [status, again] = [await this.status(), await this.#world.demo.fetch(this.#statusUrl, { method: 'DELETE' })]
    if (status.status !== 404 || again.status !== 404) this.broken.push(`after DELETE: ${status.status}, ${again.status}`)
  }
}

const isMet = (vendor: SandboxVendor, phase: Row['phase']): boolean =>
  vendor.faults.hits().every(({ fault, hits }) => fault.on !== phase || hits > 0)

const until = async (holds: () => boolean): Promise<void> => {
  const patientUntilMs = Date.now() + PATIENCE_MS
  while (!holds() && Date.now() < patientUntilMs) await delay(POLL_MS)
}

/** Lives through an export that meets faults. @returns The answer that is its end; `undefined` where it has none. */
const live = async (job: Export, outcome: Outcome, onAccepted: () => void = () => undefined): Promise<Answer | undefined> => {
  const started = await job.kickoff()
  onAccepted()
  if (outcome.kind === 'refused') {
    job.broken.push(...differsFrom(started, outcome))
    return undefined
  }
  if (started.status !== 202) {
    job.broken.push(`the kick-off was answered ${started.status} ${started.text}`)
    return undefined
  }
  if (outcome.kind === 'deleted') {
    await job.delete()
    return undefined
  }
  return job.end()
}

const manifestOf = ({ text }: Answer): Manifest => JSON.parse(text) as Manifest

const wrongEnd = async (world: World, vendor: SandboxVendor, end: Answer, outcome: Outcome): Promise<string[]> => {
  if (outcome.kind === 'failed') return differsFrom(end, outcome)
  if (outcome.kind === 'refused' || outcome.kind === 'deleted') return []
  if (end.status !== 200) return [`ended ${end.status} ${end.text}`]
  return wrongContent(world.demo, vendor, manifestOf(end), outcome)
}

/** The same source again, whose vendor is well: its slot must be free. */
const nextExport = async (world: World, sourceId: string, vendor: SandboxVendor): Promise<string[]> => {
  const next = new Export(world, sourceId, vendor)
  const end = await live(next, WHOLE)
  const wrong = end === undefined ? [] : await wrongEnd(world, vendor, end, WHOLE)
  return [...next.broken, ...wrong].map((problem) => `the next export: ${problem}`)
}

/** Kick-offs that were answered 429 or 503 may be sent again; no other [N-06]. */
const wrongTraffic = (vendor: SandboxVendor, before: ReturnType<SandboxVendor['traffic']>, row: Row): string[] => {
  const { kickoffs, earlyStatusRequests, cancels } = vendor.traffic()
  const sent = kickoffs.accepted + kickoffs.refused - before.kickoffs.accepted - before.kickoffs.refused
  return [
    ...(sent > row.kickoffs ? [`${sent} kick-offs, at most ${row.kickoffs} expected`] : []),
    ...(earlyStatusRequests > before.earlyStatusRequests ? ['a status request before Retry-After had passed'] : []),
    ...(row.cancels === true && cancels === before.cancels ? ['the vendor export was not cancelled'] : []),
  ]
}

/** Where a row is played. */
export interface Place {
  readonly id: SourceId
  readonly sourceId: string
  /** How many files an export has there. */
  readonly files: number
}

/** Plays one row at one source. @returns Every promise that was not kept. */
export const play = async (world: World, row: Row, place: Place): Promise<readonly string[]> => {
  const { id, sourceId, files } = place
  const vendor = world.vendor(id)
  const outcome = outcomeAt(row, id)
  const before = vendor.traffic()
  const startedMs = Date.now()
  const job = new Export(world, sourceId, vendor)
  const faults: readonly Fault[] = row.faults(files)
  let end: Answer | undefined
  try {
    const misbehave = (): void => vendor.faults.set(faults)
    if (row.isLate !== true) misbehave()
    end = await live(job, outcome, row.isLate === true ? misbehave : undefined)
    const lastedMs = Date.now() - startedMs
    if (lastedMs < (row.lastsMs ?? 0)) job.broken.push(`it lasted ${lastedMs} ms, and the vendor asked for ${row.lastsMs} ms`)
    await until(() => isMet(vendor, row.phase) && (row.cancels !== true || vendor.traffic().cancels > before.cancels))
    if (!isMet(vendor, row.phase)) job.broken.push(`a fault was not met: ${JSON.stringify(vendor.faults.hits())}`)
    job.broken.push(...wrongTraffic(vendor, before, row))
    // One that never ended must not meet the faults of the next row.
    if (end?.status === 202) await job.delete()
  } finally {
    vendor.faults.clear()
  }
  if (end !== undefined) job.broken.push(...(await wrongEnd(world, vendor, end, outcome)))
  if (row.hides === true) await delay(HIDDEN_JOB_SECONDS * 1000)
  job.broken.push(...(await nextExport(world, sourceId, vendor)))
  if (end !== undefined && (await job.status()).text !== end.text) job.broken.push('its end has changed since')
  return job.broken
}
