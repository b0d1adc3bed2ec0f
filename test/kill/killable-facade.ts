import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { HOST, type FacadeOptions } from '../../sandbox/facade.ts'

const PROCESS = fileURLToPath(new URL('../../sandbox/facade-process.ts', import.meta.url))
const READY = 'READY '
const START_TIMEOUT_MS = 30_000
const DEATH_TIMEOUT_MS = 10_000

export interface KillableOptions extends Omit<FacadeOptions, 'onLog'> {
  readonly port: number
  readonly stateDirectory: string
}

const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, HOST)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

/**
 * The built Worker in a process group of its own, with its state on disk. The group dies at once and whole: with Node gone alone,
 * the runtime below it would go on holding port and state.
 */
export class KillableFacade {
  readonly #options: KillableOptions
  readonly #onLog: (line: string) => void
  #child: ChildProcess | undefined

  /** @param onLog Takes what the Worker logs and what its runtime complains of, line by line. */
  constructor(options: KillableOptions, onLog: (line: string) => void) {
    this.#options = options
    this.#onLog = onLog
  }

  get base(): string {
    return `http://${HOST}:${this.#options.port}`
  }

  /** @throws when it does not listen in time. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [PROCESS], { detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    // A process that was killed cannot be written to, which is what is wanted here.
    child.stdin.on('error', () => undefined)
    child.stdin.write(`${JSON.stringify(this.#options)}\n`)
    createInterface({ input: child.stderr }).on('line', this.#onLog)
    await new Promise<void>((resolve, reject) => {
      const tooLate = setTimeout(() => {
        this.kill()
        reject(new Error('the facade did not start in time'))
      }, START_TIMEOUT_MS)
      child.once('exit', (code) => {
        clearTimeout(tooLate)
        reject(new Error(`the facade ended while starting: ${code}`))
      })
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (!line.startsWith(READY)) return this.#onLog(line)
        clearTimeout(tooLate)
        resolve()
      })
    })
  }

  /** SIGKILL to the whole group, this very moment. `dead` tells when nothing of it is left. */
  kill(): void {
    const pid = this.#child?.pid
    if (pid === undefined || this.#child?.exitCode !== null || this.#child.signalCode !== null) return
    process.kill(-pid, 'SIGKILL')
  }

  /** Waits until nothing of it is left: neither the process nor its port. */
  async dead(): Promise<void> {
    const child = this.#child
    if (child !== undefined && child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    const untilMs = Date.now() + DEATH_TIMEOUT_MS
    while (await isListening(this.#options.port)) {
      if (Date.now() > untilMs) throw new Error('the port is still held by a killed facade')
      await delay(10)
    }
  }

  /** Ends it as it would end by itself. */
  async stop(): Promise<void> {
    this.#child?.stdin?.end()
    await this.dead()
  }
}
