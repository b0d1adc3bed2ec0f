import { fetchFrom } from './network.ts'
import { platformGlobals } from './polyfills.ts'
import type { Vendor } from './vendor.ts'
import type { World } from './world.ts'

interface Present {
  readonly world: World
  readonly fetch: ReturnType<typeof fetchFrom>
  logged(line: string): void
}

let present: Present | undefined

const running = (): Present => {
  if (!present) throw new Error('no history is running')
  return present
}

/** Whose history it is that time, chance, the network and the log now belong to. */
export const enter = (world: World, vendor: Vendor, logged: (line: string) => void): void => {
  present = { world, fetch: fetchFrom(world, vendor), logged }
}

export const leave = (): void => {
  present = undefined
}

/**
 * Takes over everything that would make two runs of one history differ, for as long as one runs.
 *
 * @returns Gives everything back.
 */
export const takeOver = (): (() => void) => {
  const { console: log, setTimeout, clearTimeout, setInterval, clearInterval } = globalThis
  const now = Date.now
  const random = Math.random
  const { stackTraceLimit } = Error
  // Nobody reads the stack of an error that belongs to a history.
  Error.stackTraceLimit = 0
  const tell = (level: 'info' | 'warn' | 'error') => (line: string) => (present ? present.logged(line) : log[level](line))
  const globals: Record<string, unknown> = {
    ...platformGlobals(() => running().world.uuid()),
    fetch: (url: string, init?: Parameters<Present['fetch']>[1]) => running().fetch(url, init),
    setTimeout: (run: () => void, waitMs = 0) => (present ? present.world.setTimer(run, waitMs) : setTimeout(run, waitMs)),
    clearTimeout: (timer: never) => (present ? present.world.clearTimer(timer) : clearTimeout(timer)),
    setInterval: (run: () => void, everyMs: number) =>
      present ? present.world.setTimer(run, everyMs, everyMs) : setInterval(run, everyMs),
    clearInterval: (timer: never) => (present ? present.world.clearTimer(timer) : clearInterval(timer)),
    console: { ...log, info: tell('info'), warn: tell('warn'), error: tell('error') },
  }
  const before = Object.keys(globals).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const)
  for (const [name, value] of Object.entries(globals))
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  Date.now = () => present?.world.now ?? now()
  Math.random = () => present?.world.random() ?? random()
  // A promise that nobody looks after is a fault of the engine, not of the run.
  const listeners = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', (reason) => {
    present?.world.broken(
      `no rejection goes unhandled: ${reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)}`,
    )
  })
  return () => {
    for (const [name, descriptor] of before) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor)
      else Reflect.deleteProperty(globalThis, name)
    }
    Error.stackTraceLimit = stackTraceLimit
    Date.now = now
    Math.random = random
    process.removeAllListeners('unhandledRejection')
    for (const listener of listeners) process.on('unhandledRejection', listener)
  }
}
