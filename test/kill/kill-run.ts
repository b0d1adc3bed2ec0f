import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CanaryWatch } from '../../sandbox/canary-watch.ts'
import { freePort } from '../../sandbox/facade.ts'
import { random } from '../../sandbox/random.ts'
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts'
import { sandboxKeys } from '../../sandbox/state.ts'
import { jobRows, letAlarmsRingEarlier, remainsIn, type JobRow } from './disk.ts'
import { Exports, type End } from './exports.ts'
import { KillableFacade } from './killable-facade.ts'
import { drawMoments, type Moment } from './moments.ts'
import { PatientClient } from './patient-client.ts'
import { Signals } from './signals.ts'
import { judgeDeleted, judgeKickoffs, judgeRemains, judgeTraffic, settleOrphans, type Orphans } from './verdict.ts'
import { VendorWatch } from './vendor-watch.ts'

export interface KillRunOptions {
  readonly seed: number
  readonly kills: number
  readonly patients: number
  /** How long an export runs at a vendor. */
  readonly jobSeconds: number
  /** How much longer than in truth each outage seems to last to the alarms. */
  readonly outageMs: number
  /** The longest time that passes from one kill to the hunt for the next. */
  readonly pauseMs: number
  readonly onKill?: (kill: Kill) => void
}

export interface Kill {
  readonly number: number
  readonly moment: Moment
  readonly source: string
  /** False when the moment did not come, and the kill did anyway. */
  readonly hit: boolean
  readonly atMs: number
  /** From the kill until it listens again. */
  readonly downMs: number
  /** Rows with something left to do, as the kill left them. */
  readonly rows: readonly JobRow[]
}

export interface KillReport {
  readonly kills: readonly Kill[]
  readonly violations: readonly string[]
  readonly ends: Readonly<Record<End, number>>
  readonly orphans: Orphans
  readonly resumedDownloads: number
  readonly log: readonly string[]
}

const SECOND_MS = 100
const OPERATOR_TOKEN = 'operator.kill.0123456789abcdef0123456789'
/** A moment that has not come by then will not. */
const MOMENT_TIMEOUT_MS = 10_000
const GRACE_SECONDS = 1
/** An export may be cut off, and then wait for a slot that another was cut off in. */
const SETTLE_MS = 150_000
/** A purge that was cut off is noticed after half a minute. */
const CUT_OFF_MS = 35_000
const LIMITS = {
  vendorPollFloorSeconds: 0.1,
  retryAfterMinSeconds: 1,
  statusRequestsPerMinute: 100_000,
  purgeGraceSeconds: GRACE_SECONDS,
}
/** A hidden vendor job of the sandbox runs no longer than this. */
const SOURCE_LIMITS = { pollSeconds: 0.3, maxPollSeconds: 2, hiddenJobSeconds: 3 }
/** One export at a time: after a kick-off whose answer was lost the next one looks for the slot a minute later. */
const ONE_SLOT = 'oracle-health'
/** From so many kills on there is time for that. */
const LONG_RUN = 12

/** Kills the facade again and again while exports run, then says what was lost. */
export const killRun = async (options: KillRunOptions): Promise<KillReport> => {
  const directory = await mkdtemp(join(tmpdir(), 'bulkhead-kill-'))
  const sandbox = await startSandbox({
    patients: options.patients,
    jobSeconds: options.jobSeconds,
    // Rows that are rewritten on their way must survive a kill as well.
    oddities: ['absolute-references'],
  })
  const stateDirectory = join(directory, 'state')
  const log: string[] = []
  const keys = await sandboxKeys()
  const canaries = await CanaryWatch.start(sandbox, keys)
  canaries.canaries.plant('operator token', OPERATOR_TOKEN)
  const facade = new KillableFacade(
    {
      port: await freePort(),
      stateDirectory,
      keys,
      sources: Object.fromEntries(
        Object.entries(sandbox.sources).map(([id, source]) => [id, { ...source, limits: SOURCE_LIMITS }]),
      ),
      secrets: sandbox.secrets,
      limits: LIMITS,
      variables: { OPERATOR_TOKEN },
    },
    (line) => {
      log.push(line)
      canaries.log(line)
    },
  )
  canaries.facadeAt(facade.base)
  const signals = new Signals()
  const watch = new VendorWatch(sandbox, signals)
  try {
    await facade.start()
    const client = new PatientClient(facade.base, keys.demo, SECOND_MS)
    const run = new Run(options, { sandbox, facade, signals, client, directory, stateDirectory })
    const kills = await run.kills()
    const killsMs = kills.map(({ atMs }) => atMs)
    const { exports, violations } = run
    const judge = new PatientClient(facade.base, keys.demo, SECOND_MS)
    const orphans = await settleOrphans(judge, facade.base, exports.all, run.onViolation)
    violations.push(...(await judgeDeleted(judge, exports.all)))
    // What was deleted last may still have to be told to its vendor.
    violations.push(...(await run.remains(orphans.phantom)))
    violations.push(
      ...judgeKickoffs(exports.all, watch, killsMs),
      ...sandbox.vendors.flatMap((vendor) => judgeTraffic(vendor, exports.all, watch, killsMs)),
    )
    violations.push(...canaries.leaks().map((leak) => `leaked: ${leak}`))
    const ends: Record<End, number> = { delivered: 0, deleted: 0, ambiguous: 0, unanswered: 0, broken: 0 }
    for (const { end } of exports.all) if (end !== undefined) ends[end] += 1
    return { kills, violations, ends, orphans, resumedDownloads: client.resumed, log }
  } finally {
    facade.kill()
    await facade.dead()
    watch.close()
    canaries.close()
    await sandbox.close()
    await rm(directory, { recursive: true, force: true })
  }
}

