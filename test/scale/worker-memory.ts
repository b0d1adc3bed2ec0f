import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { tell } from './figures.ts'
import { processorMsOf, runtimeIds } from './runtimes.ts'

/** How often memory is read: the kernel's own peak misses nothing between two readings, where it can be reset. */
const SAMPLE_MS = 50
/** What a garbage collector gives back by itself is not counted as idle. */
const SETTLE_MS = 3_000
/** A runtime that takes no more than so little of a processor, looked at so long, is at rest. */
const RESTING_SHARE = 0.02
const LOOK_MS = 1_000
/** One that is never at rest has work of its own to do: that is an error of whoever measures. */
const MOST_LOOKS = 30

/** A runtime that takes more of this machine's memory would take the machine down before it has told why. */
const MAX_SHARE = 0.5

export const MEGABYTE = 1_000_000

/** Memory of a process, in bytes. */
interface Usage {
  readonly residentBytes: number
  readonly peakBytes: number
  /** Resident pages that no file backs: heaps, buffers, stacks. */
  readonly anonymousBytes: number
}

/** What work did to the memory of a process, in bytes. */
export interface MemoryFigures {
  readonly idleBytes: number
  readonly peakBytes: number
  /** The part of the peak, above idle, that no file backs. */
  readonly anonymousLiftBytes: number
}

/** Whether this system tells the memory of other processes the way Linux does. */
export const canMeasureMemory = existsSync('/proc/self/status') && existsSync('/proc/self/clear_refs')

const usageOf = (pid: number): Usage => {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? NaN) * 1024
  return { residentBytes: bytes('VmRSS'), peakBytes: bytes('VmHWM'), anonymousBytes: bytes('RssAnon') }
}

/** The one Workers runtime that this process runs. @throws when there is none or more than one. */
export const runtimeProcess = (): RuntimeProcess => {
  const found = runtimeIds()
  const [pid] = found
  if (pid === undefined || found.length !== 1) throw new Error(`${found.length} Workers runtimes below this process, not one`)
  return new RuntimeProcess(pid)
}

export class RuntimeProcess {
  readonly #pid: number

  constructor(pid: number) {
    this.#pid = pid
  }

  get residentBytes(): number {
    return usageOf(this.#pid).residentBytes
  }

  get openFiles(): number {
    return readdirSync(`/proc/${this.#pid}/fd`).length
  }

  /** `unlimited`, or a number. */
  get openFilesLimit(): string {
    return /^Max open files +(\S+)/m.exec(readFileSync(`/proc/${this.#pid}/limits`, 'utf8'))?.[1] ?? 'unlimited'
  }

  /** Waits until nothing runs. @throws when something always does. */
  async #rest(): Promise<void> {
    await delay(SETTLE_MS)
    for (let look = 0; look < MOST_LOOKS; look += 1) {
      const beforeMs = processorMsOf(this.#pid)
      await delay(LOOK_MS)
      if (processorMsOf(this.#pid) - beforeMs <= RESTING_SHARE * LOOK_MS) return
    }
    throw new Error('the runtime is never at rest: its idle memory cannot be told')
  }

  /** Runs work and tells what it took. It must have done the same on a small scale before: that is idle. */
  async measure<T>(work: () => Promise<T>): Promise<{ result: T; memory: MemoryFigures }> {
    await this.#rest()
    // Resets the peak to what is resident now: https://docs.kernel.org/filesystems/proc.html
    writeFileSync(`/proc/${this.#pid}/clear_refs`, '5')
    const idle = usageOf(this.#pid)
    let peakBytes = idle.residentBytes
    let anonymousBytes = idle.anonymousBytes
    const { promise: exceeded, reject: tooMuch } = Promise.withResolvers<never>()
    const sample = (): void => {
      const usage = usageOf(this.#pid)
      peakBytes = Math.max(peakBytes, usage.residentBytes, usage.peakBytes)
      anonymousBytes = Math.max(anonymousBytes, usage.anonymousBytes)
      if (usage.residentBytes > MAX_SHARE * totalmem())
        tooMuch(new Error(`broken off: the runtime takes ${Math.round(usage.residentBytes / MEGABYTE)} MB`))
    }
    const timer = setInterval(sample, SAMPLE_MS)
    try {
      const result = await Promise.race([work(), exceeded])
      sample()
      const anonymousLiftBytes = anonymousBytes - idle.anonymousBytes
      return { result, memory: { idleBytes: idle.residentBytes, peakBytes, anonymousLiftBytes } }
    } finally {
      clearInterval(timer)
    }
  }
}

/** An object that works has its database open, its log, the index of its log, and a connection to the vendor. */
const FILES_PER_OBJECT = 4
/** Connections of clients, and what else a runtime has open. */
const SPARE_FILES = 1_000
const FILES_EVERY_MS = 500

/** How many files a runtime has open: one that may open no more answers 500, which says nothing of our code. */
export class OpenFiles {
  readonly limit: string
  most = 0
  readonly #timer: NodeJS.Timeout

  /** @param objects That may all work at once: it is told when the limit is too low for so many. */
  constructor(runtime: RuntimeProcess, objects = 0) {
    this.limit = runtime.openFilesLimit
    const wanted = FILES_PER_OBJECT * objects + SPARE_FILES
    if (Number(this.limit) < wanted)
      tell(`  ${this.limit} files may be open, and ${wanted} are wanted when all objects work at once: raise ulimit -n`)
    this.#timer = setInterval(() => {
      this.most = Math.max(this.most, runtime.openFiles)
    }, FILES_EVERY_MS)
  }

  close(): void {
    clearInterval(this.#timer)
  }
}