interface RunWorld {
  readonly sandbox: Sandbox
  readonly facade: KillableFacade
  readonly signals: Signals
  readonly client: PatientClient
  readonly directory: string
  readonly stateDirectory: string
}

/** The kills of one run, and the exports that they fall upon. */
class Run {
  readonly exports: Exports
  readonly violations: string[] = []
  readonly onViolation = (violation: string): void => {
    this.violations.push(violation)
  }
  readonly #options: KillRunOptions
  readonly #world: RunWorld

  constructor(options: KillRunOptions, world: RunWorld) {
    this.#options = options
    this.#world = world
    const { sandbox, signals, client, directory } = world
    this.exports = new Exports({
      client,
      signals,
      directory,
      onViolation: this.onViolation,
      vendor: (source) => {
        const vendor = sandbox.vendors.find(({ id }) => id === source)
        if (vendor === undefined) throw new Error(`no vendor ${source}`)
        return vendor
      },
    })
  }

  async kills(): Promise<Kill[]> {
    const { sandbox } = this.#world
    const numbers = random(this.#options.seed)
    const sources = sandbox.vendors.map(({ id }) => id)
    const kills: Kill[] = []
    const victims = new Map(sources.map((id) => [id, 0]))
    for (const moment of drawMoments(this.#options.kills, numbers, sandbox.dataset.types.length)) {
      const source = this.#victim(moment, sources, victims, numbers.below(sources.length))
      const kill = await this.#kill(kills.length + 1, moment, source, sources)
      kills.push(kill)
      this.#options.onKill?.(kill)
      await delay(numbers.below(Math.max(1, this.#options.pauseMs)))
    }
    await this.exports.settled(SETTLE_MS)
    return kills
  }

  /** Kills for the last time once everything should be gone. @returns What is not. */
  async remains(phantoms: number): Promise<string[]> {
    const { facade, stateDirectory } = this.#world
    const { outageMs } = this.#options
    for (const waitMs of [2_000 * GRACE_SECONDS, Math.max(3_000, CUT_OFF_MS - outageMs)]) {
      await delay(waitMs)
      facade.kill()
      await facade.dead()
      if (judgeRemains(remainsIn(stateDirectory), phantoms).length === 0) break
      letAlarmsRingEarlier(stateDirectory, outageMs)
      await facade.start()
    }
    facade.kill()
    await facade.dead()
    return judgeRemains(remainsIn(stateDirectory), phantoms)
  }

  /** The source with the fewest exports under way, so that the next is served at once; among those the one that was spared so far. */
  #victim({ phase }: Moment, sources: readonly string[], victims: Map<string, number>, offset: number): string {
    const slow = (source: string): number =>
      phase === 'kick-off' && source === ONE_SLOT && this.#options.kills < LONG_RUN ? 1 : 0
    const rank = (source: string): number =>
      slow(source) * 10_000 + this.exports.openAt(source).length * 100 + (victims.get(source) ?? 0)
    const turned = [...sources.slice(offset), ...sources.slice(0, offset)]
    const [first = ONE_SLOT] = turned.toSorted((a, b) => rank(a) - rank(b))
    victims.set(first, (victims.get(first) ?? 0) + 1)
    return first
  }

  async #kill(number: number, moment: Moment, source: string, sources: readonly string[]): Promise<Kill> {
    const { facade, stateDirectory } = this.#world
    for (const other of sources)
      if (other !== source && this.exports.openAt(other).length === 0) this.exports.start(other, 'download')
    // Theirs are accepted by now, so that a kill during a kick-off falls upon one.
    await this.exports.accepted()
    const armed = this.#arm(moment, source)
    this.exports.start(source, moment.fate)
    const hit = await armed
    const atMs = Date.now()
    await facade.dead()
    const rows = jobRows(stateDirectory).filter(({ todo, state }) => todo.length > 0 || LIVING.has(state))
    letAlarmsRingEarlier(stateDirectory, this.#options.outageMs)
    await facade.start()
    return { number, moment, source, hit, atMs, downMs: Date.now() - atMs, rows }
  }

  /** Resolves when the facade has been killed. @returns Whether the moment had come. */
  #arm({ fits, nth, delayMs }: Moment, source: string): Promise<boolean> {
    const { facade, signals } = this.#world
    return new Promise((resolve) => {
      let left = nth
      const strike = (hit: boolean): void => {
        facade.kill()
        clearTimeout(timeout)
        stop()
        resolve(hit)
      }
      const timeout = setTimeout(() => strike(false), MOMENT_TIMEOUT_MS)
      const stop = signals.listen((signal) => {
        if (signal.source !== source || !fits(signal)) return
        left -= 1
        if (left > 0) return
        stop()
        if (delayMs === 0) strike(true)
        else setTimeout(() => strike(true), delayMs)
      })
    })
  }
}

const LIVING = new Set(['queued', 'submitting', 'running', 'collecting'])
